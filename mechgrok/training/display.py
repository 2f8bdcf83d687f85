"""The progress bar of a training in the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mechgrok.runs import HistoryRow

Report = Callable[[HistoryRow], None]

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(bar_width=10),
    TextColumn("{task.completed:.0f}/{task.total:.0f}"),
    TextColumn("{task.fields[state]}"),
    TimeRemainingColumn(),
)
"""Together 80 characters wide. The time is that to the last step; a network may settle long before."""


@contextmanager
def progress_bar(name: str, steps: int, *, start: int = 0, enabled: bool = True) -> Iterator[Report]:
    """A bar that shows the newest history row that it is told; writes to standard error."""
    progress = Progress(*COLUMNS, console=Console(stderr=True), disable=not enabled)
    with progress:
        bar = progress.add_task(name, total=steps, completed=start, state="")

        def report(row: HistoryRow) -> None:
            progress.update(bar, completed=row["step"] or 0, state=describe(row))

        yield report


def describe(row: HistoryRow) -> str:
    """Losses and accuracies of a history row in one short line.

    >>> describe({"loss_train": 0.0123, "loss_test": None, "accuracy_train": 1.0, "accuracy_test": None})
    'train 0.012 100.0%'
    """
    parts = []
    for name in ("train", "test"):
        loss, accuracy = row[f"loss_{name}"], row[f"accuracy_{name}"]
        if loss is not None and accuracy is not None:
            parts.append(f"{name} {loss:.2g} {accuracy:.1%}")
    return " ".join(parts)
