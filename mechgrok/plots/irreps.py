"""Share of each irrep, or frequency, in every part of a network."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from mechgrok.algebra.bases import Label
from mechgrok.analysis.representations import Fractions, HiddenFractions, RepresentationMeasures
from mechgrok.plots.neurons import COLOUR_BAR
from mechgrok.plots.theme import SEQUENTIAL_ROOT, block_kind, figure, name_of

SEEN = 0.01
"""Shares below this are combined as others if no keys are given."""
PRINTED = 0.005
"""Share from which a cell shows its number."""
COLUMNS = {
    "embedding": "embedding<br>of a",
    "embedding_second": "embedding<br>of b",
    "hidden_first": "neurons,<br>of a",
    "hidden_second": "neurons,<br>of b",
    "hidden_product": "neurons, of<br>the answer",
    "unembedding": "unembedding",
}


def irrep_shares(measures: RepresentationMeasures) -> go.Figure:
    """Shares of each key irrep from the embedding to the logits, and of all others together, as a heat map.

    >>> from mechgrok import representation_measures
    >>> from mechgrok.models.constructed import cosine_network
    >>> drawn = irrep_shares(representation_measures(cosine_network(7, {1: 3.0, 2: 4.0})))
    >>> drawn.data[0].y, drawn.data[0].text[0][-1]
    (('k = 1', 'k = 2', 'others'), '36%')
    """
    columns = {COLUMNS[part]: shares for part, shares in measures.shares.items()}
    columns["logits"] = {label: similarity**2 for label, similarity in measures.similarity.items()}
    return _share_map(columns, measures.keys, "Share of each part of the network")


def hidden_shares(fractions: HiddenFractions) -> go.Figure:
    """Shares of the variance of a hidden layer as a heat map; irreps below 1% everywhere are combined."""
    columns = {"of a": fractions.first, "of b": fractions.second, "of the answer": fractions.product}
    seen = [k for k in fractions.first if max(column[k] for column in columns.values()) >= SEEN]
    return _share_map(columns, seen, "Share of the neurons' variance")


def _share_map(columns: Mapping[str, Fractions], shown: Sequence[Label], title: str) -> go.Figure:
    """One row for each shown label, and one for all other non-trivial labels."""
    what = block_kind(shown)
    rows = [[column[label] for column in columns.values()] for label in shown]
    labels = [label for label in next(iter(columns.values())) if label != "trivial"]
    names = [name_of(what, label) for label in shown]
    if len(shown) < len(labels):
        rest = [label for label in labels if label not in shown]
        rows.append([sum(column[label] for label in rest) for column in columns.values()])
        names.append("others")
    heat = go.Heatmap(
        z=rows,
        x=list(columns),
        y=names,
        zmin=0,
        zmax=1,
        colorscale=SEQUENTIAL_ROOT,
        text=[[f"{share:z.0%}" if share >= PRINTED else "" for share in row] for row in rows],
        texttemplate="%{text}",
        xgap=2,
        ygap=2,
        colorbar=COLOUR_BAR | {"title": {"text": "share", "font": {"size": 11}}, "tickformat": ".0%"},
        customdata=[[name.replace("<br>", " ") for name in columns]] * len(rows),
        hovertemplate="%{y}, %{customdata}: %{z:.2%}<extra></extra>",
    )
    drawn = figure([heat], title=title, height=160 + 34 * len(names))
    drawn.update_layout(margin={"b": 62})
    drawn.update_xaxes(type="category", showgrid=False, tickangle=0, title_text="part of the network")
    drawn.update_yaxes(
        type="category", showgrid=False, autorange="reversed", title_text=what, automargin=True
    )
    return drawn
