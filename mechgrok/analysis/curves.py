"""Curves over the steps of training: one quantity at the evaluations that have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from mechgrok.errors import ConfigError, shown
from mechgrok.opening import GridSource, Openable, open_run
from mechgrok.registries import CROSS_ENTROPY, OBJECTIVES

Rows = Sequence[Mapping[str, Any]]
"""Rows in the order of their `step`, as a run keeps them; a quantity that is absent or None was not measured."""
if TYPE_CHECKING:
    History = Rows | GridSource | Openable
else:
    History = Any  # `as_rows` refuses anything else with an explanation
"""Rows, or a run, its name or its folder, whose history provides the rows."""


def as_rows(history: History) -> Rows:
    """The rows of a history, given directly or as a run.

    Raises:
        ConfigError: it is neither; rows without a step, or out of order; a value that is not a number.
        CheckpointError: there is no run of that name or in that folder.
    """
    opened: Any = open_run(history) if isinstance(history, str | PathLike) else history
    rows = getattr(opened, "history", opened)
    if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise ConfigError(
            "a history is a list of rows {'step': 0, 'loss_test': 5.0, ...}, or a run, its name or its folder; "
            f"got {shown(history)}"
        )
    _check_order(rows)
    return rows


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """One quantity over the steps.

    Attributes:
        name: the name of the quantity.
        steps: [rows], ascending.
        values: [rows], finite.
    """

    name: str
    steps: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)

    def before(self, step: int | None) -> "LearningCurve":
        """The part before a step; all of it if None."""
        kept = slice(None) if step is None else self.steps < step
        return LearningCurve(self.name, self.steps[kept], self.values[kept])

    def at(self, step: int) -> float:
        """Value at a step, or at the last step before it; the first value if there is none before."""
        return self.values[max(self.steps.searchsorted(step, side="right") - 1, 0)].item()


def curve(history: History, name: str) -> LearningCurve:
    """The rows of a history that have a quantity; an empty curve if there are none.

    Non-finite values, as left by a run that diverged, are not points of a curve either.

    Raises:
        ConfigError: rows without a step, or out of order.

    >>> curve([{"step": 0, "loss": 2.0}, {"step": 5, "loss": None}, {"step": 9, "loss": 1.0}], "loss").steps
    array([0, 9])
    """
    history = as_rows(history)
    rows = [(row["step"], row[name]) for row in history if row.get(name) is not None]
    steps = np.array([step for step, _ in rows], dtype=np.int64)
    try:
        values = np.array([value for _, value in rows], dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"{shown(name)} of some row of the history is no number") from None
    if values.ndim != 1:
        raise ConfigError(f"{shown(name)} of some row of the history is no number")
    measured = np.isfinite(values)
    return LearningCurve(name, steps[measured], values[measured])


def objective_of(history: History) -> str:
    """The objective whose losses a history has: a row repeats those that are no cross-entropies under their own name.

    >>> objective_of([{"step": 0, "loss_train": 1.0}]), objective_of([{"step": 0, "loss_train": 1.0, "mse_train": 1.0}])
    ('cross_entropy', 'mse')
    """
    rows = as_rows(history)
    named = (name for name in OBJECTIVES if any(f"{name}_train" in row for row in rows[-1:]))
    return next(named, CROSS_ENTROPY)


def first_step(
    history: History, name: str, *, below: int | float | None = None, at_least: int | float | None = None
) -> int | None:
    """The first measured step at which a quantity lies below a bound, or reaches one; None if never.

    Raises:
        ConfigError: neither bound, or both; rows out of order.

    >>> first_step([{"step": 0, "loss_test": 5.0}, {"step": 10, "loss_test": 0.5}], "loss_test", below=1.0)
    10
    """
    if (below is None) == (at_least is None):
        raise ConfigError(f"give one of below and at_least, got below={below} and at_least={at_least}")
    line = curve(history, name)
    reached = line.values < below if below is not None else line.values >= at_least
    return int(line.steps[reached.argmax()]) if reached.any() else None


def stable_step(history: History, name: str, *, at_least: int | float) -> int | None:
    """The first measured step from which on a quantity never falls below a bound again; None for never.

    A first crossing may be a spike, after which the network unlearns again.

    Raises:
        ConfigError: rows out of order.

    >>> rows = [{"step": step, "accuracy_test": value} for step, value in enumerate((0.1, 1.0, 0.3, 1.0, 1.0))]
    >>> first_step(rows, "accuracy_test", at_least=0.99), stable_step(rows, "accuracy_test", at_least=0.99)
    (1, 3)
    """
    line = curve(history, name)
    below = np.flatnonzero(line.values < at_least)
    after = int(below[-1]) + 1 if len(below) else 0
    return int(line.steps[after]) if after < len(line) else None


def _check_order(history: Rows) -> None:
    if not all(isinstance(row.get("step"), Integral) for row in history):
        raise ConfigError("every row of a history needs a step, its number of updates")
    steps = np.array([row["step"] for row in history])
    falls = np.flatnonzero(np.diff(steps) <= 0)
    if len(falls):
        a, b = steps[falls[0]], steps[falls[0] + 1]
        raise ConfigError(f"steps must ascend, but {b} follows {a}; sort the rows and drop repeated ones")
