"""Figures of attention heads: their scores, and where they look on average."""

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from mechgrok.analysis.attention import MeanAttention
from mechgrok.analysis.heads import HeadScoreName, HeadScores
from mechgrok.errors import ActivationError
from mechgrok.measures.registry import as_title
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import DIVERGING, SEQUENTIAL, SEQUENTIAL_ROOT, figure, numbers, plain
from mechgrok.wording import in_words

MOST_WRITTEN = 64
"""Heads whose scores are written into their cells."""
PANEL = 300


def head_maps(scores: HeadScores) -> go.Figure:
    """A heat map of layers and heads for each score; copying has two signs, the others start at 0.

    >>> import mechgrok as mg
    >>> drawn = head_maps(mg.head_scores(mg.induction_network(d_vocab=12, n_ctx=16)))
    >>> len(drawn.data), drawn.data[0].z.shape
    (4, (2, 2))
    """
    return in_panels([head_map(scores, name) for name in scores.defined], columns=2)


def head_map(scores: HeadScores, name: HeadScoreName) -> go.Figure:
    """One score of all heads, as a heat map of layers and heads."""
    signed, values, title = name == "copying", scores[name], as_title(name)
    heat = go.Heatmap(
        z=numbers(values),
        zmin=-1 if signed else 0,
        zmax=1,
        colorscale=DIVERGING if signed else SEQUENTIAL,
        texttemplate="%{z:.2f}" if values.numel() <= MOST_WRITTEN else None,
        xgap=2,
        ygap=2,
        hovertemplate=f"layer %{{y}}, head %{{x}}<br>{title.lower()} %{{z:.3f}}<extra></extra>",
    )
    drawn = figure([heat], title=title)
    drawn.update_xaxes(title_text="head", dtick=1, showgrid=False)
    drawn.update_yaxes(title_text="layer", dtick=1, showgrid=False, autorange="reversed")
    return drawn


def attention_over_positions(mean: MeanAttention, *, layer: int | None = None) -> go.Figure:
    """The mean pattern of each head: from the query, downwards, to the key, to the right; darker is more.

    Args:
        layer: one of them alone; default all.

    Raises:
        ActivationError: there is no such layer.

    >>> import mechgrok as mg
    >>> drawn = attention_over_positions(mg.mean_attention(mg.induction_network(d_vocab=12, n_ctx=16)), layer=1)
    >>> [note.text for note in drawn.layout.annotations]
    ['L1H0', 'L1H1']
    """
    n_layers, n_heads = mean.patterns.shape[:2]
    if layer is not None and not -n_layers <= layer < n_layers:
        raise ActivationError(
            f"the network has attention in {in_words(n_layers, 'layer')}, there is no layer {layer}"
        )
    shown = range(n_layers) if layer is None else [layer % n_layers]
    panels = [position_map(f"L{i}H{j}", mean.patterns[i, j]) for i in shown for j in range(n_heads)]
    drawn = in_panels(panels, columns=min(n_heads, 4))
    return drawn.update_layout(
        title={"text": f"Mean over {plain(mean.sequences)}", "pad": {"b": 34}}, margin={"t": 70}
    )


def position_map(title: str, pattern: Float[Tensor, "query key"]) -> go.Figure:
    """One pattern: queries downwards, keys to the right."""
    heat = go.Heatmap(
        z=numbers(pattern),
        zmin=0,
        zmax=1,
        colorscale=SEQUENTIAL_ROOT,
        hovertemplate=f"{title}: from %{{y}} to %{{x}}<br>attention %{{z:.3f}}<extra></extra>",
    )
    drawn = figure([heat], title=title, height=PANEL)
    drawn.update_xaxes(title_text="to position", showgrid=False)
    drawn.update_yaxes(title_text="from position", showgrid=False, autorange="reversed")
    return drawn
