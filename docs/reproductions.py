"""Writes docs/reproductions.md from the protocols and their recorded outcomes.

    python docs/reproductions.py

A test fails if the page is not what this script would write.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mechgrok.experiments.reproduction import Reproduction, Row, recorded_outcome, reproductions

ROW = ("quantity", "published", "measured", "low", "high")
PAGE = Path(__file__).with_name("reproductions.md")
HEAD = """\
# Reproductions

`mechgrok reproduce NAME` reruns a published result, at a size that fits two cores or, with `--full`, at the
size of the paper. It prints the published numbers next to the measured ones, with their difference as a share
of the published number, and exits with 0 only if every row with bounds lies within them.
`mechgrok reproduce --list` lists all results. After Ctrl-C, the same command resumes; `--out FOLDER` keeps the
trained runs permanently. Bounds are ours: they define when we call the result reproduced. A row without a
published number is one that the source states only in words. Costs are estimates for two otherwise idle cores;
they were not idle while outcomes were recorded. Mistakes in sources have [their own
page](published-mistakes.md).
"""


def page() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *(line for found in reproductions().values() for line in _section(found))])


def _section(found: Reproduction) -> Iterator[str]:
    yield from (f"## {found.name}", "", found.claim, "", f"- Source: {found.citation}")
    yield f"- Cost of the quick size: {found.cost} on two cores"
    yield from (f"- Deviation: {deviation}" for deviation in found.deviations)
    yield ""
    record = recorded_outcome(found.name)
    yield from ["No outcome has been recorded yet.", ""] if record is None else _table(record)


def _table(record: dict[str, Any]) -> Iterator[str]:
    size = "the paper's size" if record["full"] else "the quick size"
    outcome = "holds" if record["holds"] else "does not hold"
    yield from (f"Recorded at {size}: **{outcome}**, after {record['seconds']:.0f} s.", "")
    yield "| quantity | published | measured | distance | bounds | |"
    yield "|---|---|---|---|---|---|"
    for row in (Row(**{name: row[name] for name in ROW}) for row in record["rows"]):
        measured = "never" if row.measured is None else _number(row.measured)
        share = "" if row.distance is None else f"{row.distance:+.0%}"
        bounds = f"{_number(row.low)} .. {_number(row.high)}" if row.bounded else ""
        verdict = ("holds" if row.holds else "fails") if row.bounded else ""
        yield f"| {row.quantity} | {_number(row.published)} | {measured} | {share} | {bounds} | {verdict} |"
    yield ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
