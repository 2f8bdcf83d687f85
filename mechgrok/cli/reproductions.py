"""The command `reproduce`: published results, run again."""

import json
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, arg

from mechgrok.errors import ConfigError
from mechgrok.experiments.reproduction import (
    Outcome,
    find_reproduction,
    recorded_outcome,
    reproductions,
    run_reproduction,
)
from mechgrok.storage import check_writable, write_json

FAILED = 1


def reproduce(
    name: Positional[str | None] = None,
    *,
    full: bool = False,
    show: Annotated[bool, arg(name="list")] = False,
    as_json: Annotated[str | None, arg(name="json", metavar="FILE")] = None,
) -> int:
    """Run a published result again, and compare the numbers; exit code 0 only if every row holds.

    Args:
        name: which; --list shows all.
        full: the paper's size instead of one that fits two cores.
        show: show all reproductions with their source, cost and last recorded outcome.
        as_json: write the outcome to this file; with --list, print the list as JSON.
    """
    if show:
        return _list_reproductions(as_json is not None)
    if name is None:
        raise ConfigError(f"which reproduction? One of {', '.join(reproductions())}; --list tells more")
    found = find_reproduction(name)
    if as_json is not None:
        check_writable(Path(as_json))
    Console(stderr=True).print(
        f"{found.claim}\n{found.source}; {found.cost} at the quick size.", highlight=False
    )
    outcome = run_reproduction(found, full=full)
    Console().print(_outcome_table(outcome))
    if as_json is not None:
        write_json(Path(as_json), outcome.to_json())
    return 0 if outcome.holds else FAILED


def with_value_for_json(arguments: list[str]) -> list[str]:
    """`reproduce --list --json` needs no file; the parser wants a value all the same."""
    if arguments[:1] == ["reproduce"] and "--list" in arguments:
        arguments = [piece for a in arguments for piece in ([a, "-"] if a == "--json" else [a])]
    return arguments


def _list_reproductions(as_json: bool) -> int:
    records = {name: recorded_outcome(name) for name in reproductions()}
    if as_json:
        listed = [
            {
                "name": r.name,
                "source": r.source,
                "claim": r.claim,
                "cost": r.cost,
                "holds": (records[r.name] or {}).get("holds"),
            }
            for r in reproductions().values()
        ]
        print(json.dumps(listed, indent=2))
        return 0
    table = Table("name", "source", "cost", "last recorded", title="Reproductions", title_justify="left")
    for r in reproductions().values():
        table.add_row(r.name, r.source, r.cost, _recorded(records[r.name]))
    Console().print(table)
    return 0


def _recorded(record: dict[str, Any] | None) -> str:
    if record is None:
        return "never"
    return "holds" if record["holds"] else "does not hold"


def _outcome_table(outcome: Outcome) -> Table:
    title = f"{outcome.name}: {'holds' if outcome.holds else 'does not hold'} ({outcome.seconds:.0f} s)"
    table = Table("quantity", "published", "measured", "bounds", "", title=title, title_justify="left")
    for row in outcome.rows:
        bounds = f"{_or_blank(row.low)} .. {_or_blank(row.high)}"
        measured = "never" if row.measured is None else f"{row.measured:.4g}"
        table.add_row(
            row.quantity, _or_blank(row.published), measured, bounds, "holds" if row.holds else "FAILS"
        )
    return table


def _or_blank(value: int | float | None) -> str:
    return "" if value is None else f"{value:.4g}"
