"""Phase changes: the windows of steps in which a curve moves abruptly, found by its derivative."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechgrok.analysis.curves import History, LearningCurve, as_rows, curve
from mechgrok.door import NotNegative, Share, door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, UndefinedMetricError, shown
from mechgrok.readable import Readable

SMOOTHING = 0.01
"""Standard deviation of the Gaussian that a curve is smoothed with, as a fraction of its steps."""
EDGE = 0.5
"""A window reaches to where the curve is this fraction as steep as at its steepest."""
LEAST = 0.1
"""A phase change moves the curve by this fraction of its range, or more,"""
ABRUPT = 3.0
"""so many times as fast as it would if it moved evenly through its range, or faster,"""
SLOWER = 0.5
"""with no more than this fraction of the speed just before,"""
NOISE = 7.0
"""and further than that by so many standard deviations of the noise that is left after smoothing."""
AT_THE_END = 2.0
"""At the last row smoothing leaves so many times as much noise as inside, where there are rows on both sides."""
POINTS = 2000
"""Places at which the smoothed curve is looked at."""
REACH = 4
"""Standard deviations after which the Gaussian is cut off."""
RULE = (
    f"the curve moves one way, at least {EDGE:g} times as fast as at its steepest; by at least {LEAST:z.0%} of its "
    f"range; at least {ABRUPT:g} times as fast as on average; and at least twice as fast as just before"
)


@dataclass(frozen=True)
class PhaseChange(Readable):
    """A stretch of a training in which a curve moves abruptly.

    Attributes:
        start, end: steps between which the curve is at least half as steep as at its steepest.
        steepest: step at which it is.
        before, after: values of the smoothed curve at start and end. Both lie on the slope; of a sigmoid, 71% of the
            change is between them.
        share: the change between them as a fraction of the range of the curve, 0..1.
        speed: how many times as fast it is as the curve would be if it moved evenly through its range.
        over: false where the curve still moves as fast at its last row.
    """

    start: int
    steepest: int
    end: int
    before: float
    after: float
    share: float
    speed: float
    over: bool

    def __str__(self) -> str:
        ends = f"{self.start} to {self.end}" if self.over else f"{self.start} on"
        return f"step {ends}: {self.before:z.3g} to {self.after:z.3g}"


@dataclass(frozen=True, eq=False)
class PhaseChanges(Drawable):
    """The phase changes of a curve, in the order of their steps.

    Attributes:
        curve: the quantity that was looked at.
        changes: none where it has none.
        resolution: steps below which times cannot be told apart: the width of the smoothing.
        rule: what counts as a phase change, in words.
    """

    curve: LearningCurve
    changes: tuple[PhaseChange, ...]
    resolution: float
    rule: str = RULE

    def __iter__(self) -> Iterator[PhaseChange]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def largest(self) -> PhaseChange:
        """The one that moves the curve most.

        Raises:
            UndefinedMetricError: there is none.
        """
        if not self.changes:
            raise UndefinedMetricError(f"{self.curve.name} has no phase change: {self.rule}")
        return max(self.changes, key=lambda change: change.share)

    def records(self) -> list[dict[str, Any]]:
        """One row per phase change."""
        return [vars(change) for change in self.changes]

    def __repr__(self) -> str:
        return f"PhaseChanges({self.curve.name}; {'; '.join(map(str, self.changes)) or 'none'})"


@door
def find_phase_changes(
    history: History, name: str = "loss_test", *, smoothing: Share = SMOOTHING, least: NotNegative = 0.0
) -> PhaseChanges:
    """Where a loss or a score changes abruptly, after it has changed slowly.

    The curve is smoothed by a Gaussian over the steps, and its derivative taken. Around each place where that is
    largest lies a window in which the curve moves one way and is at least half as steep. It is a phase change if the
    curve moves, between its ends, by a tenth of its range or more; three times as fast as it would if it moved evenly
    through its range; twice as fast as in the stretch before, which is as long, or begins at the first row; and further
    than noise does. A curve that decays from the first step on has none: nothing was different before.

    A straight line has none, at any noise. A sigmoid 1/(1+exp(-(t-m)/w)) has one, from m - 1.76 w to m + 1.76 w, where
    w is wide against the smoothing and narrow against the training. A loss that falls in several steps has several.

    Args:
        history: rows with a `step` and the quantity; or a run, its name or its folder.
        name: of the quantity; its values may have either sign.
        smoothing: standard deviation of the Gaussian, as a fraction of the steps between the first and the last row.
        least: a curve whose range is smaller, in its own unit, is flat and has no phase change.

    Raises:
        UndefinedMetricError: fewer than 5 rows have the quantity.
        ConfigError: no smoothing at all, or 20% and more; rows without a step, or out of order.

    Source: Olsson et al. 2022 (arXiv 2209.11895) take their window from the derivative of the in-context learning
    score; the rule is ours.

    >>> steps = np.arange(0, 2001, 10)
    >>> rows = [{"step": int(t), "loss_test": 4 / (1 + np.exp((t - 800) / 50))} for t in steps]
    >>> change = find_phase_changes(rows).largest
    >>> change.start, change.steepest, change.end
    (708, 800, 891)
    """
    if not 0 < smoothing < 0.2:
        raise ConfigError(f"smoothing is a fraction of the steps above 0 and below 0.2, got {smoothing:g}")
    line = curve(as_rows(history), name)
    if len(line) < 5:
        raise UndefinedMetricError(
            f"a phase change needs 5 rows with {shown(name)} or more, and {len(line)} have it"
        )
    steps = np.linspace(line.steps[0], line.steps[-1], POINTS)
    values, slopes = _smooth(np.interp(steps, line.steps, line.values), smoothing * POINTS)
    span = float(steps[-1] - steps[0])
    noise = _noise(line) * _left_of_noise(len(line), smoothing)
    flat = np.ptp(values) < least
    found = [] if flat else _windows(steps, values, slopes * POINTS / span, smoothing * span, noise)
    changes = tuple(sorted(found, key=lambda change: change.start))
    return PhaseChanges(line, changes, smoothing * span)


def _smooth(values: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Value and slope per point of straight lines that are fitted around each point, with Gaussian weights.

    Inside this is a Gaussian filter and its derivative; at the ends, other than that, a straight line stays as it is.

    Args:
        width: standard deviation of the weights, in points.
    """
    reach = min(int(REACH * width) + 1, len(values) - 1)
    away = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (away / width) ** 2)

    def moment(power: int, of: np.ndarray) -> np.ndarray:
        # np.convolve turns its second argument round, and with it the sign of the distance.
        return np.convolve(of, weights * (-away) ** power)[reach : reach + len(of)]

    ones = np.ones_like(values)
    s0, s1, s2 = (moment(power, ones) for power in range(3))
    t0, t1 = moment(0, values), moment(1, values)
    determinant = s0 * s2 - s1**2
    return (s2 * t0 - s1 * t1) / determinant, (s0 * t1 - s1 * t0) / determinant


