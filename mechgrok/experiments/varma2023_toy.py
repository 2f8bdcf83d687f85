"""Two circuits that share a loss: a simulation after Varma et al. 2023 (arXiv 2309.02390), with equations of our own.

A circuit is a fixed table of logits, scaled by the product of two weights. The memorising one adds to the right logit
of every train input and to one wrong logit of every test input, the generalising one to the right logit of both; other
logits are 0. Both learn by gradient descent with weight decay on the train loss:

    w_c' = a_c w_c p - decay * w_c,    logit of a circuit: a_c w_c^2,    squared norm: 2 w_c^2

for two equal weights w_c, with p the probability that the network gives to wrong answers of train inputs. So a_c is
what a circuit has of logit for half of its squared norm, its efficiency: of the generalising one it is 1, of the
memorising one it falls with the data, as CRITICAL / size.

Once the memorising circuit is at rest, p = decay / a_m, and the other one grows at the rate decay * (1 / a_m - 1):
above CRITICAL it takes over, at any decay, after a time in proportion to 1 / decay.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np

from mechgrok.experiments.reproduction import Curve, Row
from mechgrok.experiments.varma2023_sizes import critical_size, largest_over_smallest

N_CLASSES = 113
CRITICAL = 1000
"""Train inputs at which both circuits are equally efficient."""
SMALL, LARGE = 1e-3, 1.0
"""Initial weights of a circuit that is learned slowly, and of one that is learned fast."""
DECAYS = (0.02, 0.04, 0.08)
SIZES = (500, 707, 841, 917, 1091, 1189, 1414, 2000)
DT = 0.1
TIME_CONSTANTS = 120
"""Length of a simulation, in 1 / decay."""
PICTURED, UNTIL = 80, 12
"""Points of a curve, and time constants that it shows."""


@dataclass(frozen=True)
class Circuits:
    """Efficiency and initial weight of both circuits, and the weight decay."""

    memorising: float
    generalising: float = 1.0
    memory_start: float = LARGE
    general_start: float = SMALL
    decay: float = DECAYS[0]

    @classmethod
    def at(cls, size: int | float, **others: float) -> "Circuits":
        """With the memorising circuit's efficiency at a number of train inputs."""
        return cls(CRITICAL / size, **others)


@dataclass(frozen=True, eq=False)
class ToyCourse:
    """The logits of both circuits over a simulation, and its times."""

    times: np.ndarray
    memory: np.ndarray
    general: np.ndarray

    @property
    def train(self) -> np.ndarray:
        """Probability of the right answer of a train input."""
        return 1 / (1 + (N_CLASSES - 1) * np.exp(-self.memory - self.general))

    @property
    def test(self) -> np.ndarray:
        """Probability of the right answer of a test input, of which the memorising circuit says another."""
        return 1 / (1 + (np.exp(self.memory) + N_CLASSES - 2) * np.exp(-self.general))

    def learned(self, probability: np.ndarray) -> float | None:
        """The first time at which a probability exceeds a half; None for never."""
        over = np.flatnonzero(probability > 0.5)
        return float(self.times[over[0]]) if len(over) else None


def simulate(circuits: Circuits) -> ToyCourse:
    """Descend with steps of `DT`, which is exact where the weights do not move."""
    a = np.array([circuits.memorising, circuits.generalising])
    w = np.array([circuits.memory_start, circuits.general_start])
    steps = round(TIME_CONSTANTS / circuits.decay / DT)
    logits = np.empty((steps + 1, 2))
    for step in range(steps + 1):
        logits[step] = a * w * w
        wrong = 1 / (1 + np.exp(logits[step].sum()) / (N_CLASSES - 1))
        w = w + DT * w * (a * wrong - circuits.decay)
    return ToyCourse(DT * np.arange(steps + 1), *logits.T)


def two_circuits(full: bool) -> Iterator[Row | Curve]:
    """Simulate two circuits with and without what makes them grok, and find the size at which they change places."""
    yield from _ingredients()
    yield from _critical_sizes("learned from the beginning", {})
    grokked = {"memory_start": SMALL, "general_start": (log(N_CLASSES / DECAYS[0])) ** 0.5}
    yield from _critical_sizes("after grokking, on fewer inputs", grokked)


def _ingredients() -> Iterator[Row | Curve]:
    """How many times later than the train inputs the test inputs are learned, with all ingredients and without each."""
    grokking = Circuits.at(2 * CRITICAL)
    cases = {
        "all ingredients": (grokking, (3, None)),
        "no generalising circuit": (replace(grokking, generalising=0.0), None),
        "memorising more efficient": (Circuits.at(CRITICAL / 2), None),
        "generalising learned as fast": (replace(grokking, general_start=LARGE), (1, 1.5)),
    }
    for name, (circuits, bounds) in cases.items():
        course = simulate(circuits)
        train, test = course.learned(course.train), course.learned(course.test)
        if bounds is None:
            final = float(course.test[-1])
            yield Row(f"{name}: test probability of the right answer at the end", None, final, None, 0.05)
        else:
            later = None if train is None or test is None else test / train
            yield Row(f"{name}: how many times later test inputs are learned", None, later, *bounds)
        yield from _pictured(name, course)


def _pictured(name: str, course: ToyCourse) -> Iterator[Curve]:
    titles: dict[str, Any] = {"x_title": "time", "y_title": "probability of the right answer"}
    end = len(course.times) * UNTIL // TIME_CONSTANTS
    at = np.linspace(0, end, PICTURED).round().astype(int)
    times = tuple(round(float(time), 2) for time in course.times[at])
    for line in ("train", "test"):
        yield Curve(name, line, times, tuple(round(float(y), 4) for y in getattr(course, line)[at]), **titles)


def _critical_sizes(name: str, start: dict[str, float]) -> Iterator[Row | Curve]:
    sizes = []
    for decay in DECAYS:
        found = {size: float(simulate(Circuits.at(size, decay=decay, **start)).test[-1]) for size in SIZES}
        size = critical_size(found)
        yield Row(f"{name}, decay {decay:g}: critical size", None, size, 0.9 * CRITICAL, 1.1 * CRITICAL)
        sizes.append(size)
    yield Row(f"{name}: largest over smallest of these", None, largest_over_smallest(sizes), 1, 1.02)
