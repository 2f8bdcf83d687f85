"""When something first happened in a training."""

from collections.abc import Sequence
from statistics import median

from mechgrok.runs import HistoryRow


def first_step(
    history: Sequence[HistoryRow], quantity: str, *, below: float | None = None, above: float | None = None
) -> float | None:
    """The first evaluated step at which a quantity lies below, or at or above, a threshold; None for never.

    >>> history = [{"step": 0, "loss_test": 5.0}, {"step": 10, "loss_test": 0.5}]
    >>> first_step(history, "loss_test", below=1.0)
    10.0
    """
    for row in history:
        value, step = row[quantity], row["step"]
        if value is None or step is None:
            continue
        if (below is not None and value < below) or (above is not None and value >= above):
            return float(step)
    return None


def median_step(steps: Sequence[float | None]) -> float | None:
    """Median over runs, in which never counts as later than everything; None if that is where the median lies."""
    middle = median(float("inf") if step is None else step for step in steps)
    return None if middle == float("inf") else middle


def best_accuracy(history: Sequence[HistoryRow]) -> float:
    """The best test accuracy of a training, 0..1; what tables give for networks that did not grok.

    >>> best_accuracy([{"step": 0, "accuracy_test": 0.1}, {"step": 10, "accuracy_test": 0.3}])
    0.3
    """
    return max(row["accuracy_test"] or 0.0 for row in history)
