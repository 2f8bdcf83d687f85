"""A sweep over the fraction of data: when each network generalised."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import plotly.graph_objects as go

from mechgrok.errors import UndefinedMetricError
from mechgrok.plots.theme import BLUE, LOGARITHMIC, VERMILION, figure


def data_fraction_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Steps to generalisation over the fraction of data: one dot per network, and a line through the medians.

    A network that had not generalised when its training ended is a cross at its last step.

    Args:
        rows: rows with `fraction`, `seed`, `step` (None for never) and `steps`, the length of the training.

    Raises:
        UndefinedMetricError: there are no rows.

    >>> rows = [{"fraction": f, "seed": 0, "step": s, "steps": 900} for f, s in ((0.2, None), (0.4, 300))]
    >>> [list(trace.y) for trace in data_fraction_figure(rows).data]
    [[300], [300], [900]]
    """
    if not rows:
        raise UndefinedMetricError("there are no networks to draw")
    late = [row for row in rows if row["step"] is None]
    reached = [row for row in rows if row["step"] is not None]
    by_fraction = {
        fraction: [row["step"] for row in rows if row["fraction"] == fraction]
        for fraction in sorted({row["fraction"] for row in rows})
    }
    medians = {f: median(steps) for f, steps in by_fraction.items() if None not in steps}
    line = go.Scatter(
        x=list(medians), y=list(medians.values()), mode="lines", name="median", line={"color": BLUE},
        hoverinfo="skip",
    )  # fmt: skip
    marks = [line, _marks(reached, "step", "generalised", BLUE, "circle")]
    if late:
        marks.append(_marks(late, "steps", "not within its training", VERMILION, "x"))
    drawn = figure(marks, title="Steps to generalisation")
    drawn.update_xaxes(title_text="fraction of the inputs that is trained on", tickformat=".0%")
    drawn.update_yaxes(LOGARITHMIC, title_text="step")
    return drawn


def _marks(rows: list[Mapping[str, Any]], height: str, name: str, colour: str, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=[row["fraction"] for row in rows],
        y=[row[height] for row in rows],
        text=[f"seed {row['seed']}" for row in rows],
        mode="markers",
        name=name,
        marker={"color": colour, "size": 8, "symbol": symbol},
        hovertemplate="%{x:.0%}: step %{y}<br>%{text}<extra></extra>",
    )
