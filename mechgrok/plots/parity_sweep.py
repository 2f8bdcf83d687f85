"""A sweep over weight decay, width and data: what kind of learning each network showed."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from mechgrok.errors import UndefinedMetricError
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import BLUE, GREY, INK, ORANGE, figure

MARKS = {
    "memorisation": ("white", "circle"),
    "grokking": (BLUE, "diamond"),
    "comprehension": (ORANGE, "square"),
    "confusion": (GREY, "x"),
}
"""Colour and shape of each kind of learning, in the order in which more and more weight decay brings them."""
GAP = 0.14
"""Between the marks of two seeds, of the room between two settings."""


def parity_sweep_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """A panel for each weight decay; a mark for each network, at its width and its number of train inputs.

    Args:
        rows: with `weight_decay`, `d_mlp`, `n_train`, `seed` and `kind`.

    Raises:
        UndefinedMetricError: there are none.

    >>> row = {"d_mlp": 32, "n_train": 1500, "seed": 0}
    >>> drawn = parity_sweep_figure([{**row, "weight_decay": 0.01, "kind": "memorisation"},
    ...                              {**row, "weight_decay": 0.1, "kind": "grokking"}])
    >>> [note.text for note in drawn.layout.annotations], sorted(trace.name for trace in drawn.data if trace.showlegend)
    (['weight decay 0.01', 'weight decay 0.1'], ['grokking', 'memorisation'])
    """
    if not rows:
        raise UndefinedMetricError("there are no networks to draw")
    decays = sorted({row["weight_decay"] for row in rows})
    places = {name: sorted({row[name] for row in rows}) for name in ("d_mlp", "n_train", "seed")}
    named: set[str] = set()
    panels = []
    for decay in decays:
        mine = [row for row in rows if row["weight_decay"] == decay]
        panels.append(_panel(f"weight decay {decay:g}", mine, places, named))
    drawn = in_panels(panels, columns=min(len(panels), 5), legend=True)
    return drawn.update_layout(
        height=120 + 60 * len(places["n_train"]),
        legend={"x": 0.5, "xanchor": "center", "y": -0.35, "yanchor": "top"},
        margin={"b": 90},
    )


def _panel(
    title: str, rows: Sequence[Mapping[str, Any]], places: Mapping[str, list[Any]], named: set[str]
) -> go.Figure:
    traces = []
    for kind, (colour, symbol) in MARKS.items():
        mine = [row for row in rows if row["kind"] == kind]
        if mine:
            traces.append(_marks(kind, mine, places, colour, symbol, legend=kind not in named))
            named.add(kind)
    drawn = figure(traces, title=title)
    for axis, name, text in (
        (drawn.update_xaxes, "d_mlp", "neurons"),
        (drawn.update_yaxes, "n_train", "inputs"),
    ):
        ticks = list(range(len(places[name])))
        axis(tickvals=ticks, ticktext=[str(value) for value in places[name]], range=[-0.6, len(ticks) - 0.4])
        axis(title_text=text)
    return drawn


def _marks(
    kind: str,
    rows: Sequence[Mapping[str, Any]],
    places: Mapping[str, list[Any]],
    colour: str,
    symbol: str,
    *,
    legend: bool,
) -> go.Scatter:
    """The seeds of a setting stand side by side, three in a row."""
    x, y = [], []
    for row in rows:
        down, across = divmod(places["seed"].index(row["seed"]), 3)
        x.append(places["d_mlp"].index(row["d_mlp"]) + GAP * 2 * (across - 1))
        y.append(
            places["n_train"].index(row["n_train"]) - GAP * 2 * (down - (len(places["seed"]) - 1) // 3 / 2)
        )
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        name=kind,
        legendgroup=kind,
        showlegend=legend,
        text=[f"{row['d_mlp']} neurons, {row['n_train']} inputs, seed {row['seed']}" for row in rows],
        marker={"color": colour, "symbol": symbol, "size": 9, "line": {"width": 1, "color": INK}},
        hovertemplate=f"{kind}<br>%{{text}}<extra></extra>",
    )
