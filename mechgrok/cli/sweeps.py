"""The command `sweep`: many runs that differ in a few settings."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional, arg

from mechgrok.cli.options import TrainOptions, training_from
from mechgrok.cli.printing import say, write_and_tell
from mechgrok.cli.tasks import named_task
from mechgrok.cli.usage import Flag, Maybe, Repeated, Several
from mechgrok.errors import ConfigError

if TYPE_CHECKING:
    from mechgrok.sweeps.sweep import Sweep

FAILED = 1
PAGE = "sweep.html"
"""The page about a sweep, in its folder."""
SHOWN = ("kind", "last_step", "grokked", "grokked_for_good", "accuracy_test", "loss_test")
"""Outcomes in the terminal's table; the page has all."""
MOST_ROWS = 40


def sweep(
    operation: Annotated[
        Positional[str | None], arg(metavar="[OPERATION]", help_behavior_hint="(optional)")
    ] = None,
    p: Maybe[int] = None,
    *,
    out: Maybe[Path] = None,
    show: Maybe[Path] = None,
    vary: Repeated[str] = (),
    seeds: int = 1,
    recipe: Maybe[str] = None,
    config: Maybe[Path] = None,
    measures: Several[str] = (),
    keep: str = "last",
    workers: Maybe[int] = None,
    backend: Maybe[str] = None,
    quiet: Flag = False,
    options: Annotated[TrainOptions, arg(name="")],  # pyright: ignore[reportInvalidTypeForm]
) -> int | None:
    """Train every combination of some settings, and show the outcome of each.

    The same command resumes where it was stopped; with more values it trains only the new combinations. Every field of
    a configuration is an option, for a value shared by all members.

    Args:
        operation: the operation to learn, as in `mechgrok train`.
        p: the modulus of an operation; by default 113.
        out: folder for the members and their table.
        show: print the table of the sweep in this folder, and write its page, without training.
        vary: a field with its values, such as weight_decay=0.1,1,3.
        seeds: number of seeds for each combination, from 0 on.
        recipe: configuration to start from, by default fast.
        config: file of JSON, YAML or TOML with fields that differ from the recipe's; options differ from both.
        measures: measures of the last checkpoint that the table has; `mechgrok list measures` shows all.
        keep: checkpoints that stay on the disk: all, the last of each member, or none.
        workers: processes at a time; by default one for each processor.
        backend: dask or ray, to train on a cluster.
        quiet: show no progress.
    """
    if show is not None:
        if operation is not None or out is not None or vary:
            raise ConfigError(
                "--show prints a sweep that is there; leave out the operation, --out and --vary"
            )
        return _tell(_load(show))
    if operation is None or out is None:
        raise ConfigError(
            'sweep takes an operation and a folder, as in sweep "a+b" --p 59 --vary lr=0.001,0.01 --out DIR; '
            "--show DIR prints one that is there"
        )
    if keep not in ("all", "last", "none"):
        raise ConfigError(f"--keep takes all, last or none; got {keep!r}")
    task, base = named_task(operation, p, default=113), training_from(recipe, config, options)
    listed = dict(_field(text) for text in vary)
    return _tell(
        _train(task, base, range(seeds), listed, out, tuple(measures), keep, workers, backend, not quiet)
    )


def _train(
    task: Any, base: Any, seeds: range, listed: dict[str, list[Any]], out: Path, measures: tuple[str, ...],
    keep: Any, workers: int | None, backend: Any, progress: bool,
) -> "Sweep":  # fmt: skip
    from mechgrok.sweeps.settings import vary
    from mechgrok.sweeps.sweep import sweep

    runs = vary(task=task, recipe=base, seed=seeds, **listed)
    return sweep(
        runs, out=out, measures=measures, keep=keep, workers=workers, backend=backend, progress=progress
    )


def _load(folder: Path) -> "Sweep":
    from mechgrok.sweeps.sweep import load_sweep

    return load_sweep(folder)


def _field(text: str) -> tuple[str, list[Any]]:
    """A field and its values from "lr=0.001,0.01"."""
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise ConfigError(f"--vary takes a field and its values, such as lr=0.001,0.01; got {text!r}")
    return name.replace("-", "_"), [_value(value) for value in values.split(",")]


def _value(text: str) -> Any:
    """A number, true, false or null, otherwise the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tell(found: "Sweep") -> int | None:
    """Print the table and write the page; exit code 1 if a member failed."""
    from mechgrok.readable import value_text
    from mechgrok.report import write_sweep_page

    columns = [*found.varied, *SHOWN]
    table = Table(*columns)
    for row in found.rows[:MOST_ROWS]:
        record = row.record()
        cells = [value_text(record.get(name)) for name in columns]
        table.add_row(*map(escape, cells if row.error is None else [*cells[: len(found.varied)], "failed"]))
    Console().print(table)
    if len(found.rows) > MOST_ROWS:
        say(f"{len(found.rows) - MOST_ROWS} more are on the page.")
    for error, count in Counter(row.error for row in found.failed).items():
        say(f"{count} failed: {error}")
    write_and_tell(found.path / PAGE, lambda: write_sweep_page(found.path / PAGE, found))
    return FAILED if found.failed else None
