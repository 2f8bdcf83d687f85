"""Curves over the steps of training: one quantity at the evaluations that have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from mechgrok.errors import ConfigError, shown
from mechgrok.opening import GridSource, Openable, open_run

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
class Curve:
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

    def before(self, step: int | None) -> "Curve":
        """The part before a step; all of it if None."""
        kept = slice(None) if step is None else self.steps < step
        return Curve(self.name, self.steps[kept], self.values[kept])

    def at(self, step: int) -> float:
        """Value at a step, or at the last step before it; the first value if there is none before."""
        return self.values[max(self.steps.searchsorted(step, side="right") - 1, 0)].item()


def curve(history: History, name: str) -> Curve:
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
    return Curve(name, steps[measured], values[measured])


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


def _check_order(history: Rows) -> None:
    if not all(isinstance(row.get("step"), Integral) for row in history):
        raise ConfigError("every row of a history needs a step, its number of updates")
    steps = np.array([row["step"] for row in history])
    falls = np.flatnonzero(np.diff(steps) <= 0)
    if len(falls):
        a, b = steps[falls[0]], steps[falls[0] + 1]
        raise ConfigError(f"steps must ascend, but {b} follows {a}; sort the rows and drop repeated ones")
