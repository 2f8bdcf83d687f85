"""What the commands print, and how they write pages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mechgrok.analysis.summary import Summary
from mechgrok.errors import ConfigError
from mechgrok.storage import check_writable


def print_summary(summary: Summary) -> None:
    """All numbers under their names, then the verdict."""
    table = Table(title=f"{summary.task}: {summary.layout}", title_justify="left", show_header=False)
    for name, value in summary.values.items():
        table.add_row(name, _cell(value))
    console = Console()
    console.print(table)
    console.print(f"\n{summary.verdict}", highlight=False)


def check_report(file: Path | None, option: str = "--report") -> None:
    """Before the work, not after it.

    Raises:
        ConfigError: a folder, or a name without an ending, which may be meant as one.
        CheckpointError: it cannot be written.
    """
    if file is None:
        return
    if file.is_dir() or not file.suffix:
        raise ConfigError(f"{option} needs a file to write, such as {file / 'report.html'}; got {file}")
    check_writable(file)


def write_and_tell(file: Path, write: Callable[[], object]) -> None:
    """Write a page and say where it is, beside the output of the command."""
    console = Console(stderr=True)
    with console.status("Drawing the figures"):
        write()
    console.print(f"\nReport: {file.resolve()}", highlight=False, soft_wrap=True, markup=False)


def _cell(value: Any) -> str:
    match value:
        case float():
            return f"{value:.6g}"
        case dict():
            return "  ".join(f"{key}: {_cell(item)}" for key, item in value.items())
        case list():
            return ", ".join(map(str, value))
    return str(value)
