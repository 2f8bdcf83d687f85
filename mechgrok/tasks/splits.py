"""Which inputs are trained on: boolean masks over the input grid, by the rules of the papers."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mechgrok.config import check_seed
from mechgrok.errors import ConfigError, TaskError, shown
from mechgrok.readable import Readable

SplitRule = Literal["shuffle", "randperm", "unordered"]


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

    Rules; int(fraction * size) training examples, of "unordered" so many unordered pairs:
        "shuffle": Python's `random.shuffle` of the inputs in grid order (Nanda et al. 2023).
        "randperm": `torch.randperm` (Chughtai et al. 2023).
        "unordered": as "shuffle", but (a, b) and (b, a) fall on the same side, so that a commutative
            task is not tested on pairs that were trained on in the other order (Pearce et al. 2023).

    Args:
        fraction: share of the inputs to train on, in (0, 1].

    Raises:
        TaskError: the fraction leaves no training example or is above 1; the rule is unknown.
        ConfigError: the fraction is no number, the seed not a whole number from 0 to 2^32 - 1.
    """
    if not isinstance(rule, str) or rule not in _RULES:
        raise TaskError(f"unknown split rule {shown(rule)}; allowed: {', '.join(_RULES)}")
    if not isinstance(fraction, Real) or isinstance(fraction, bool):
        raise ConfigError(
            f"the fraction of inputs to train on is a number in (0, 1], such as 0.3; got {shown(fraction)}"
        )
    if not 0 < fraction <= 1:
        raise TaskError(f"the fraction of inputs to train on must lie in (0, 1], got {fraction}")
    train = torch.zeros(len(operands), dtype=torch.bool)
    train[_RULES[rule](operands, fraction, check_seed(seed))] = True
    if not train.any():
        raise TaskError(f"a fraction of {fraction} of {len(operands)} inputs leaves nothing to train on")
    return Split(train, float(fraction), seed, rule)


def _shuffle(operands: Tensor, fraction: float, seed: int) -> Tensor:
    order = list(range(len(operands)))
    random.Random(seed).shuffle(order)
    return torch.tensor(order[: int(fraction * len(order))], dtype=torch.long)


def _randperm(operands: Tensor, fraction: float, seed: int) -> Tensor:
    order = torch.randperm(len(operands), generator=torch.Generator().manual_seed(seed))
    return order[: int(fraction * len(order))]


def _unordered(operands: Tensor, fraction: float, seed: int) -> Tensor:
    unordered, member_of = operands.sort(dim=1).values.unique(dim=0, return_inverse=True)
    chosen = torch.zeros(len(unordered), dtype=torch.bool)
    chosen[_shuffle(unordered, fraction, seed)] = True
    return chosen[member_of].nonzero().squeeze(1)


_RULES: dict[SplitRule, Callable[[Tensor, float, int], Tensor]] = {
    "shuffle": _shuffle,
    "randperm": _randperm,
    "unordered": _unordered,
}
assert set(_RULES) == set(get_args(SplitRule))
