"""Writes docs/reproductions.md from the protocols and their recorded outcomes.

    python docs/reproductions.py

A test fails where the page is not what this script would write.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mechgrok.experiments.reproduction import Reproduction, recorded_outcome, reproductions

PAGE = Path(__file__).with_name("reproductions.md")
HEAD = """\
# Reproductions

`mechgrok reproduce NAME` runs a published result again, at a size that fits two cores, or with `--full` at the
paper's. It prints the published numbers beside the measured ones, and exits with 0 only if every row lies within
its bounds. `mechgrok reproduce --list` shows them all. Bounds are ours: they say within what we call the result
reproduced. A row without a published number is one that the source states in words. Costs are estimates for two cores
that do nothing else; while outcomes were recorded, they did. Mistakes in sources are on [a page of their
own](published-mistakes.md).
"""


def page() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *(line for found in reproductions().values() for line in _section(found))])


def _section(found: Reproduction) -> Iterator[str]:
    yield from (f"## {found.name}", "", found.claim, "", f"- Source: {found.source}")
    yield f"- Cost of the quick size: {found.cost} on two cores"
    yield from (f"- Deviation: {deviation}" for deviation in found.deviations)
    yield ""
    record = recorded_outcome(found.name)
    yield from ["No outcome has been recorded yet.", ""] if record is None else _table(record)


def _table(record: dict[str, Any]) -> Iterator[str]:
    size = "the paper's size" if record["full"] else "the quick size"
    outcome = "holds" if record["holds"] else "does not hold"
    yield from (f"Recorded at {size}: **{outcome}**, after {record['seconds']:.0f} s.", "")
    yield "| quantity | published | measured | bounds | |"
    yield "|---|---|---|---|---|"
    for row in record["rows"]:
        measured = "never" if row["measured"] is None else _number(row["measured"])
        bounds = f"{_number(row['low'])} .. {_number(row['high'])}"
        verdict = "holds" if row["holds"] else "fails"
        yield f"| {row['quantity']} | {_number(row['published'])} | {measured} | {bounds} | {verdict} |"
    yield ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
