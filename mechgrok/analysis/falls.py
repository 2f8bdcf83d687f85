"""When a loss falls from its highest level to its lowest, and where the corners of that fall are.

Losses are considered on a logarithmic scale, and corners are found with straight lines and fractions of the fall.
So neither the depth of the losses, nor the length of the training, nor the spacing of the rows matters.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mechgrok.analysis.curves import LearningCurve
from mechgrok.errors import UndefinedMetricError

EDGE = 0.05
"""Fraction of a fall, in the logarithm of the loss, that counts as the level before it, and as the level after it."""
AS_FAR = 0.95
"""A point at this fraction of the corner's distance from the straight line could also be the corner."""
BEND = 0.2
"""A fall is over if it has bent away from a straight line by this fraction of its second half."""
WINDOW, WIDEST = 0.01, 201
"""Rows of the running median: fraction of all rows, and maximum."""


@dataclass(frozen=True)
class Boundary:
    """A step at which something begins or ends, with the earliest and the latest plausible step."""

    step: int
    earliest: int
    latest: int

    def __str__(self) -> str:
        return f"{self.step} [{self.earliest}..{self.latest}]"


@dataclass(frozen=True)
class Fall:
    """A fall of a loss.

    Attributes:
        over: false if the loss is still falling as before at the last row, so that the fall has no end yet.
    """

    start: Boundary
    end: Boundary
    over: bool


def log_loss(loss: LearningCurve) -> np.ndarray:
    """[rows], natural logarithm of a loss after a running median, which removes spikes of a few rows.

    The median leaves monotonic stretches unchanged. A loss of exactly 0 was rounded, and counts as the smallest
    non-zero loss of the curve.

    Raises:
        UndefinedMetricError: a negative loss, or none above 0.
    """
    if (loss.values < 0).any() or not loss.values.any():
        raise UndefinedMetricError(f"{loss.name} has negative values or nothing but zeros: it is no loss")
    logs = np.log(np.maximum(loss.values, loss.values[loss.values > 0].min()))
    width = min(max(3, int(WINDOW * len(logs))), WIDEST) | 1
    if len(logs) < width:
        return logs
    half = width // 2
    medians = np.median(np.lib.stride_tricks.sliding_window_view(logs, width), axis=1)
    return np.concatenate([logs[:half], medians, logs[len(logs) - half :]])


def find_fall(loss: LearningCurve) -> Fall:
    """The fall of a loss from its highest level to the lowest level after that.

    Its start is the upper corner: the row whose logarithm is farthest above the straight line from the highest
    point to the point half-way down. Its end is the lower corner: the row farthest below the straight line from
    there to the last row. Rows next to a corner and 95% as far from the line are also plausible. The
    earliest start is the last row within 5% of the high level, and the latest end the first row within 5% of the
    low one: a fall that sets in gently does not have a sharp start.

    Raises:
        UndefinedMetricError: a loss that never falls, of fewer than 2 rows, or that is not a loss.

    >>> steps = np.arange(0, 1000, 10)
    >>> fall = find_fall(LearningCurve("loss", steps, 10.0 ** np.interp(steps, [400, 600], [1, -7])))
    >>> print(fall.start, fall.end, fall.over)
    400 [370..410] 600 [590..610] True
    """
    logs = log_loss(loss) if len(loss) > 1 else np.zeros(1)
    top = int(logs.argmax())
    bottom = top + int(logs[top:].argmin())
    depth = logs[top] - logs[bottom]
    if not depth:
        raise UndefinedMetricError(f"{loss.name} does not fall, in {len(loss)} rows")
    lost = (logs[top] - logs) / depth
    half = top + int((lost[top:] >= 0.5).argmax())
    above = _corner(loss.steps, logs, top, half)
    below = _corner(loss.steps, -logs, half, len(logs) - 1)
    leaves = top + int(np.flatnonzero(lost[top : half + 1] <= EDGE)[-1])
    arrives = half + int((lost[half:] >= 1 - EDGE).argmax())
    return Fall(
        start=_boundary(loss.steps, above.row, min(leaves, above.first), above.last),
        end=_boundary(loss.steps, below.row, below.first, max(arrives, below.row)),
        over=below.row < len(logs) - 1 and below.distance >= BEND * (logs[half] - logs[bottom]).item(),
    )


class _Corner(NamedTuple):
    """Row farthest above a straight line, the surrounding rows that are nearly as far, and its distance."""

    row: int
    first: int
    last: int
    distance: float


def _corner(steps: np.ndarray, values: np.ndarray, first: int, last: int) -> _Corner:
    """The corner above the straight line between two rows of a curve; the first row if nothing lies above."""
    rows = slice(first, last + 1)
    line = np.interp(steps[rows], steps[[first, last]], values[[first, last]])
    distance = values[rows] - line
    row = int(distance.argmax())
    near = np.flatnonzero(distance < AS_FAR * distance[row])
    before, after = near[near < row], near[near > row]
    start = int(before[-1]) + 1 if len(before) else 0
    end = int(after[0]) - 1 if len(after) else row
    return _Corner(first + row, first + start, first + end, distance[row].item())


def _boundary(steps: np.ndarray, row: int, earliest: int, latest: int) -> Boundary:
    """A boundary at a row; its interval extends to the rows on either side, between which nothing is known."""
    rows = np.clip([row, earliest - 1, latest + 1], 0, len(steps) - 1)
    return Boundary(*steps[rows].tolist())


def lowest(loss: LearningCurve, factor: int | float) -> Boundary | None:
    """Where a loss is lowest before it rises by at least a factor; None if it never does.

    Of several such places, the one followed by the greatest rise is chosen. The interval consists of the steps
    around it within 5% of that rise, on a logarithmic scale, and the rows next to these.

    >>> steps = np.arange(0, 1000, 10)
    >>> lowest(LearningCurve("loss", steps, 10.0 ** np.interp(steps, [0, 300, 900], [1, -3, 1])), 2)
    Boundary(step=300, earliest=280, latest=340)
    """
    if len(loss) < 2:
        return None
    logs = log_loss(loss)
    rises = np.maximum.accumulate(logs[::-1])[::-1] - logs
    row = int(rises.argmax())
    if rises[row] < np.log(factor):
        return None
    high = np.flatnonzero(logs > logs[row] + EDGE * rises[row])
    before, after = high[high < row], high[high > row]
    return _boundary(loss.steps, row, int(before[-1]) + 1 if len(before) else 0, int(after[0]) - 1)
