"""The step at which something first happened, over several runs."""

from collections.abc import Sequence
from statistics import median

from mechgrok.runs import HistoryRow


def median_step(steps: Sequence[int | float | None]) -> int | float | None:
    """Median over runs, with "never" counted as later than any step; None if the median is "never"."""
    middle = median(float("inf") if step is None else step for step in steps)
    return None if middle == float("inf") else middle


def best_accuracy(history: Sequence[HistoryRow]) -> float:
    """The best test accuracy of a run, 0..1; the value that tables give for networks that did not grok.

    >>> best_accuracy([{"step": 0, "accuracy_test": 0.1}, {"step": 10, "accuracy_test": 0.3}])
    0.3
    """
    return max(row["accuracy_test"] or 0.0 for row in history)
