"""Train-test splits: boolean masks over the input grid, by the rules of the papers."""

import random
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mechgrok.config import check_seed
from mechgrok.errors import ConfigError, TaskError, shown
from mechgrok.readable import Readable
from mechgrok.registries import SPLIT_RULES

SplitRule = str
"""Name of a rule in `mechgrok.SPLIT_RULES`."""


@dataclass(frozen=True, eq=False)
class Split(Readable):
    """A division of all inputs of a task into train and test.

    `train` and `test` are boolean masks [n_inputs], complements of each other.
    """

    train: Bool[Tensor, " inputs"]
    fraction: float
    seed: int
    rule: SplitRule

    @property
    def test(self) -> Bool[Tensor, " inputs"]:
        """The inputs that are not trained on."""
        return ~self.train

    def __repr__(self) -> str:
        sizes = f"{int(self.train.sum())} train, {int(self.test.sum())} test"
        return f"Split({sizes}, rule={self.rule!r}, fraction={self.fraction}, seed={self.seed})"


def make_split(operands: Int[Tensor, "inputs arity"], fraction: float, seed: int, rule: SplitRule) -> Split:
    """Draw a split; the same arguments always give the same one, on every machine.

    Args:
        fraction: share of the inputs to train on, in (0, 1].
        rule: "shuffle", "randperm", "unordered", implemented by the functions below, or a rule added to `SPLIT_RULES`.

    Raises:
        TaskError: the fraction leaves no training example or is above 1.
        ConfigError: the rule is unknown, or does not return indices of inputs; the fraction is not a number; the seed
            is not an integer from 0 to 2^32 - 1.
    """
    draw = SPLIT_RULES[rule]
    if not isinstance(fraction, Real) or isinstance(fraction, bool):
        raise ConfigError(
            f"the fraction of inputs to train on is a number in (0, 1], such as 0.3; got {shown(fraction)}"
        )
    if not 0 < fraction <= 1:
        raise TaskError(f"the fraction of inputs to train on must lie in (0, 1], got {fraction}")
    train = torch.zeros(len(operands), dtype=torch.bool)
    train[_checked(draw(operands, fraction, check_seed(seed)), rule, len(operands))] = True
    if not train.any():
        raise TaskError(f"a fraction of {fraction} of {len(operands)} inputs leaves nothing to train on")
    return Split(train, float(fraction), seed, rule)


def _checked(rows: Any, rule: SplitRule, n_inputs: int) -> Tensor:
    """Check the indices of inputs returned by a rule, which may be user-defined."""
    if (
        not isinstance(rows, Tensor)
        or rows.dtype != torch.long
        or rows.ndim != 1
        or bool((rows < 0).any() or (rows >= n_inputs).any())
    ):
        raise ConfigError(
            f"the split rule {rule!r} gives the numbers of the train inputs, as a tensor of torch.long [n_train] with "
            f"values from 0 to {n_inputs - 1}; got {shown(rows)}"
        )
    return rows


@SPLIT_RULES.add("shuffle")
def shuffle(operands: Tensor, fraction: float, seed: int) -> Tensor:
    """The first int(fraction * n_inputs) inputs in the order of Python's `random.shuffle` (Nanda et al. 2023)."""
    order = list(range(len(operands)))
    random.Random(seed).shuffle(order)
    return torch.tensor(order[: int(fraction * len(order))], dtype=torch.long)


@SPLIT_RULES.add("randperm")
def randperm(operands: Tensor, fraction: float, seed: int) -> Tensor:
    """The first int(fraction * n_inputs) inputs in the order of `torch.randperm` (Chughtai et al. 2023)."""
    order = torch.randperm(len(operands), generator=torch.Generator().manual_seed(seed))
    return order[: int(fraction * len(order))]


@SPLIT_RULES.add("unordered")
def unordered(operands: Tensor, fraction: float, seed: int) -> Tensor:
    """Like "shuffle", with (a, b) and (b, a) on the same side, and the fraction applied to the unordered pairs.

    A commutative task is then not tested on pairs that were trained on in the other order (Pearce et al. 2023).
    """
    pairs, member_of = operands.sort(dim=1).values.unique(dim=0, return_inverse=True)
    chosen = torch.zeros(len(pairs), dtype=torch.bool)
    chosen[shuffle(pairs, fraction, seed)] = True
    return chosen[member_of].nonzero().squeeze(1)
