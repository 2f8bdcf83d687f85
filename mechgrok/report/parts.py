"""Building blocks of a page: sections with groups of figures and tables."""

import json
from dataclasses import dataclass
from html import unescape
from typing import Any, Literal

import plotly.graph_objects as go

from mechgrok.plots.theme import FAINT, INK, layout_of

Shape = Literal["wide", "curve", "measure", "circle", "map", "square"]
Table = tuple[tuple[str, ...], ...]
POSITION = "position"
"""Name of the line that marks the shown checkpoint in a figure over steps."""
_LEGEND: dict[Shape, int] = {"measure": 44}
"""Pixels above a figure for its legend, if that may take two lines."""
_HIDDEN = {"showticklabels": False, "ticks": "", "title": None, "showline": False, "showgrid": False}
_SMALL: dict[Shape, dict[str, Any]] = {
    "circle": _HIDDEN | {"zeroline": True, "zerolinecolor": FAINT},
    "map": _HIDDEN,
}
"""Axes of small figures shown side by side, in which only the shape matters."""


@dataclass(frozen=True)
class Panel:
    """A figure on the page.

    Attributes:
        id: identifies the place of the figure on the page, whichever network or step it shows.
        shape: the width and the proportions that the page reserves for it.
        name: its title, if the figure's own is too long for the place.
        moving: the data that changes with the checkpoint, as in `Film`.
    """

    id: str
    figure: go.Figure
    shape: Shape
    name: str = ""
    moving: tuple[dict[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """The title, which the page sets as text, so that it wraps on a small screen."""
        return self.name or unescape(layout_of(self.figure).title.text or "")

    @property
    def has_legend(self) -> bool:
        """Whether the figure has a legend above it, besides the title."""
        return len(self.figure.to_dict()["data"]) > 1 and layout_of(self.figure).showlegend is not False

    @property
    def data(self) -> dict[str, Any]:
        """The figure for the browser, without title and size, which the page sets, and without its frames' data."""
        drawn = go.Figure(self.figure)
        top = _LEGEND.get(self.shape, 28) if self.has_legend else 10
        drawn.update_layout(title_text=None, height=None, width=None, autosize=True, margin_t=top)
        if self.shape in _SMALL:
            drawn.update_layout(margin={"l": 1, "r": 1, "t": 1, "b": 1}, showlegend=False)
            drawn.update_xaxes(_SMALL[self.shape]).update_yaxes(_SMALL[self.shape])
            drawn.update_traces(showscale=False, selector={"type": "heatmap"})
            drawn.update_traces(marker_size=5, selector={"type": "scatter"})
        if self.shape == "square":
            drawn.update_yaxes(automargin=True)  # several keys may share a long label
        stored = json.loads(drawn.to_json() or "")
        for part in self.moving:
            del stored["data"][part["trace"]][part["attribute"]]
        return {**stored, "moving": self.moving}


@dataclass(frozen=True)
class FigureGroup:
    """Figures side by side, with one caption that explains what to see.

    Attributes:
        name: for the page's layout, if the group has its own place.
        columns: 0 puts all of them into one row.
    """

    panels: tuple[Panel, ...]
    caption: str
    name: str = ""
    columns: int = 0


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        table: header and rows.
        missing: reasons for the parts that do not apply to this network, one line each.
    """

    id: str
    title: str
    lead: str
    groups: tuple[FigureGroup, ...] = ()
    table: Table = ()
    missing: tuple[str, ...] = ()

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All figures of the section."""
        return tuple(panel for group in self.groups for panel in group.panels)


@dataclass(frozen=True)
class Band:
    """A phase next to the slider; start and end as fractions of its length."""

    name: str
    start: float
    end: float
    colour: str


@dataclass(frozen=True)
class SliderSteps:
    """The range of the slider.

    Attributes:
        steps: steps of the checkpoints shown.
        facts: names of the numbers next to the slider.
        values: these numbers at each step, as text.
        phases: the known phases.
    """

    steps: tuple[int, ...]
    facts: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    phases: tuple[Band, ...] = ()


def with_position(figure: go.Figure, step: int) -> go.Figure:
    """The figure with a line at a step, which the slider moves."""
    drawn = go.Figure(figure)
    drawn.add_vline(step, name=POSITION, line={"color": INK, "width": 1.5})
    return drawn


def plural(what: str) -> str:
    """Plural of a word that names blocks of a basis."""
    return {"frequency": "frequencies", "irrep": "irreps"}.get(what, f"{what}s")
