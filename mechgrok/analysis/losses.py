"""Losses and accuracy over the grid.

Losses are in nats, averaged over inputs, and computed in float64.
"""

from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.door import door
from mechgrok.errors import UndefinedMetricError

CHUNK = 2**15
"""Number of logits processed at a time, so that they stay in the cache in float64."""


def centred(x: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows classes"]:
    """Without what is common to all classes, which no answer depends on."""
    return x - x.mean(1, keepdim=True)


def margins(logits: Float[Tensor, "rows classes"], labels: Int[Tensor, " rows"]) -> Float[Tensor, " rows"]:
    """By how much the right logit exceeds the largest wrong one."""
    right = logits.gather(1, labels[:, None]).squeeze(1)
    return right - logits.scatter(1, labels[:, None], -torch.inf).amax(1)


def cross_entropy(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Cross-entropy of each row in nats, in float64.

    It is computed from the wrong classes, log(1 + sum exp(wrong - right)), so that a loss of 1e-20 keeps all its
    digits, whereas log_softmax would round it against 1.

    >>> cross_entropy(torch.tensor([[0.0, 50.0]]), torch.tensor([1])).item() < 1e-21
    True
    """
    rows = max(CHUNK // logits.shape[1], 1)
    parts = zip(logits.split(rows), labels[:, None].split(rows), strict=True)
    return torch.cat([_cross_entropy(part, y) for part, y in parts])


def _cross_entropy(logits: Float[Tensor, "batch classes"], y: Int[Tensor, "batch 1"]) -> Tensor:
    right = logits.gather(1, y).double()
    wrong = (logits - right).scatter_(1, y, -torch.inf)
    odds = wrong.exp().sum(1)
    if odds.max() < torch.inf:
        return odds.log1p()
    return functional.softplus(wrong.logsumexp(1), threshold=50)


@door
def full_loss(source: Source, mask: Bool[Tensor, " inputs"] | None = None) -> float:
    """Cross-entropy in nats over the inputs in `mask` (all if None); for values, the mean squared error.

    Logits beyond the answers of the task are dropped first. Every scored position counts as an answer.

    Raises:
        UndefinedMetricError: the mask selects nothing.

    >>> from mechgrok.models.constructed import cosine_network
    >>> round(full_loss(cosine_network(7, {2: 5.0})), 3)
    0.269
    """
    grid = as_grid(source, names=[])
    chosen = grid.selection(mask)
    if grid.labels.is_floating_point():
        return mean_loss(grid.logits, grid, mask)
    return losses_of(grid)[chosen].mean().item()


_LOSSES: WeakKeyDictionary[ActivationGrid, tuple[tuple[int, float], Tensor]] = WeakKeyDictionary()


def losses_of(grid: ActivationGrid) -> Float[Tensor, "inputs *scored"]:
    """Cross-entropy in nats of every answer, in float64. A grid is asked for it many times, and computes it once."""
    state, losses = _LOSSES.get(grid, (None, None))
    now = _state(grid.logits)
    if losses is None or state != now:
        losses = cross_entropy(grid.logits.flatten(0, -2), grid.labels.flatten()).view(grid.labels.shape)
        if now is not None:
            _LOSSES[grid] = now, losses
    return losses


def _state(x: Tensor) -> tuple[int, float] | None:
    """What tells whether somebody has written into a tensor; None if nothing does.

    Its version counts operations in place, and its sum notices what went past them, as through `x.data`.
    """
    return None if x.is_inference() else (x._version, x.sum().item())


@door
def accuracy(source: Source, mask: Bool[Tensor, " inputs"] | None = None) -> float:
    """Share of right answers in 0..1 over the inputs in `mask` (all if None); each scored position is an answer.

    Raises:
        UndefinedMetricError: the mask selects nothing; answers are values.

    >>> from mechgrok.models.constructed import cosine_network
    >>> accuracy(cosine_network(7, {2: 5.0}))
    1.0
    """
    grid = as_grid(source, names=[])
    chosen = grid.selection(mask)
    if grid.labels.is_floating_point():
        raise UndefinedMetricError(
            f"the answers of {grid.task.name} are values, which are near or far; see r2"
        )
    return (grid.logits.argmax(-1) == grid.labels)[chosen].double().mean().item()


@door
def r2(source: Source, mask: Bool[Tensor, " inputs"] | None = None) -> float:
    """Coefficient of determination of values: 1 is perfect, 0 is no better than predicting their mean.

    Raises:
        UndefinedMetricError: the mask selects nothing; answers are classes, or all the same.

    >>> from mechgrok import array_task, grid_from_tensors
    >>> task = array_task([[0.0], [1.0]], [[1.0], [3.0]])
    >>> r2(grid_from_tensors(task, torch.tensor([[1.0], [2.0]])))
    0.5
    """
    grid = as_grid(source, names=[])
    chosen = grid.selection(mask)
    if not grid.labels.is_floating_point():
        raise UndefinedMetricError(
            f"the answers of {grid.task.name} are classes, right or wrong; see accuracy"
        )
    share = explained_variance(grid.logits[chosen].flatten(0, -2), grid.labels[chosen].flatten(0, -2))
    if share is None:
        raise UndefinedMetricError("all answers are the same, so there is nothing to explain")
    return share


def explained_variance(outputs: Float[Tensor, "n d_out"], values: Float[Tensor, "n d_out"]) -> float | None:
    """1 minus the squared errors relative to those of the mean of the values; None if all values are the same."""
    wanted = values.double()
    total = (wanted - wanted.mean(0)).square().sum()
    return (1 - (outputs - wanted).square().sum() / total).item() if total > 0 else None


def task_score(grid: ActivationGrid, mask: Bool[Tensor, " inputs"] | None = None) -> float:
    """The task's score of the answers: accuracy for classes, r2 for values."""
    return accuracy(grid, mask) if grid.task.score == "accuracy" else r2(grid, mask)


def mean_loss(
    logits: Float[Tensor, "inputs *scored classes"],
    grid: ActivationGrid,
    mask: Bool[Tensor, " inputs"] | None,
) -> float:
    """Cross-entropy of other logits on the inputs of a grid, over a mask; for values, the mean squared error."""
    chosen = grid.selection(mask)
    if grid.labels.is_floating_point():
        return (logits[chosen].double() - grid.labels[chosen].double()).square().mean().item()
    logits, labels = (logits, grid.labels) if chosen.all() else (logits[chosen], grid.labels[chosen])
    return cross_entropy(logits.flatten(0, -2), labels.flatten()).mean().item()


def right_after_edit(
    logits: Float[Tensor, "inputs classes"],
    labels: Int[Tensor, " inputs"],
    before: Float[Tensor, "..."],
) -> Float[Tensor, " inputs"]:
    """1 for inputs whose edited logits give the right answer, 0 otherwise, in float64.

    Classes that differ only by the rounding of the logits `before` share the answer: if everything that
    distinguished them has been removed, the largest logit is meaningless.
    """
    eps = torch.finfo(before.dtype).eps
    # Sums of many products round in the last two digits of float32; half precision has only two of its own.
    rounding = eps * (100 if eps < 1e-6 else 2) * before.abs().max()
    rows = max(CHUNK // logits.shape[1], 1)
    parts = zip(logits.split(rows), labels[:, None].split(rows), strict=True)
    return torch.cat([_share_of_right(part, y, rounding) for part, y in parts])


def _share_of_right(
    logits: Float[Tensor, "batch classes"], y: Int[Tensor, "batch 1"], rounding: Tensor
) -> Float[Tensor, " batch"]:
    first = logits >= logits.amax(1, keepdim=True) - rounding
    return first.gather(1, y).squeeze(1).double() / first.sum(1)
