"""The progress bar of a training in the terminal, and its lines in a log file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from mechgrok.runs import HistoryRow

Report = Callable[[HistoryRow], None]

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(bar_width=10),
    TextColumn("{task.completed:z.0f}/{task.total:z.0f}"),
    TextColumn("{task.fields[state]}"),
    TimeRemainingColumn(),
)
"""Together 80 characters wide. The time is that to the last step; a network may settle long before."""


EVERY_SHARE, EVERY_SECONDS = 0.1, 30.0
"""Where there is no terminal, how much of the way or of the time lies between two lines."""


@contextmanager
def progress_bar(name: str, steps: int, *, start: int = 0, enabled: bool = True) -> Iterator[Report]:
    """A bar that shows the newest history row that it is told; writes to standard error.

    In a file, or anywhere that is no terminal, it is a line now and then instead, and one for the last row.
    """
    console = Console(stderr=True)
    if not enabled or console.is_terminal or console.is_jupyter:
        with _bar(name, steps, start, bar_on(console, *COLUMNS, enabled=enabled)) as report:
            yield report
        return
    lines = _Lines(name, steps, start, console)
    try:
        yield lines.report
    finally:
        lines.last()


def bar_on(console: Console, *columns: ProgressColumn, enabled: bool) -> Progress:
    """A progress bar; in a notebook it leaves nothing behind, where its widget would stay as an empty output."""
    return Progress(*columns, console=console, disable=not enabled, transient=console.is_jupyter)


@contextmanager
def _bar(name: str, steps: int, start: int, progress: Progress) -> Iterator[Report]:
    with progress:
        bar = progress.add_task(escape(name), total=steps, completed=start, state="")
        yield lambda row: progress.update(bar, completed=row["step"] or 0, state=describe(row))


class _Lines:
    """Lines for a log file: the first row, then one for each tenth of the steps or half a minute, and the last."""

    def __init__(self, name: str, steps: int, start: int, console: Console) -> None:
        self.name, self.steps, self.start, self.console = name, steps, start, console
        self.began = self.printed_at = time.monotonic()
        self.printed: int | float | None = None
        self.row: HistoryRow | None = None

    def report(self, row: HistoryRow) -> None:
        self.row = row
        step, now = row["step"] or 0, time.monotonic()
        far = self.printed is None or step - self.printed >= EVERY_SHARE * self.steps
        if far or now - self.printed_at >= EVERY_SECONDS:
            self._print(row, now)

    def last(self) -> None:
        if self.row is not None and (self.row["step"] or 0) != self.printed:
            self._print(self.row, time.monotonic())

    def _print(self, row: HistoryRow, now: int | float) -> None:
        self.printed, self.printed_at = row["step"] or 0, now
        line = f"{self.name}: step {self.printed}/{self.steps}, {describe(row)}, {now - self.began:z.0f} s"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def describe(row: HistoryRow) -> str:
    """Losses and accuracies of a history row in one short line.

    >>> describe({"loss_train": 0.0123, "loss_test": None, "accuracy_train": 1.0, "accuracy_test": None})
    'train 0.012 100.0%'
    """
    parts = []
    for name in ("train", "test"):
        loss, accuracy, r2 = (row.get(f"{what}_{name}") for what in ("loss", "accuracy", "r2"))
        if loss is not None:
            score = "" if accuracy is None else f" {accuracy:z.1%}"
            parts.append(f"{name} {loss:z.2g}{score if r2 is None else f' r2 {r2:z.3f}'}")
    return " ".join(parts)
