"""Phase changes of a curve: shaded behind any figure over steps, and as a figure of their own."""

import plotly.graph_objects as go

from mechgrok.analysis.phase_changes import PhaseChanges
from mechgrok.measures.registry import MEASURES, title_of
from mechgrok.plots.curves import thin
from mechgrok.plots.phases import rectangle
from mechgrok.plots.theme import BLUE, VERMILION, figure, plain

SHADE = "rgba(204, 121, 167, 0.25)"
"""A pale purple, which no phase of a training has."""


def shade_changes(drawn: go.Figure, found: PhaseChanges, **place: int) -> go.Figure:
    """Shade the windows of phase changes behind a figure over steps; changes the figure and returns it.

    Args:
        place: `row` and `col` of one panel of several; default all of the figure.
    """
    last = int(found.curve.steps[-1])
    for change in found:
        rectangle(drawn, change.start, change.end if change.over else last, SHADE, place)
    return drawn


def phase_change_figure(found: PhaseChanges) -> go.Figure:
    """The curve, with its phase changes shaded and the steepest place of each marked.

    >>> import numpy as np
    >>> from mechgrok import find_phase_changes
    >>> rows = [{"step": t, "loss_test": 4 / (1 + np.exp((t - 800) / 50))} for t in range(0, 2001, 10)]
    >>> drawn = phase_change_figure(find_phase_changes(rows))
    >>> [trace.name for trace in drawn.data], len(drawn.layout.shapes)
    (['Test loss', 'steepest'], 1)
    """
    title = plain(title_of(found.curve.name))
    unit = MEASURES[found.curve.name].unit if found.curve.name in MEASURES else ""
    steps, values = thin(found.curve.steps, found.curve.values)
    line = go.Scatter(
        x=steps,
        y=values,
        mode="lines",
        name=title,
        line={"color": BLUE, "width": 1.8},
        hovertemplate=f"%{{y:.3g}} {unit} at step %{{x}}<extra></extra>",
    )
    lines = [line]
    if found.changes:
        tops = [change.steepest for change in found]
        lines.append(
            go.Scatter(
                x=tops,
                y=[found.curve.at(step) for step in tops],
                mode="markers",
                name="steepest",
                marker={"color": VERMILION, "size": 8, "symbol": "diamond"},
                customdata=[str(change) for change in found],
                hovertemplate="%{customdata}<extra></extra>",
            )
        )
    many = {0: "no phase change", 1: "a phase change"}.get(len(found), "phase changes")
    drawn = figure(lines, title=f"{title}: {many}")
    drawn.update_xaxes(title_text="step", tickformat="~s", rangemode="tozero")
    drawn.update_yaxes(title_text=unit or title)
    return shade_changes(drawn, found)