def _noise(line: LearningCurve) -> float:
    """Standard deviation of the noise of a row, from second differences, which smooth stretches leave small."""
    bends = np.diff(line.values, 2)
    return float(1.4826 * np.median(np.abs(bends)) / np.sqrt(6))


def _left_of_noise(n_rows: int, smoothing: float) -> float:
    """By how much smoothing lowers noise that is independent from row to row."""
    averaged = 2 * np.sqrt(np.pi) * smoothing * n_rows
    return float(1 / np.sqrt(max(averaged, 1.0)))


def _windows(
    steps: np.ndarray, values: np.ndarray, slopes: np.ndarray, resolution: float, noise: float
) -> Iterator[PhaseChange]:
    """Phase changes, the steepest first; no two of them overlap."""
    average = float(np.ptp(values)) / float(steps[-1] - steps[0])
    left, seen = np.abs(slopes), np.zeros(len(steps), dtype=bool)
    # A window is nowhere as fast as a phase change is on average, unless it is so at its steepest.
    while average and left.max() >= ABRUPT * average:
        top = int(left.argmax())
        first, last = _window(slopes, top)
        overlaps = seen[first : last + 1].any()
        seen[first : last + 1], left[first : last + 1] = True, 0
        if overlaps or first == last:
            continue
        found = _change(steps, values, first, top, last)
        if _is_abrupt(found, _went_on(steps, values, first, last, resolution), noise):
            yield found


def _is_abrupt(found: PhaseChange, went_on: float, noise: float) -> bool:
    """Whether a window is a phase change; `went_on` is what the curve would have done at its speed before."""
    moved = found.after - found.before
    as_before = max(went_on if moved > 0 else -went_on, 0.0)
    uncertain = noise if found.over else AT_THE_END * noise
    return (
        found.share >= LEAST
        and found.speed >= ABRUPT
        and as_before <= SLOWER * abs(moved)
        and abs(moved) - as_before >= NOISE * uncertain
    )


def _went_on(steps: np.ndarray, values: np.ndarray, first: int, last: int, resolution: float) -> float:
    """By how much the curve would have moved in a window at its speed in the stretch before, which is as long.

    Without such a stretch, or with one too short to be seen, nothing shows that it was slower: infinitely much.
    """
    width = float(steps[last] - steps[first])
    begin = int(np.searchsorted(steps, steps[first] - width))
    length = float(steps[first] - steps[begin])
    if length < resolution:
        return math.inf if values[last] > values[first] else -math.inf
    return float(values[first] - values[begin]) * width / length


def _window(slopes: np.ndarray, top: int) -> tuple[int, int]:
    """First and last point around the steepest one where the curve moves the same way, half as steeply or more."""
    flat = np.flatnonzero(slopes * np.sign(slopes[top]) < EDGE * abs(slopes[top]))
    before, after = flat[flat < top], flat[flat > top]
    return int(before[-1]) + 1 if len(before) else 0, int(after[0]) - 1 if len(after) else len(slopes) - 1


def _change(steps: np.ndarray, values: np.ndarray, first: int, top: int, last: int) -> PhaseChange:
    share = abs(float(values[last] - values[first])) / float(np.ptp(values))
    width = float(steps[last] - steps[first]) / float(steps[-1] - steps[0])
    return PhaseChange(
        start=round(float(steps[first])),
        steepest=round(float(steps[top])),
        end=round(float(steps[last])),
        before=float(values[first]),
        after=float(values[last]),
        share=share,
        speed=share / width,
        over=last < len(steps) - 1,
    )
