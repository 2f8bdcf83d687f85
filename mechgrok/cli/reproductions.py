"""The command `reproduce`: rerun published results."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from tyro.conf import Positional, arg

from mechgrok.cli.printing import say
from mechgrok.cli.usage import Flag, Maybe
from mechgrok.errors import ConfigError
from mechgrok.experiments.reproduction import (
    Outcome,
    Reproduction,
    Row,
    distance,
    find_reproduction,
    recorded_outcome,
    reproductions,
    run_reproduction,
)
from mechgrok.wording import in_words

FAILED = 1


def reproduce(
    name: Annotated[Positional[str | None], arg(metavar="[NAME]", help_behavior_hint="(optional)")] = None,
    *,
    full: Flag = False,
    out: Maybe[Path] = None,
    show: Annotated[Flag, arg(name="list")] = False,
    as_json: Annotated[str | None, arg(name="json", metavar="FILE", help_behavior_hint="(optional)")] = None,
) -> int:
    """Rerun a published result, and compare the numbers; exit code 0 only if every row with bounds holds.

    If stopped by Ctrl-C, the same command resumes: finished runs are kept until all are finished, and those in --out
    permanently.

    Args:
        name: name of the reproduction; --list shows all.
        full: use the paper's size instead of one that suits two cores.
        out: folder to keep the runs in.
        show: show all reproductions with their citation, cost and last recorded outcome.
        as_json: write the outcome to this file; with --list, print the list as JSON.
    """
    if show:
        return _list_reproductions(as_json is not None)
    if name is None:
        raise ConfigError(f"which reproduction? One of {', '.join(reproductions())}; --list tells more")
    found = find_reproduction(name)
    if as_json is not None:
        from mechgrok.storage import check_writable

        check_writable(Path(as_json))
    say(f"{found.claim}\n{found.citation}; {found.cost} at the quick size.")
    outcome = _run_in_folder(found, full, out)
    Console().print(_outcome_table(outcome))
    if as_json is not None:
        from mechgrok.storage import write_json

        write_json(Path(as_json), outcome.to_json())
    return 0 if outcome.holds else FAILED


def cache_folder() -> Path:
    """The folder for files that may be deleted: the user's cache, or the environment's XDG_CACHE_HOME."""
    kept = os.environ.get("XDG_CACHE_HOME")
    return (Path(kept) if kept else Path.home() / ".cache") / "mechgrok"


def with_value_for_json(name: str, arguments: list[str]) -> list[str]:
    """`reproduce --list --json` needs no file, but the parser requires a value."""
    if name == "reproduce" and "--list" in arguments:
        return [piece for a in arguments for piece in ([a, "-"] if a == "--json" else [a])]
    return arguments


def _run_in_folder(found: Reproduction, full: bool, out: Path | None) -> Outcome:
    """Run it, storing its runs in a folder; in the cache folder, only until there is an outcome."""
    kept = out or cache_folder() / "reproduce" / f"{found.name}-{'full' if full else 'quick'}"
    if out is not None and out.exists() and not out.is_dir():
        raise ConfigError(f"--out needs a folder for the trainings; {out} is a file")
    if kept.is_dir() and any(kept.iterdir()):
        say(f"Going on with the trainings in {kept}.")
    try:
        outcome = run_reproduction(found, full=full, out=kept)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; the same command goes on with the trainings in {kept}") from None
    if out is None:
        shutil.rmtree(kept, ignore_errors=True)
    return outcome


def _list_reproductions(as_json: bool) -> int:
    records = {name: recorded_outcome(name) for name in reproductions()}
    if as_json:
        listed = [
            {
                "name": r.name,
                "citation": r.citation,
                "claim": r.claim,
                "cost": r.cost,
                "holds": (records[r.name] or {}).get("holds"),
                "distances": _distances((records[r.name] or {}).get("rows", ())),
            }
            for r in reproductions().values()
        ]
        print(json.dumps(listed, indent=2))
        return 0
    columns = (Column("name", no_wrap=True), "citation", Column("cost", no_wrap=True), "last recorded")
    table = Table(*columns, title="Reproductions", title_justify="left")
    for r in reproductions().values():
        table.add_row(*map(escape, (r.name, r.citation, r.cost, _recorded(records[r.name]))))
    console = Console()
    console.print(table)
    console.print(
        "\nDistances are those of our numbers from the published ones, as shares of these.", style="dim"
    )
    return 0


def _recorded(record: dict[str, Any] | None) -> str:
    if record is None:
        return "never"
    far = [abs(share) for share in _distances(record.get("rows", ())).values() if share is not None]
    outside = sum(_bounded(row) and not row["holds"] for row in record.get("rows", ()))
    bounds = f"; {outside} outside its bounds" if outside else ""
    if not far:
        return f"no published numbers{bounds}"
    return f"median distance {median(far):z.0%}, at most {max(far):z.0%}, of {in_words(len(far), 'number')}{bounds}"


def _distances(rows: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """The deviations by quantity, for the rows with a published number."""
    return {
        row["quantity"]: distance(row["published"], row["measured"])
        for row in rows
        if row["published"] is not None
    }


def _bounded(row: Mapping[str, Any]) -> bool:
    return row["low"] is not None or row["high"] is not None


def _outcome_table(outcome: Outcome) -> Table:
    title = f"{outcome.name}: {'holds' if outcome.holds else 'does not hold'} ({outcome.seconds:z.0f} s)"
    columns = ("quantity", "published", "measured", "distance", "bounds", "")
    table = Table(*columns, title=escape(title), title_justify="left")
    for row in outcome.rows:
        bounds = f"{_or_blank(row.low)} .. {_or_blank(row.high)}" if row.bounded else ""
        measured = "never" if row.measured is None else f"{row.measured:z.4g}"
        cells = (row.quantity, _or_blank(row.published), measured, _share(row), bounds, _verdict(row))
        table.add_row(*map(escape, cells))
    return table


def _share(row: Row) -> str:
    return "" if row.distance is None else f"{row.distance:+z.0%}"


def _verdict(row: Row) -> str:
    if not row.bounded:
        return ""
    return "holds" if row.holds else "FAILS"


def _or_blank(value: int | float | None) -> str:
    return "" if value is None else f"{value:z.4g}"
