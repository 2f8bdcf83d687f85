"""The page about a sweep: how many grokked, over what, and the table of all members."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from mechgrok.door import door
from mechgrok.plots.sweeps import RATE, sweep_figure
from mechgrok.readable import value_text
from mechgrok.report.html import Page, write_page
from mechgrok.report.parts import FigureGroup, Panel, Section
from mechgrok.sweeps.sweep import Sweep

MOST_ROWS = 500
"""Members that the page lists; the table on the disk has all."""


@door
def write_sweep_page(path: Path | str, sweep: Sweep, title: str | None = None) -> Path:
    """Write a page about a sweep that opens in any browser, offline.

    It shows the share of members that grokked over each field that varies, a phase diagram over each two neighbouring
    ones, the errors of members that failed, and the table.

    Args:
        path: the HTML file; replaced if it exists.
        title: heading of the page.

    Returns:
        The path.

    Raises:
        CheckpointError: the file cannot be written.
    """
    kinds = Counter(row.outcome.get("kind") or "not told" for row in sweep.rows if row.error is None)
    words = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    page = Page(
        title=title or f"Sweep over {', '.join(f for f in sweep.varied if f != 'seed') or 'seeds'}",
        facts=(f"{len(sweep.rows)} networks", *(f"{len(sweep.failed)} failed" for _ in sweep.failed[:1])),
        verdicts=(("", f"Kinds of learning: {words or 'none'}."),),
        headlines=(),
        sections=tuple(_sections(sweep)),
    )
    return write_page(path, page)


def _sections(sweep: Sweep) -> Iterator[Section]:
    fields = [field for field in sweep.varied if field != "seed"]
    ended = [row for row in sweep.rows if row.error is None]
    if ended and fields:
        panels = [
            Panel(f"rate-{i}", sweep_figure(sweep, x=field, value=RATE), "wide")
            for i, field in enumerate(fields)
        ]
        yield Section(
            "rates",
            "Share that grokked",
            "Members with 99% of the test inputs right from some step on to their end, with the 95% interval over all "
            "members that share the value.",
            (FigureGroup(tuple(panels), ""),),
        )
    if ended and len(fields) > 1:
        panels = [
            Panel(f"phases-{i}", sweep_figure(sweep, x=x, y=y, value="kind"), "wide")
            for i, (x, y) in enumerate(pairwise(fields))
        ]
        yield Section(
            "phases",
            "Phase diagrams",
            "The most frequent kind of learning in each cell.",
            (FigureGroup(tuple(panels), ""),),
        )
    if sweep.failed:
        failures = [("member", "error"), *((row.folder, row.error or "") for row in sweep.failed)]
        yield Section("failed", "Members that failed", "The others are kept.", table=tuple(failures))
    yield _members(sweep)


def _members(sweep: Sweep) -> Section:
    records = [row.record() for row in sweep.rows[:MOST_ROWS]]
    columns = [
        name for name in dict.fromkeys(name for record in records for name in record) if name != "error"
    ]
    body = [tuple(value_text(record.get(name)) for name in columns) for record in records]
    left_out = len(sweep.rows) - len(records)
    more = f" {left_out} more are in the table on the disk." if left_out else ""
    return Section("members", "The members", f"One row for each.{more}", table=(tuple(columns), *body))
