"""The common visual style of all figures: colours, fonts, spacing, and how a figure is created.

The colours are from Okabe and Ito, and are distinguishable with any kind of colour blindness; wherever a colour
carries meaning, position, shape or text carries it as well.
"""

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from torch import Tensor

INK, SOFT, LINE, FAINT = "#1f2a37", "#5b6776", "#c9d1da", "#edf0f4"
BLUE, VERMILION, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#e69f00", "#009e73", "#a9b4c0"

COLOURS = [BLUE, VERMILION, GREEN, ORANGE, "#cc79a7", "#56b4e9"]
"""For lines and bars without a specific meaning."""

TRAIN, TEST = BLUE, VERMILION
COSINE, SINE = BLUE, ORANGE
KEY, OTHER = BLUE, "#b6c0cb"

SEQUENTIAL = ["#f7fafc", "#cfe1f0", "#8dbfde", "#3f8fc4", "#0b5d9a", "#08305f"]
SEQUENTIAL_ROOT = [[(i / 5) ** 2, colour] for i, colour in enumerate(SEQUENTIAL)]
"""Darkness grows with the square root, so that a tenth of the largest value is still visible."""
DIVERGING = ["#0b5d9a", "#6aadd5", "#f7fafc", "#f0a978", "#b34a00"]
CYCLIC = ["#123a66", "#0072b2", "#56b4e9", "#b9c98a", "#e69f00", "#d55e00", "#7a2048", "#123a66"]
"""Cyclic colour scale, with blues and oranges of equal lightness opposite each other."""

FONT = "Inter, 'Source Sans 3', 'Segoe UI', system-ui, -apple-system, 'Helvetica Neue', Arial, sans-serif"
LOGARITHMIC = {"type": "log", "tickfont": {"size": 9, "color": SOFT}}
"""Axis of powers of ten, whose labels plotly draws a quarter larger than specified."""
HEIGHT = 340
"""Height in pixels of a figure shown on its own."""

_AXIS = {
    "showgrid": True,
    "gridcolor": FAINT,
    "zeroline": False,
    "showline": True,
    "linecolor": LINE,
    "ticks": "outside",
    "ticklen": 4,
    "tickcolor": LINE,
    "tickfont": {"size": 11, "color": SOFT},
    "title": {"font": {"size": 12, "color": SOFT}, "standoff": 8},
    "exponentformat": "power",
    "minexponent": 4,
}

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": 12, "color": INK},
        "title": {
            "font": {"size": 13, "color": INK},
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "yref": "paper",
        }
        | {"y": 1, "yanchor": "bottom", "pad": {"b": 10}},
        "colorway": COLOURS,
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 58, "r": 14, "t": 38, "b": 46},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "hoverlabel": {"bgcolor": "white", "bordercolor": LINE, "font": {"size": 12, "color": INK}},
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"}
        | {"font": {"size": 12, "color": SOFT}, "bgcolor": "rgba(0,0,0,0)"},
        "bargap": 0.15,
    }
)


def figure(traces: Iterable[Any], *, title: str = "", height: int = HEIGHT, **layout: Any) -> go.Figure:
    """Create a figure in the common style; `layout` is passed to plotly."""
    drawn = go.Figure(list(traces))
    drawn.update_layout(template=TEMPLATE, title_text=title, height=height, **layout)
    return drawn


def layout_of(drawn: go.Figure) -> Any:
    """The layout of a figure; plotly builds its attributes at run time, where no type checker sees them."""
    return drawn.layout


def plain(text: object) -> str:
    """Escape text for a label of a figure, in which plotly would interpret markup: names come from files."""
    return escape(str(text))


def numbers(values: Tensor) -> np.ndarray:
    """Values for a trace: float32, which a figure stores as a packed array."""
    return values.detach().cpu().numpy().astype(np.float32)


def block_kind(labels: Iterable[object]) -> str:
    """The kind of blocks of a basis, by their labels: numbers for frequencies, names for irreps."""
    return "frequency" if all(isinstance(label, int) for label in labels) else "irrep"


def name_of(what: str, label: object) -> str:
    """The name of a block of a basis in a figure: "k = 5", or the name of the irrep."""
    return f"k = {label}" if what == "frequency" else plain(label)
