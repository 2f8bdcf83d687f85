"""Progress bars in a terminal or a notebook, and occasional lines in a log file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from math import inf

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mechgrok.runs import HistoryRow

Tell = Callable[[int, str], None]
"""Called with how many are done, and a few words on where they stand."""
Report = Callable[[HistoryRow], None]

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(bar_width=10),
    TextColumn("{task.completed:z.0f}/{task.total:z.0f}"),
    TextColumn("{task.fields[state]}"),
    TimeRemainingColumn(),
)
"""Together 80 characters wide. The time shown runs to the last step; a network may settle long before."""


EVERY_SHARE, EVERY_SECONDS = 0.1, 30.0
"""In a log file, the share of steps or the time between two lines."""
NOTEBOOK_SECONDS = 0.2
"""In a notebook, the time between two updates of the line."""


@contextmanager
def bar(
    name: str, total: int, unit: str, *, start: int = 0, enabled: bool = True, timed: bool = True
) -> Iterator[Tell]:
    """A progress bar on standard error.

    In a file, or any other non-terminal, occasional lines are printed instead, including one for the last report.
    In a notebook there is one line of text, which is updated; a widget would stay in the file as an empty output.

    Args:
        unit: what is counted, for the lines: "step".
        timed: show the time left, which is told otherwise.
    """
    console = Console(stderr=True)
    if not enabled:
        yield lambda done, state: None
    elif console.is_terminal and not console.is_jupyter:
        with Progress(*COLUMNS[: None if timed else -1], console=console) as progress:
            task = progress.add_task(escape(name), total=total, completed=start, state="")
            yield lambda done, state: progress.update(task, completed=done, state=state)
    else:
        lines = _Lines(name, total, unit, *_in_notebook() if console.is_jupyter else _in_file(console))
        try:
            yield lines.tell
        finally:
            lines.last()


@contextmanager
def progress_bar(name: str, steps: int, *, start: int = 0, enabled: bool = True) -> Iterator[Report]:
    """The progress bar of a run, which receives the rows of its history."""
    with bar(name, steps, "step", start=start, enabled=enabled) as tell:
        yield lambda row: tell(int(row["step"] or 0), described(row))


Write = Callable[[str], None]


def _in_file(console: Console) -> tuple[Write, float, float]:
    """The function that writes a line, and the interval between lines: a share of the steps, or seconds."""
    write = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    return write, EVERY_SHARE, EVERY_SECONDS


def _in_notebook() -> tuple[Write, float, float]:
    """As in a file, except that each line replaces the previous one."""
    display = import_module("IPython.display").DisplayHandle()
    shown = False

    def write(line: str) -> None:
        nonlocal shown
        (display.update if shown else display.display)({"text/plain": line}, raw=True)
        shown = True

    return write, inf, NOTEBOOK_SECONDS


class _Lines:
    """Lines of text: the first, then one per share of the steps or time interval, and the last."""

    def __init__(self, name: str, total: int, unit: str, write: Write, share: float, seconds: float) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.write, self.share, self.seconds = write, share, seconds
        self.began = self.printed_at = time.monotonic()
        self.printed: int | float | None = None
        self.told: tuple[int | float, str] | None = None

    def tell(self, done: int | float, state: str) -> None:
        self.told = done, state
        now = time.monotonic()
        far = self.printed is None or done - self.printed >= self.share * self.total
        if far or now - self.printed_at >= self.seconds:
            self._print(now)

    def last(self) -> None:
        if self.told is not None and self.told[0] != self.printed:
            self._print(time.monotonic())

    def _print(self, now: int | float) -> None:
        done, state = self.told or (0, "")
        self.printed, self.printed_at = done, now
        parts = (f"{self.name}: {self.unit} {done}/{self.total}", state, f"{now - self.began:z.0f} s")
        self.write(", ".join(filter(None, parts)))


def described(row: HistoryRow) -> str:
    """The losses and scores of a history row in one short line: accuracies in percent, or r2.

    >>> described({"loss_train": 0.0123, "loss_test": None, "accuracy_train": 1.0, "accuracy_test": None})
    'train 0.012 100.0%'
    >>> described({"loss_train": 0.0123, "loss_test": 0.5, "r2_train": 0.98765, "r2_test": None})
    'train 0.012 r2 0.988 test 0.5'
    """
    parts = []
    for name in ("train", "test"):
        loss, accuracy, r2 = (row.get(f"{score}_{name}") for score in ("loss", "accuracy", "r2"))
        parts += [] if loss is None else [f"{name} {loss:z.2g}"]
        parts += [] if accuracy is None else [f"{accuracy:z.1%}"]
        parts += [] if r2 is None else [f"r2 {r2:z.3f}"]
    return " ".join(parts)
