"""A sweep over the attention rate: two measures of every network as functions of the rate."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import plotly.graph_objects as go

from mechgrok.errors import UndefinedMetricError
from mechgrok.plots.theme import BLUE, ORANGE, SOFT, figure

MEASURES = {"gradient_symmetricity": BLUE, "distance_irrelevance": ORANGE}
SYMBOLS = {"pizza": "circle", "clock": "diamond", "hybrid": "cross", "undetermined": "x-thin"}


def attention_rate_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Gradient symmetricity and distance irrelevance over the attention rate, one mark per network.

    The shape of the mark is the verdict; the lines join the means at each rate.

    Args:
        rows: rows with `attention_rate`, `algorithm`, `seed` and both measures, which are None for a network that
            was not judged.

    Raises:
        UndefinedMetricError: no network was judged.

    >>> row = {"attention_rate": 0.0, "algorithm": "pizza", "seed": 0,
    ...        "gradient_symmetricity": 0.99, "distance_irrelevance": 0.2}
    >>> [trace.name for trace in attention_rate_figure([row]).data]
    ['gradient symmetricity', None, 'distance irrelevance', None, 'pizza']
    """
    judged = [row for row in rows if row["distance_irrelevance"] is not None]
    if not judged:
        raise UndefinedMetricError("none of the networks could be judged, so there is nothing to draw")
    traces = [trace for measure, colour in MEASURES.items() for trace in _traces(judged, measure, colour)]
    verdicts = {row["algorithm"] for row in judged}
    keys = [_key(algorithm) for algorithm in SYMBOLS if algorithm in verdicts]
    drawn = figure([*traces, *keys], title="From pizza to clock")
    drawn.update_xaxes(title_text="attention rate", range=[-0.04, 1.04])
    drawn.update_yaxes(title_text="per network, and mean", range=[-0.04, 1.04])
    drawn.update_layout(legend={"x": 0, "xanchor": "left", "y": -0.2, "yanchor": "top"}, margin={"b": 90})
    return drawn


def _traces(rows: Sequence[Mapping[str, Any]], measure: str, colour: str) -> list[go.Scatter]:
    name = measure.replace("_", " ")
    rates = sorted({row["attention_rate"] for row in rows})
    means = [mean(row[measure] for row in rows if row["attention_rate"] == rate) for rate in rates]
    line = go.Scatter(x=rates, y=means, mode="lines", name=name, line={"color": colour}, hoverinfo="skip")
    marks = go.Scatter(
        x=[row["attention_rate"] for row in rows],
        y=[row[measure] for row in rows],
        text=[f"{row['algorithm']}, seed {row['seed']}" for row in rows],
        mode="markers",
        marker={
            "color": colour,
            "size": 9,
            "line": {"width": 1, "color": colour},
            "symbol": [SYMBOLS[row["algorithm"]] for row in rows],
        },
        hovertemplate=f"{name} %{{y:.3f}} at rate %{{x:g}}<br>%{{text}}<extra></extra>",
        showlegend=False,
    )
    return [line, marks]


def _key(algorithm: str) -> go.Scatter:
    """Meaning of a mark's shape, for the legend only."""
    marker = {"color": SOFT, "size": 9, "line": {"width": 1, "color": SOFT}, "symbol": SYMBOLS[algorithm]}
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=algorithm, hoverinfo="skip")
