"""A page as one HTML file: text, figures, data of the slider and the plotting library."""

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
"""What `Frame.direction` may be."""


@dataclass(frozen=True)
class Page:
    """What stands on a page.

    Attributes:
        facts: what the page is about, in a few words each.
        warnings: what a reader must know first, a sentence each.
        verdicts: a heading, which may be empty, and the verdict in sentences; one per network.
        headlines: name, value and remark of the numbers at the top.
        checkpoints: what the slider goes through; None for a page without one.
        moving: the sections that belong to the slider; then come the others.
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
    """Text in which the directions of the logits, as `Frame.direction` writes them, are set as formulas.

    >>> typeset("along cos(w_k(a+b-c)) <")
    Markup('along cos(<i>w</i><sub>k</sub>(a+b−c)) &lt;')
    """
    html = FORMULA.sub(lambda found: _formula(found[0]), str(escape(text)))
    return Markup(html)


def _formula(text: str) -> str:
    """One formula, already escaped, with its index, its exponent, its Greek letter and a real minus."""
    shown = (
        text.replace("chi(", "χ(").replace("w_k", "<i>w</i><sub>k</sub>").replace("c^-1", "c<sup>−1</sup>")
    )
    return shown.replace("-", "−")


def _embedded(data: Any) -> Markup:
    """Data as the text of a script element."""
    # Only "</script" and "<!--" end such a text early; without "<" there is neither.
    return Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))
