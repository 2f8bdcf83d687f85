"""Several figures of one kind as panels of a single figure."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechgrok.errors import UndefinedMetricError
from mechgrok.plots.theme import INK, TEMPLATE, layout_of

PANEL_HEIGHT = 300
GAP = 80
"""Pixels between two rows: the axis title of the upper row and the title of the lower row."""
_OWN = ("anchor", "domain", "matches", "scaleanchor")


def in_panels(figures: Sequence[go.Figure], columns: int = 3, *, legend: bool = False) -> go.Figure:
    """Combine figures with one pair of axes each, including their shapes, as panels in rows of one figure.

    Raises:
        UndefinedMetricError: there are no figures.

    >>> drawn = in_panels([go.Figure(go.Scatter(y=[i])) for i in range(4)])
    >>> len(drawn.data), drawn.data[3].xaxis, drawn.layout.height
    (4, 'x4', 600)
    """
    if not figures:
        raise UndefinedMetricError("there is nothing to draw: no key frequencies were given or found")
    columns = min(columns, len(figures))
    rows = ceil(len(figures) / columns)
    drawn = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[layout_of(panel).title.text or " " for panel in figures],
        horizontal_spacing=0.09,
        vertical_spacing=GAP / (PANEL_HEIGHT * rows),
    )
    drawn.update_annotations(font={"size": 13, "color": INK})
    for i, panel in enumerate(figures):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        for trace in panel.data:
            drawn.add_trace(trace, row=place["row"], col=place["col"])
        x_axis, y_axis = next(drawn.select_xaxes(**place)), next(drawn.select_yaxes(**place))
        for axis, given in ((x_axis, layout_of(panel).xaxis), (y_axis, layout_of(panel).yaxis)):
            axis.update({key: value for key, value in given.to_plotly_json().items() if key not in _OWN})
        number = i + 1 if i else ""
        if layout_of(panel).yaxis.scaleanchor:
            y_axis.update(scaleanchor=f"x{number}")
        for shape in layout_of(panel).shapes:
            drawn.add_shape(_moved(shape, number))
        for note in layout_of(panel).annotations:
            drawn.add_annotation(_moved(note, number))
    drawn.update_traces(showscale=False, selector={"type": "heatmap"})
    drawn.update_layout(template=TEMPLATE, height=PANEL_HEIGHT * rows, showlegend=legend)
    return drawn


def _moved(mark: Any, number: int | str) -> dict[str, Any]:
    """Move a shape or annotation from the first pair of axes to another pair."""
    refs = {key: mark[key] for key in ("xref", "yref") if mark[key] and mark[key] != "paper"}
    return mark.to_plotly_json() | {key: f"{ref[0]}{number}{ref[1:]}" for key, ref in refs.items()}
