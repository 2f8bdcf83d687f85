"""Printing the results of commands, and writing pages."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mechgrok.errors import ConfigError
from mechgrok.wording import number, percent

if TYPE_CHECKING:
    from mechgrok.measures.summary import Summary
    from mechgrok.runs import Run
    from mechgrok.tasks import Split


def print_summary(summary: "Summary", *, everything: bool = False) -> None:
    """Print the numbers at the top of a report, or all of them, then the verdict."""
    from mechgrok.measures.headlines import headlines

    title = escape(f"{summary.task}: {summary.layout}")
    if everything:
        table = Table("name", "value", "unit", title=title, title_justify="left")
        for row in _all_values(summary.values):
            table.add_row(*map(escape, row))
    else:
        table = Table(title=title, title_justify="left", show_header=False)
        for row in headlines(summary, "undetermined"):
            table.add_row(*map(escape, row))
    console = Console()
    console.print(table)
    console.print(f"\n{escape(summary.verdict)}", highlight=False)
    if not everything:
        console.print(
            "\nAll numbers under their names: --all, or as JSON: --json. A page with figures: --report FILE.",
            style="dim", highlight=False,
        )  # fmt: skip


def print_phase_changes(run: "Run | None", summary: "Summary") -> None:
    """Print when the test loss of a run fell abruptly, if the task has several answers or reads sequences."""
    from mechgrok.analysis.phase_changes import find_phase_changes
    from mechgrok.errors import UndefinedMetricError
    from mechgrok.measures.summary_sequences import NOTHING

    if run is None or summary.sequence is NOTHING:
        return
    try:
        found = find_phase_changes(run.history)
    except UndefinedMetricError:  # too few evaluations
        return
    changes = "; ".join(map(str, found)) or "none"
    Console().print(f"\nPhase changes of the test loss: {changes}.", highlight=False)


def which_step(run: "Run", step: int | None) -> str:
    """The checkpoint of a run that is examined, and whether the run is finished."""
    from mechgrok.training.stopping import finished

    steps, history = run.steps, run.history
    chosen = steps[-1] if step is None and steps else step
    last = max([*steps, *(int(row["step"] or 0) for row in history)], default=0)
    newest = "the newest checkpoint" if steps and chosen == steps[-1] else "a checkpoint on the way"
    if finished(run, history):
        return f"Step {chosen} of {last}: {newest if chosen != last else 'the last checkpoint'}."
    most = run.config.train.steps
    return (
        f"Step {chosen} of {last}; {newest}. The training is unfinished: it was to take up to {most} steps."
    )


def nothing_held_back(split: "Split | None") -> str | None:
    """The meaning of an accuracy if all inputs were trained on; None if some were held out."""
    if split is None or bool(split.test.any()):
        return None
    return "All inputs were trained on: nothing was held back to test whether the network generalises."


def check_report(file: Path | None, option: str = "--report", example: str = "report.html") -> None:
    """Check a report's path before the work rather than after it.

    Raises:
        ConfigError: a folder, or a name without an extension, which may be meant as one.
        CheckpointError: it cannot be written.
    """
    if file is None:
        return
    if file.is_dir() or not file.suffix:
        raise ConfigError(f"{option} needs a file to write, such as {file / example}; got {file}")
    from mechgrok.storage import check_writable

    check_writable(file)


def write_and_tell(file: Path, write: Callable[[], object]) -> None:
    """Write a page and report its place, separately from the command's output."""
    with Console(stderr=True).status("Drawing the figures"):
        write()
    tell("Report", file)


def tell(what: str, place: Path) -> None:
    """Report where something was written, separately from the command's output."""
    say(f"\n{what}: {place.resolve()}")


def say(text: str) -> None:
    """Print a line separately from the command's output."""
    Console(stderr=True).print(text, highlight=False, soft_wrap=True, markup=False)


def _all_values(values: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, value and unit; a measure with a value per key has one row per key."""
    from mechgrok.measures.summary_numbers import unit_of

    for name, value in values.items():
        if isinstance(value, dict):
            for key, item in value.items():
                yield f"{name}[{key}]", _cell(name, item), unit_of(name)
        else:
            yield name, _cell(name, value), unit_of(name)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return percent(value) if name.startswith(("accuracy", "exact_match")) else number(value)
    return str(value)
