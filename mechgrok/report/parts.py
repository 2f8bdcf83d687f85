"""What a page is made of: sections with groups of figures, tables, and how numbers are written for people."""

import json
from dataclasses import dataclass
from html import unescape
from typing import Any, Literal

import plotly.graph_objects as go

from mechgrok.plots.theme import layout_of

Shape = Literal["wide", "half", "square", "map", "tall"]
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Panel:
    """A figure on the page.

    Attributes:
        id: names the place of the figure on the page, whichever network or step it shows.
        shape: the width and the proportions that the page reserves for it.
    """

    id: str
    figure: go.Figure
    shape: Shape

    @property
    def title(self) -> str:
        """The figure's title, which the page sets as text, so that it wraps on a small screen."""
        return unescape(layout_of(self.figure).title.text or "")

    @property
    def data(self) -> dict[str, Any]:
        """The figure for the browser, without the title and the size, which the page gives it."""
        drawn = go.Figure(self.figure)
        legend = len(self.figure.to_dict()["data"]) > 1 and layout_of(drawn).showlegend is not False
        drawn.update_layout(
            title_text=None, height=None, width=None, autosize=True, margin_t=28 if legend else 10
        )
        return json.loads(drawn.to_json() or "")


@dataclass(frozen=True)
class Group:
    """Figures side by side, with one caption that says what to see."""

    panels: tuple[Panel, ...]
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of the page; `table` is its header and its rows, `missing` says why figures are absent."""

    id: str
    title: str
    lead: str
    groups: tuple[Group, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    missing: str = ""

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All figures of the section."""
        return tuple(panel for group in self.groups for panel in group.panels)


def number(value: float) -> str:
    """Three digits, for people.

    >>> number(3.519e-7), number(18.0), number(0.029258), number(0.0)
    ('3.52×10⁻⁷', '18.0', '0.0293', '0')
    """
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:#.3g}".removesuffix(".")
    digits, exponent = f"{value:.2e}".split("e")
    return f"{digits}×10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def percent(fraction: float) -> str:
    """A fraction in percent, with a second decimal where it is close to all.

    >>> percent(0.97477), percent(0.99941), percent(0.0)
    ('97.5%', '99.94%', '0.0%')
    """
    return f"{fraction:.2%}" if fraction > 0.99 else f"{fraction:.1%}"
