"""Squared norms of circuits at one logit scale, and where memorising and generalising cost the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import exp, expm1, log
from statistics import mean
from typing import Literal

import numpy as np

from mechgrok.experiments.varma2023_sizes import geometric

Circuit = Literal["memorising", "generalising"]


@dataclass(frozen=True)
class Point:
    """A network at rest.

    Attributes:
        size: number of train inputs.
        scale: of its logits on these, see `logit_scale`.
        norm: sum of all squared weights.
        share: of the squares of the logits, less their mean over the classes, in cosines of a+b-c; for random labels 0.
    """

    circuit: Circuit
    size: int
    decay: float
    seed: int
    scale: float
    norm: float
    share: float = 0.0


def logit_scale(loss: float, p: int) -> float:
    """By how much the right logit exceeds p - 1 equal wrong ones at a loss in nats.

    >>> round(logit_scale(log(2), 59), 2), round(logit_scale(1e-3, 59), 2)
    (4.06, 10.97)
    """
    return log((p - 1) / expm1(loss))


Norms = dict[Circuit, dict[int, float]]
"""Squared norms by circuit and size, in ascending order of the size."""


def at_equal_scale(points: Sequence[Point], at: float | None = None) -> Norms:
    """The squared norms at one logit scale, as the geometric mean over seeds.

    The logarithm of the norm is taken to be linear in that of the scale over the decays, with one slope for all sizes
    and seeds of a circuit.

    Args:
        at: the logit scale; None takes the mean of the generalising networks.
    """
    at = mean(point.scale for point in points if point.circuit == "generalising") if at is None else at
    return {circuit: _norms([p for p in points if p.circuit == circuit], at) for circuit in _circuits(points)}


def _norms(points: Sequence[Point], at: float) -> dict[int, float]:
    groups = [list(group) for _, group in groupby(sorted(points, key=_group), key=_group)]
    x, y = (
        [[log(getattr(point, name)) for point in group] for group in groups] for name in ("scale", "norm")
    )
    off_x, off_y = (np.concatenate([np.array(values) - mean(values) for values in lists]) for lists in (x, y))
    spread = float(off_x @ off_x)
    slope = float(off_x @ off_y) / spread if spread else 0.0
    levels: dict[int, list[float]] = {}
    for group, xs, ys in zip(groups, x, y, strict=True):
        levels.setdefault(group[0].size, []).append(mean(ys) + slope * (log(at) - mean(xs)))
    return {size: exp(mean(found)) for size, found in levels.items()}


def _group(point: Point) -> tuple[int, int]:
    return point.size, point.seed


def _circuits(points: Sequence[Point]) -> list[Circuit]:
    return list(dict.fromkeys(point.circuit for point in points))


def crossing(norms: Norms) -> float | None:
    """The size at which memorising costs the norm of generalising, between two sizes on logarithmic scales.

    None if it costs less, or more, at all sizes.

    >>> crossing({"memorising": {100: 200.0, 400: 800.0}, "generalising": {1000: 390.0, 2000: 410.0}})
    200.0
    """
    target = log(mean(norms["generalising"].values()))
    for (low, less), (high, more) in pairwise(norms["memorising"].items()):
        if less < more and log(less) <= target <= log(more):
            share = (target - log(less)) / (log(more) - log(less))
            return round(geometric(low, high, share), 0)
    return None
