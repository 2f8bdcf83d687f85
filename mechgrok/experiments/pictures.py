"""The figure of a reproduction, from the curves stored with its outcome."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mechgrok.analysis.curves import History, as_rows, curve
from mechgrok.errors import UndefinedMetricError
from mechgrok.experiments.reproduction import Curve, Number, find_reproduction, recorded_outcome
from mechgrok.plots.curves import thin
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import COLOURS, HEIGHT, INK, LOGARITHMIC, TEST, TRAIN, figure, layout_of, plain

MOST_POINTS = 150
"""Number of points of a recorded curve."""
DIGITS = 4
"""Number of significant digits of its values."""
MEANT = {"train": TRAIN, "test": TEST, "published": INK}
"""Names with the same colour in all figures."""
DASHES = {"solid": "circle-open", "dash": "x", "dot": "diamond-open"}
"""Dashes of lines, with the shapes of dots, used if there are more names than colours."""
BELOW, LEGEND = 52, 44
"""Pixels from the last panels to the legend, and height of the legend."""


def recorded_curve(
    panel: str, name: str, steps: Sequence[Number], values: Sequence[Number | None], **options: Any
) -> Curve:
    """A curve with only as many points and digits as a figure shows; `options` are the other fields of a `Curve`.

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
    """The figure of the last recorded outcome of a reproduction.

    Raises:
        ConfigError: there is no reproduction of this name.
        UndefinedMetricError: no outcome with curves has been recorded.
    """
    record = recorded_outcome(find_reproduction(name).name) or {}
    curves = [
        Curve(**{**values, "x": tuple(values["x"]), "y": tuple(values["y"])})  # JSON has lists
        for values in record.get("curves", ())
    ]
    return curves_figure(curves, columns=columns)


def curves_figure(curves: Sequence[Curve], *, columns: int = 2) -> go.Figure:
    """Draw curves, with a panel for each title.

    A line, or dots, have the same colour and shape for a name in every panel.

    Raises:
        UndefinedMetricError: there are no curves.

    >>> drawn = curves_figure([Curve("A", "test", (0, 1), (2.0, 1.0)), Curve("B", "test", (0,), (2.0,), dots=True)])
    >>> [trace.mode for trace in drawn.data], drawn.layout.annotations[1].text
    (['lines', 'markers'], 'B')
    """
    if not curves:
        raise UndefinedMetricError("no curves have been recorded, so there is nothing to draw")
    names = list(dict.fromkeys(one.name for one in curves))
    styles = _styles(names)
    titles = list(dict.fromkeys(one.panel for one in curves))
    panels = [_panel(title, [one for one in curves if one.panel == title], styles) for title in titles]
    drawn = panels[0] if len(panels) == 1 else in_panels(panels, columns, legend=True)
    for name in names:  # once in the legend, regardless of the panels
        again: list[Any] = list(drawn.select_traces({"name": plain(name)}))[1:]
        for trace in again:
            trace.update(showlegend=False)
    _with_legend_below(drawn)
    return drawn


def _styles(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Colour and dash of the line of each name; the dash also determines the shape of dots."""
    free = [name for name in names if name not in MEANT]
    colours = [colour for colour in COLOURS if not any(MEANT.get(name) == colour for name in names)]
    styles = {name: {"color": MEANT[name]} for name in names if name in MEANT}
    for number, name in enumerate(free):
        dash, colour = divmod(number, len(colours))
        styles[name] = {"color": colours[colour], "dash": list(DASHES)[dash % len(DASHES)]}
    return styles


def _with_legend_below(drawn: go.Figure) -> None:
    """Place the legend below the panels, whose titles are above them; the figure grows accordingly."""
    height = (layout_of(drawn).height or HEIGHT) + LEGEND
    margins = {"t": 38, "b": BELOW + LEGEND}
    y = -BELOW / (height - margins["t"] - margins["b"])
    legend = {"x": 0, "xanchor": "left", "y": y, "yanchor": "top"}
    drawn.update_layout(height=height, margin=margins, legend=legend, showlegend=True)


def _panel(title: str, curves: Sequence[Curve], styles: dict[str, dict[str, str]]) -> go.Figure:
    first = curves[0]
    drawn = figure([_trace(one, styles[one.name]) for one in curves], title=plain(title))
    drawn.update_xaxes(title_text=plain(first.x_title))
    drawn.update_yaxes(title_text=plain(first.y_title))
    if first.plane:
        drawn.update_xaxes(constrain="domain")
        return drawn.update_yaxes(constrain="domain", scaleanchor="x")
    drawn.update_xaxes(tickformat="~s")
    return drawn.update_yaxes(LOGARITHMIC if first.logarithmic else {"rangemode": "tozero"})


def _trace(one: Curve, style: dict[str, str]) -> go.Scatter:
    return go.Scatter(
        x=one.x,
        y=one.y,
        name=plain(one.name),
        legendgroup=plain(one.name),
        mode="markers" if one.dots else "lines",
        line={**style, "width": 1.6},
        marker={"color": style["color"], "size": 7, "symbol": DASHES[style.get("dash", "solid")]},
        hovertemplate=f"{plain(one.name)}: %{{y:.3g}} at %{{x}}<extra></extra>",
    )
