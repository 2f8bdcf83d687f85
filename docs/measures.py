"""Writes docs/measures.md from the registry of measures.

    python docs/measures.py

A test fails if the page is not what this script would write.
"""

from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import mechgrok as mg
from mechgrok.measures.invariances import INVARIANCES

PAGE = Path(__file__).with_name("measures.md")
ARROWS = {"up": " ↑", "down": " ↓", None: ""}
HEAD = """\
# Measures

These are the numbers that [`progress_measures`](api/progress.md) tracks through training. The history of a
run, the summary of a network and the report use the same names, titles and units.
[Definitions](definitions.md) has the formulas of the measures that are also functions.

↑ and ↓ show in which direction a number moves as a network comes to generalise. "Needs" lists what is
required besides the network: "keys", the key frequencies or irreps of the last checkpoint; "split", the train
inputs; "neurons", a hidden layer. "Known value" is a reference value.
"""
CHANGES = """\
## What changes a number

A number describes what a network computes if it does not depend on how the weights happen to
represent it. Each of the following changes a network, and the last column of the tables names the changes
that also change the measure; under all others it is invariant up to rounding. `measures/test_invariances.py`
makes every change to planted and random networks, and checks both.
"""


def page() -> str:
    """The text of the page."""
    ours = [measure for name, measure in mg.MEASURES.items() if mg.MEASURES.is_ours(name)]
    default = [measure for measure in ours if measure.default]
    others = [measure for measure in ours if not measure.default]
    lines = [HEAD, *_table("## The default set", default), *_table("## By name only", others)]
    return "\n".join([*lines, CHANGES, *_changes()]).rstrip() + "\n"


def _table(title: str, measures: list[mg.Measure]) -> Iterator[str]:
    yield from (title, "")
    yield from ("| measure | unit | needs | known value | changed by |", "|---|---|---|---|---|")
    yield from (_row(measure) for measure in measures)
    yield ""


def _row(measure: mg.Measure) -> str:
    name = f"**{measure.title}**, `{measure.name}`. {_inline(measure.summary)}"
    source = f" Source: {measure.citation}." if measure.citation else ""
    reference = "" if measure.reference is None else str(measure.reference)
    changed = [name for name in INVARIANCES if name not in (measure.invariances or ())]
    unit = f"{measure.unit}{ARROWS[measure.direction]}"
    cells = (name + source, unit, ", ".join(measure.needs), reference, ", ".join(changed))
    return f"| {' | '.join(cells)} |"


def _changes() -> Iterator[str]:
    for name, change in INVARIANCES.items():
        yield from (name, f": {cleandoc(change.__doc__ or '')}", "")


def _inline(text: str) -> str:
    return text.replace("|", "\\|").replace("chi(a∘b∘c^-1)", "$\\chi(a\\circ b\\circ c^{-1})$").rstrip(":")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
