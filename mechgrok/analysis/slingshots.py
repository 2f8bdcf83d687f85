"""Spikes of the train loss, and slingshots: spikes that throw the last layer's weights outward."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mechgrok.analysis.curves import History, LearningCurve, as_rows, curve
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import UndefinedMetricError
from mechgrok.wording import in_words

LAST_LAYER = "sum_squared_weights_per_tensor[unembed.W_U]"
"""Column of a progress table that holds the squared norm of the last layer."""
TEN_FOLD = 10.0
"""Factor between two rows that counts as a jump."""
GROWTH = 0.01
"""Relative growth of the last layer's norm over a cycle from which it is thrown outward."""
EARLY, EARLY_SHARE = 0.25, 0.5
"""A norm that grows and then rests has at least this share of its growth within this first part of the cycle."""


@dataclass(frozen=True)
class Spike:
    """A spike: the train loss shoots up and comes back down.

    Attributes:
        start: the last step before it.
        end: the step at which the loss has come half-way back on a logarithmic scale, or the last step.
        height: ratio of the highest loss to the loss at the start.
    """

    start: int
    end: int
    height: float


@dataclass(frozen=True)
class Cycle:
    """The stretch from one spike to the next, or to the last step.

    Attributes:
        growth: growth of the norm of the last layer over the cycle, relative to its start.
        early: share of that growth in the first quarter of the cycle; None if the norm does not grow.
    """

    start: int
    end: int
    growth: float
    early: float | None

    @property
    def is_slingshot(self) -> bool:
        """Whether the norm grows with the spike, and then rests until the next one."""
        return self.growth >= GROWTH and self.early is not None and self.early >= EARLY_SHARE


@dataclass(frozen=True)
class Slingshots(Drawable):
    """The instabilities of a training run.

    Attributes:
        ten_fold_jumps: number of rows whose train loss is at least ten times that of the preceding row.
        spikes: jumps that belong together, in order.
        cycles: from spike to spike; None if no norm of the last layer was given, so that only spikes are known.
        first, last: steps between which the train loss was observed.
    """

    ten_fold_jumps: int
    spikes: tuple[Spike, ...]
    cycles: tuple[Cycle, ...] | None
    first: int
    last: int

    @property
    def slingshots(self) -> tuple[Cycle, ...]:
        """The cycles that are slingshots.

        Raises:
            UndefinedMetricError: there are spikes, but no norm to tell whether they are slingshots.
        """
        if self.cycles is None and self.spikes:
            raise UndefinedMetricError(
                f"{in_words(len(self.spikes), 'spike')} of the train loss, and no norm of the last layer that "
                "would tell slingshots from other spikes; give its squared norm as a column, by last_layer="
            )
        return tuple(cycle for cycle in self.cycles or () if cycle.is_slingshot)

    def __repr__(self) -> str:
        known = "norm unknown" if self.cycles is None else in_words(len(self.slingshots), "slingshot")
        jumps = in_words(self.ten_fold_jumps, "ten-fold jump")
        return f"Slingshots({jumps} in {in_words(len(self.spikes), 'spike')}; {known})"


@door
def find_slingshots(history: History, *, last_layer: str = LAST_LAYER) -> Slingshots:
    """Find spikes of the train loss, and determine which of them are slingshots.

    The two are easily confused. A spike begins with a jump of the train loss, to ten times its value or more from
    one row to the next, and lasts until the loss has come half-way back on a logarithmic scale; spikes that touch
    are one. A slingshot is a cycle from one spike to the next in which the norm of the last layer grows, by 1% or
    more, and then rests: at least half of its growth lies in the first quarter. Rounding in low precision also
    causes spikes, but without any such cycle.

    The number of jumps, unlike the number of spikes, depends on how often the loss was evaluated:
    `ten_fold_jumps` of different runs can be compared only if both have a row for every step.

    Args:
        history: rows with `step` and `loss_train`.
        last_layer: the column with the sum of the squared weights of the last layer; it may be absent.

    Raises:
        UndefinedMetricError: there is no row with a train loss.

    Source: the cycles are from Thilak et al. 2022 (arXiv 2206.04817), who show them in figures; the numbers in
    this rule are ours. Ten-fold jumps of a low-precision run: released curves of Nanda et al. 2023.

    >>> losses = [1e-3] * 5 + [0.5, 0.05, 1e-3, 1e-3, 1e-3]
    >>> find_slingshots([{"step": 10 * i, "loss_train": x} for i, x in enumerate(losses)])
    Slingshots(1 ten-fold jump in 1 spike; norm unknown)
    """
    history = as_rows(history)
    loss = curve(history, "loss_train")
    if not len(loss):
        raise UndefinedMetricError("no row has a loss_train, so there are no spikes to find")
    norm = curve(history, last_layer)
    jumps = _jumps(loss)
    spikes = tuple(_spikes(loss, jumps))
    cycles = tuple(_cycles(spikes, norm)) if len(norm) else None
    return Slingshots(len(jumps), spikes, cycles, int(loss.steps[0]), int(loss.steps[-1]))


def _jumps(loss: LearningCurve) -> np.ndarray:
    """Rows after which the loss is at least ten-fold; a loss rounded to 0 counts as the smallest non-zero loss."""
    positive = loss.values[loss.values > 0]
    if not len(positive):
        return np.empty(0, dtype=np.int64)
    values = np.maximum(loss.values, positive.min())
    return np.flatnonzero(values[1:] >= TEN_FOLD * values[:-1])


def _spikes(loss: LearningCurve, jumps: np.ndarray) -> Iterator[Spike]:
    rows: list[tuple[int, int]] = []
    for jump in jumps.tolist():
        last_end = rows[-1][1] if rows else -1
        if jump == last_end:
            rows[-1] = rows[-1][0], _back(loss.values, jump)
        elif jump > last_end:
            rows.append((jump, _back(loss.values, jump)))
    lowest = loss.values[loss.values > 0].min(initial=np.inf)
    for start, end in rows:
        height = loss.values[start : end + 1].max() / max(loss.values[start], lowest)
        yield Spike(int(loss.steps[start]), int(loss.steps[end]), height.item())


def _back(values: np.ndarray, jump: int) -> int:
    """The row at which the loss has come half-way back from its highest value since a jump, or the last row."""
    since = values[jump + 1 :]
    peak = np.maximum.accumulate(since)
    back = np.flatnonzero(since**2 <= values[jump] * peak)
    return jump + 1 + int(back[0]) if len(back) else len(values) - 1


def _cycles(spikes: tuple[Spike, ...], norm: LearningCurve) -> Iterator[Cycle]:
    starts = [spike.start for spike in spikes]
    for start, end in zip(starts, [*starts[1:], int(norm.steps[-1])], strict=True):
        if end <= start:
            continue
        quarter = start + round(EARLY * (end - start))
        before, then, after = (norm.at(step) ** 0.5 for step in (start, quarter, end))
        yield Cycle(
            start, end, after / before - 1, (then - before) / (after - before) if after > before else None
        )
