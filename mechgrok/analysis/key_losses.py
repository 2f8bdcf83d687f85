"""Answers of the key blocks alone, and answers without them.

The part of the logits, or of the neurons, in some blocks is a function of the answer a∘b. What the blocks compute
alone fits in one row per answer, weighted by its inputs; the rest, without them, has one row per input.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid, run_from_site
from mechgrok.algebra.bases import Label
from mechgrok.analysis.by_answer import answers_of_inputs, logits_by_answer, means_by_answer
from mechgrok.analysis.losses import CHUNK, cross_entropy, right_after_edit
from mechgrok.analysis.projections import character_part, product_part
from mechgrok.door import door
from mechgrok.errors import ConfigError, UndefinedMetricError, shown

Space = Literal["product", "character"]
_PARTS = {"product": product_part, "character": character_part}


@dataclass(frozen=True, eq=False)
class EditedAnswers:
    """Answers of a network with edited logits.

    Attributes:
        parts: gives the rows, a part at a time, as all of them may be several times as large as the grid.
        before: the logits of the unmodified network; their rounding determines which classes the edit has made
            equal.
    """

    parts: Callable[[], Iterable["Rows"]]
    before: Float[Tensor, "inputs classes"]

    @cached_property
    def loss(self) -> float:
        """Mean cross-entropy, in nats."""
        return sum((rows.weights @ cross_entropy(rows.logits, rows.labels)).item() for rows in self.parts())

    @cached_property
    def accuracy(self) -> float:
        """Share of right answers, 0..1; classes that are equal up to rounding share the answer."""
        largest = self.before.abs().amax().view(1, 1)
        parts = ((rows, right_after_edit(rows.logits, rows.labels, largest)) for rows in self.parts())
        return sum((rows.weights @ right).item() for rows, right in parts)


class Rows(NamedTuple):
    """Some of the rows of `EditedAnswers`.

    Attributes:
        logits: in float64 where they were edited themselves.
        labels: the right answers.
        weights: the share of each row among the inputs; over all parts they add up to 1.
    """

    logits: Float[Tensor, "rows classes"]
    labels: Int[Tensor, " rows"]
    weights: Float[Tensor, " rows"]


@door
def restricted_loss(
    source: Source,
    keys: Iterable[Label],
    mask: Bool[Tensor, " inputs"] | None = None,
    *,
    space: Space = "product",
    site: str = "logits",
    keep_mean: bool | None = None,
) -> float:
    """Loss of the key blocks alone; low once the circuit has formed, before the test loss falls.

    Of the logits as functions of the input, only the mean over all inputs and the part that depends on a∘b
    through the key blocks are kept. Inputs outside the task's frame (a 0 in a product) are left out, here and in
    `excluded_loss`, whereas `full_loss` counts them.

    Args:
        source: a network or a grid.
        keys: labels of the key blocks, as returned by `find_key_frequencies`; all are kept together.
        mask: inputs to average over; None means all, train and test, as in the paper.
        space: "product" keeps any function of a∘b in the blocks, separately for each class (Nanda et al.
            2023, the released code); "character" keeps the single direction chi(a∘b∘c^-1) of each block.
        site: "logits"; "neurons", the last hidden layer, counting only what it writes to the logits itself
            through W_L = W_out @ W_U: nothing that bypasses it, and no bias; or the name of a hook, whose
            activation at the read-out position is restricted, after which the network is run from there. Sites
            other than the logits require "product".
        keep_mean: whether to add the mean back. None follows the source: not for "character", and not at the
            "neurons".

    Returns:
        The loss in nats.

    Raises:
        ConfigError: a key that is not in the basis, an unknown space, "character" at a hook.
        UndefinedMetricError: no keys at all, or a mask that selects nothing.
        ActivationError: a site other than the logits, for a grid without its network.

    Source: Nanda et al. 2023, section 5.1 and released notebook ("trig loss"); for "character" and at the
    neurons Chughtai et al. 2023, section 5 and released code ("total_hidden_restricted_loss").

    >>> from mechgrok import cosine_network, full_loss
    >>> model = cosine_network(7, {2: 5.0})
    >>> abs(restricted_loss(model, [2]) - full_loss(model)) < 1e-12
    True
    >>> round(restricted_loss(model, [2], site="neurons"), 3)
    0.269
    """
    return restrict(source, keys, mask, space=space, site=site, keep_mean=keep_mean).loss


@door
def excluded_loss(
    source: Source,
    keys: Iterable[Label],
    mask: Bool[Tensor, " inputs"] | None = None,
    *,
    space: Space = "product",
    site: str = "logits",
) -> float:
    """Loss without the key blocks; high once the network relies on the circuit.

    The part that `restricted_loss` keeps is removed; the mean stays as it is.

    Args:
        mask: inputs to average over. The paper uses the train inputs, `mask=split.train`: on these the loss is
            low as long as memorisation provides the answer. None means all inputs.

    The other arguments, the errors and the source are as in `restricted_loss`. For one block at a time, pass one
    key: `excluded_loss(grid, [k], split.train)`.

    >>> import math
    >>> from mechgrok.models.constructed import cosine_network
    >>> abs(excluded_loss(cosine_network(7, {2: 5.0}), [2]) - math.log(7)) < 1e-12
    True
    """
    return exclude(source, keys, mask, space=space, site=site).loss


def restrict(
    source: Source,
    keys: Iterable[Label],
    mask: Bool[Tensor, " inputs"] | None = None,
    *,
    space: Space = "product",
    site: str = "logits",
    keep_mean: bool | None = None,
) -> EditedAnswers:
    """Answers of the key blocks alone; arguments and errors as in `restricted_loss`."""
    grid, means, kept = _key_part(source, keys, space, site)
    frame, inside = grid.task.frame, _inside(grid, mask)
    if keep_mean is None:
        keep_mean = space == "product" and site != "neurons"
    if keep_mean:
        kept = kept + frame.counts @ (means - kept) / frame.counts.sum()
    if site not in _READ:
        x = frame.spread_by_result(kept, len(inside)).view_as(grid[site])
        return _of_inputs(grid, run_from_site(grid, site, x)[inside], inside)
    counts = answers_of_inputs(frame, len(inside))[inside].bincount(minlength=frame.order).double()
    rows = Rows(_READ[site](grid, kept), frame.answers, counts / counts.sum())
    return EditedAnswers(lambda: [rows], grid.logits)


def exclude(
    source: Source,
    keys: Iterable[Label],
    mask: Bool[Tensor, " inputs"] | None = None,
    *,
    space: Space = "product",
    site: str = "logits",
) -> EditedAnswers:
    """Answers without the key blocks; arguments and errors as in `excluded_loss`."""
    grid, _, kept = _key_part(source, keys, space, site)
    frame, inside = grid.task.frame, _inside(grid, mask)
    x = _at_site(grid, site)
    if site not in _READ:
        x = x.double() - frame.spread_by_result(kept, len(inside)).view_as(x)
        return _of_inputs(grid, run_from_site(grid, site, x)[inside], inside)
    answers, removed = answers_of_inputs(frame, len(inside)), _READ[site](grid, kept)

    def parts() -> Iterator[Rows]:
        inputs = inside.nonzero().squeeze(1)
        for some in inputs.split(max(CHUNK // removed.shape[1], 1)):
            logits = _READ[site](grid, x[some].double()) - removed[answers[some]]
            yield Rows(logits, grid.labels[some], _even(len(some), of=len(inputs)))

    return EditedAnswers(parts, grid.logits)


def check_keys(grid: ActivationGrid, keys: Iterable[Label]) -> tuple[Label, ...]:
    """The keys in the order of the basis.

    Raises:
        UndefinedMetricError: there are none.
        ConfigError: one is not a label of the basis.
    """
    labels = grid.task.frame.basis.check_labels(keys)
    if not labels:
        raise UndefinedMetricError(
            f"no key {grid.task.frame.basis.what} given; if find_key_frequencies found none, "
            "the network has not learned a circuit in this basis"
        )
    return labels


def _key_part(
    source: Source, keys: Iterable[Label], space: Space, site: str
) -> tuple[ActivationGrid, Float[Tensor, "order features"], Float[Tensor, "order features"]]:
    """The grid, the means of its activations at the site per answer, and their part in the key blocks."""
    grid = as_grid(source, names=None if site == "neurons" else [] if site == "logits" else [site])
    labels = check_keys(grid, keys)
    if not isinstance(space, str) or space not in _PARTS:
        raise ConfigError(f"space must be one of {', '.join(_PARTS)}; got {shown(space)}")
    if space == "character" and site != "logits":
        raise ConfigError(
            f"space='character' compares with the classes and needs site='logits', got {site!r}"
        )
    frame = grid.task.frame
    at_logits = site == "logits"
    means = logits_by_answer(grid) if at_logits else means_by_answer(_at_site(grid, site).flatten(1), frame)
    return grid, means, _PARTS[space](means, frame, labels)


def _at_site(grid: ActivationGrid, site: str) -> Tensor:
    if site == "neurons":
        return grid.neurons
    return grid.logits if site == "logits" else grid[site]


_READ: dict[str, Callable[[ActivationGrid, Tensor], Tensor]] = {
    "logits": lambda grid, logits: logits,
    "neurons": lambda grid, neurons: neurons @ grid.neuron_logit_map.double(),
}
"""Map from the activations at a site to the logits, for sites at which it is linear."""


def _inside(grid: ActivationGrid, mask: Tensor | None) -> Bool[Tensor, " inputs"]:
    """The chosen inputs that lie in the frame."""
    return grid.selection(grid.selection(mask) & grid.task.frame.covers(grid.task.n_inputs))


def _of_inputs(grid: ActivationGrid, logits: Tensor, chosen: Tensor) -> EditedAnswers:
    rows = Rows(logits, grid.labels[chosen], _even(len(logits), of=len(logits)))
    return EditedAnswers(lambda: [rows], grid.logits)


def _even(n: int, *, of: int) -> Float[Tensor, " n"]:
    return torch.full((n,), 1 / of, dtype=torch.float64)
