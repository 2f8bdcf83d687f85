"""A page as a single HTML file: text, figures, slider data and the plotting library."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from mechgrok.report.parts import Section, SliderSteps
from mechgrok.storage import write_text

FORMULA = re.compile(r"cos\(w_k\(.*?-c\)\)|chi\(a∘b∘c\^-1\)")
"""Possible values of `Frame.direction`."""


@dataclass(frozen=True)
class Page:
    """The content of a page.

    Attributes:
        facts: the subject of the page, in a few words each.
        warnings: what a reader must know first, one sentence each.
        verdicts: a heading, which may be empty, and the verdict in sentences; one per network.
        headlines: name, value and remark of the numbers at the top.
        checkpoints: the range of the slider; None for a page without one.
        moving: the sections that belong to the slider; the others follow.
    """

    title: str
    facts: tuple[str, ...]
    verdicts: tuple[tuple[str, str], ...]
    headlines: tuple[tuple[str, str, str], ...]
    sections: tuple[Section, ...]
    moving: tuple[Section, ...] = ()
    checkpoints: SliderSteps | None = None
    warnings: tuple[str, ...] = ()


def write_page(path: Path | str, page: Page) -> Path:
    """Write a page; it opens in any browser, offline.

    Raises:
        CheckpointError: the file cannot be written.
    """
    path = Path(path)
    html = _environment().get_template("page.html.jinja").render(
        page=page,
        figures=_embedded(
            {panel.id: panel.data for section in (*page.moving, *page.sections) for panel in section.panels}
        ),
        checkpoints=_embedded(asdict(page.checkpoints) if page.checkpoints else None),
        plotly=Markup(get_plotlyjs()),
    )  # fmt: skip
    write_text(path, html)
    return path


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mechgrok.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typeset"] = typeset
    return environment


def typeset(text: str) -> Markup:
    """Typeset text, setting the directions of the logits, as written by `Frame.direction`, as formulas.

    >>> typeset("along cos(w_k(a+b-c)) <")
    Markup('along cos(<i>w</i><sub>k</sub>(a+b−c)) &lt;')
    """
    html = FORMULA.sub(lambda found: _formula(found[0]), str(escape(text)))
    return Markup(html)


def _formula(text: str) -> str:
    """One formula, already escaped, with index, exponent, Greek letter and a proper minus sign."""
    shown = (
        text.replace("chi(", "χ(").replace("w_k", "<i>w</i><sub>k</sub>").replace("c^-1", "c<sup>−1</sup>")
    )
    return shown.replace("-", "−")


def _embedded(data: Any) -> Markup:
    """Data as the text of a script element."""
    # Only "</script" and "<!--" end such text early; without "<" neither can occur.
    return Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))
