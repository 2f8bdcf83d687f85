"""Evidence that distinguishes a clock from a pizza: measures on their scales, and one circle in isolation."""

from collections.abc import Sequence
from math import gcd

import plotly.graph_objects as go

from mechgrok.analysis.algorithms import (
    CLOCK_DISTANCE,
    CLOCK_FADING,
    CLOCK_SYMMETRY,
    PIZZA_FADING,
    PIZZA_SYMMETRY,
    AlgorithmVerdict,
    Evidence,
)
from mechgrok.analysis.circles import IsolatedCircle
from mechgrok.analysis.logit_surface import PIZZA_DISTANCE, logit_surface
from mechgrok.analysis.symmetricity import GradientSymmetricity
from mechgrok.errors import UndefinedMetricError
from mechgrok.plots.algorithms import surface_figure
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import BLUE, FAINT, INK, KEY, ORANGE, SOFT, figure
from mechgrok.wording import in_words

RANGES = {
    "distance irrelevance": ((0.0, PIZZA_DISTANCE, "pizza"), (CLOCK_DISTANCE, 1.0, "clock")),
    "gradient symmetricity": ((-1.0, CLOCK_SYMMETRY, "clock"), (PIZZA_SYMMETRY, 1.0, "pizza")),
    "circle fading": ((0.0, CLOCK_FADING, "clock"), (PIZZA_FADING, 1.0, "pizza")),
}
"""Ranges of each measure that indicate each algorithm."""
COLOURS = {"clock": BLUE, "pizza": ORANGE}
ROW = 70


def verdict_scales(verdict: AlgorithmVerdict) -> go.Figure:
    """Each measure of a verdict as a mark on a scale from -1 to 1, over the ranges for clock and pizza.

    Raises:
        UndefinedMetricError: the network was not fit to be judged, so that nothing was measured.

    >>> from mechgrok import classify_algorithm
    >>> from mechgrok.models.constructed import pizza_network
    >>> drawn = verdict_scales(classify_algorithm(pizza_network(11, {3: 9.0})))
    >>> drawn.data[-1].y, drawn.data[-1].text[0]
    (('distance irrelevance', 'gradient symmetricity', 'circle fading'), '0.00')
    """
    if not verdict.evidence:
        raise UndefinedMetricError(f"there is nothing to draw: {verdict.reason}")
    return _scales(verdict.evidence, f"What speaks for it: {verdict.algorithm}")


def symmetricity_scale(symmetricity: GradientSymmetricity) -> go.Figure:
    """Gradient symmetricity on its scale, over the ranges for clock and pizza."""
    rule = f"over {in_words(symmetricity.n_triples, 'triple')}"
    item = Evidence("gradient symmetricity", symmetricity.value, "silent", rule)
    return _scales([item], "Gradient symmetricity")


def circle_alone(circle: IsolatedCircle) -> go.Figure:
    """The output from one circle: the right answer's logit, and how well each formula explains all logits.

    The left panel shows the logit over the distance of the operands and the answer, the right panel the fraction
    of variance explained by each formula.

    >>> from mechgrok import isolate_circle
    >>> from mechgrok.models.constructed import cosine_network
    >>> drawn = circle_alone(isolate_circle(cosine_network(7, {2: 5.0}), 2))
    >>> drawn.data[1].x[0], round(drawn.data[1].y[0], 3)
    ('clock', 100.0)
    """
    k = circle.k if gcd(circle.k, circle.grid.task.frame.order) == 1 else None
    surface = surface_figure(
        logit_surface(circle.grid, k), title=f"Logit of the right answer, k = {circle.k}"
    )
    names = [name.replace("pizza_", "pizza,<br>").replace("_", "-") for name in circle.fve]
    bars = go.Bar(
        x=names,
        y=[100 * share for share in circle.fve.values()],
        text=[f"{share:z.1%}" for share in circle.fve.values()],
        textposition="outside",
        cliponaxis=False,
        marker_color=KEY,
        hovertemplate=f"%{{x}}, k = {circle.k}: %{{y:.2f}}% of the logits' variance<extra></extra>",
    )
    explained = figure([bars], title=f"Explained by each formula (accuracy {circle.accuracy:z.1%})")
    explained.update_xaxes(
        type="category", showgrid=False, title_text="formula", tickangle=0, tickfont={"size": 10}
    )
    explained.update_yaxes(ticksuffix="%", title={"text": "variance explained", "standoff": 0})
    return in_panels([surface, explained], columns=2).update_layout(margin={"b": 62})


def _scales(evidence: Sequence[Evidence], title: str) -> go.Figure:
    names = [item.measure for item in evidence]
    scale = {"orientation": "h", "width": 0.24, "hoverinfo": "skip", "showlegend": False}
    lows = [-1.0 if name == "gradient symmetricity" else 0.0 for name in names]
    traces: list[go.Bar | go.Scatter] = [
        go.Bar(y=names, base=lows, x=[1 - low for low in lows], marker={"color": FAINT}, **scale)
    ]
    for algorithm, colour in COLOURS.items():
        ranges = [
            (name, low, high - low)
            for name in names
            for low, high, vote in RANGES.get(name, ())
            if vote == algorithm
        ]
        y, base, x = zip(*ranges, strict=True)
        marker = {"color": colour, "opacity": 0.45}
        traces.append(
            go.Bar(y=y, base=base, x=x, marker=marker, **scale | {"showlegend": True}, name=algorithm)
        )
    marks = go.Scatter(
        x=[item.value for item in evidence],
        y=names,
        mode="markers+text",
        marker={"symbol": "diamond", "size": 11, "color": INK, "line": {"color": "white", "width": 1}},
        text=[f"{item.value:z.2f}" for item in evidence],
        textposition="top center",
        textfont={"color": SOFT, "size": 11},
        customdata=[(item.vote, item.rule) for item in evidence],
        hovertemplate="%{y} %{x:.4f}<br>%{customdata[1]}<br>vote: %{customdata[0]}<extra></extra>",
        showlegend=False,
        cliponaxis=False,
    )
    drawn = figure([*traces, marks], title=title, height=100 + ROW * len(names), barmode="overlay")
    drawn.update_xaxes(
        title_text="value", range=[-1.04, max(1.04, *(1.04 * item.value for item in evidence))]
    )
    drawn.update_yaxes(type="category", autorange="reversed", showgrid=False, automargin=True)
    return drawn
