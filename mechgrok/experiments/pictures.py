"""The figure of a reproduction, from the curves that its outcome keeps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mechgrok.analysis.curves import History, as_rows, curve
from mechgrok.errors import UndefinedMetricError
from mechgrok.experiments.reproduction import Curve, find_reproduction, recorded_outcome
from mechgrok.plots.curves import thin
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import COLOURS, LOGARITHMIC, figure, plain

MOST_POINTS = 150
"""Points of a curve that is recorded."""
DIGITS = 4
"""Significant digits of its values."""


def recorded_curve(
    panel: str, name: str, steps: Sequence[float], values: Sequence[float | None], **options: Any
) -> Curve:
    """A curve with no more points and digits than a figure shows; `options` are the other fields of a `Curve`.

    >>> recorded_curve("Loss", "test", [0, 1, 2], [1.23456789, None, 0.5]).y
    (1.235, 0.5)
    """
    pairs = [(x, y) for x, y in zip(steps, values, strict=True) if y is not None]
    x, y = thin(*np.array(pairs, dtype=np.float64).reshape(-1, 2).T, most=MOST_POINTS)
    rounded = (float(f"{value:.{DIGITS}g}") for value in y)
    return Curve(panel, name, tuple(float(f"{step:g}") for step in x), tuple(rounded), **options)


def history_curve(panel: str, name: str, history: History, measure: str, **options: Any) -> Curve:
    """The curve of one column of a history, such as "loss_test"."""
    line = curve(as_rows(history), measure)
    return recorded_curve(panel, name, line.steps.tolist(), line.values.tolist(), **options)


def reproduction_figure(name: str, *, columns: int = 2) -> go.Figure:
    """The figure of the outcome that was last recorded for a reproduction.

    Raises:
        ConfigError: there is no reproduction of this name.
        UndefinedMetricError: no outcome with curves has been recorded.
    """
    record = recorded_outcome(find_reproduction(name).name) or {}
    return curves_figure([Curve(**values) for values in record.get("curves", ())], columns=columns)


def curves_figure(curves: Sequence[Curve], *, columns: int = 2) -> go.Figure:
    """Some curves, with a panel for each title.

    A line has the colour of its name in every panel.

    Raises:
        UndefinedMetricError: there are none.

    >>> drawn = curves_figure([Curve("A", "test", (0, 1), (2.0, 1.0)), Curve("B", "test", (0,), (2.0,), dots=True)])
    >>> [trace.mode for trace in drawn.data], drawn.layout.annotations[1].text
    (['lines', 'markers'], 'B')
    """
    if not curves:
        raise UndefinedMetricError("no curves have been recorded, so there is nothing to draw")
    names = list(dict.fromkeys(one.name for one in curves))
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    titles = list(dict.fromkeys(one.panel for one in curves))
    panels = [_panel(title, [one for one in curves if one.panel == title], colours) for title in titles]
    drawn = panels[0] if len(panels) == 1 else in_panels(panels, columns, legend=True)
    for name in names:  # once in the legend, wherever it is drawn
        for trace in list(drawn.select_traces({"name": plain(name)}))[1:]:
            trace.showlegend = False
    # Below the panels, whose titles stand above them.
    drawn.update_layout(legend={"x": 0, "xanchor": "left", "y": -0.16, "yanchor": "top"}, showlegend=True)
    return drawn


def _panel(title: str, curves: Sequence[Curve], colours: dict[str, str]) -> go.Figure:
    first = curves[0]
    drawn = figure([_trace(one, colours[one.name]) for one in curves], title=plain(title))
    drawn.update_xaxes(title_text=plain(first.x_title), tickformat="~s")
    drawn.update_yaxes(LOGARITHMIC if first.logarithmic else {"rangemode": "tozero"})
    drawn.update_yaxes(title_text=plain(first.y_title))
    return drawn


def _trace(one: Curve, colour: str) -> go.Scatter:
    return go.Scatter(
        x=one.x,
        y=one.y,
        name=plain(one.name),
        legendgroup=plain(one.name),
        mode="markers" if one.dots else "lines",
        line={"color": colour, "width": 1.6},
        marker={"color": colour, "size": 7, "symbol": "circle-open"},
        hovertemplate=f"{plain(one.name)}: %{{y:.3g}} at %{{x}}<extra></extra>",
    )
