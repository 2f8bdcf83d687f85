"""Norm of a weight matrix per frequency, or other block of the basis."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import torch
from torch import Tensor

from mechgrok.algebra import Basis
from mechgrok.algebra.bases import Block, Label
from mechgrok.analysis.spectrum import Matrix, Weights, weight_spectrum
from mechgrok.plots.theme import COSINE, KEY, SINE, figure, name_of, numbers, plain

PALE = 0.35
"""Opacity of blocks that are not keys."""
CLOSE = 0.035
"""Fraction of an axis that the label of one key needs."""


def norm_spectrum(
    source: Weights,
    *,
    matrix: Matrix = "W_E",
    keys: Iterable[Label] = (),
    basis: Basis | None = None,
) -> go.Figure:
    """Bars of the norm of W_E or W_L in each block of the basis, with separate cosines and sines if there are any.

    Bars of key blocks are opaque, the others pale. Hovering shows the block and its share of the squared norm without
    the constant. Arguments and errors are as in `weight_spectrum`.

    >>> from mechgrok.models.constructed import cosine_network
    >>> drawn = norm_spectrum(cosine_network(7, {2: 1.0}), keys=[2])
    >>> [trace.name for trace in drawn.data], drawn.data[0].x[drawn.data[0].y.argmax()]
    (['cosine', 'sine'], 2)
    """
    norms, basis = weight_spectrum(source, matrix=matrix, basis=basis)
    keys = basis.check_labels(keys)
    waves = [("cos", "cosine", COSINE), ("sin", "sine", SINE)]
    families = waves if basis.what == "frequency" else [(None, basis.what, KEY)]
    traces = [_bars(norms, basis, keys, *family) for family in families if _has(basis, family[0])]
    drawn = figure(traces, barmode="group")
    drawn.update_layout(title_text=f"{matrix}, norm per {basis.what}", bargap=0.25, bargroupgap=0)
    drawn.update_yaxes(title_text=f"norm of {matrix}", rangemode="tozero")
    return block_axis(drawn, basis.what, basis.labels, keys)


def block_axis(drawn: go.Figure, what: str, labels: Sequence[Label], keys: Iterable[Label]) -> go.Figure:
    """Horizontal axis over the blocks of a basis; frequencies are marked at the keys, if there are few."""
    keys = list(keys)
    if what != "frequency":
        drawn.update_xaxes(title_text=plain(what), type="category", showgrid=False, automargin=True)
        return drawn
    drawn.update_xaxes(title_text="frequency k", showgrid=False, range=[0.3, len(labels) + 0.7])
    if len(labels) <= 8 or 0 < len(keys) <= 8:
        marked = list(labels) if len(labels) <= 8 else keys
        drawn.update_xaxes(key_ticks({k: k for k in marked}, len(labels)))
    return drawn


def key_ticks(positions: Mapping[Any, Any], length: int | float) -> dict[str, list[Any]]:
    """Ticks of an axis at some labels; neighbours too close for two numbers share one tick: "41, 42".

    Args:
        positions: position of each label on the axis.
        length: length of the axis.

    >>> key_ticks({14: 14, 41: 41, 42: 42}, 56)
    {'tickvals': [14.0, 41.5], 'ticktext': ['14', '41, 42']}
    """
    groups: list[list[Any]] = []
    for label in sorted(positions, key=lambda label: positions[label]):
        if groups and positions[label] - positions[groups[-1][-1]] < CLOSE * length:
            groups[-1].append(label)
        else:
            groups.append([label])
    return {
        "tickvals": [sum(positions[label] for label in group) / len(group) for group in groups],
        "ticktext": [", ".join(plain(label) for label in group) for group in groups],
    }


def _has(basis: Basis, component: str | None) -> bool:
    """Whether the basis has such rows: Z_2, for example, has only the alternating function and no sines."""
    return component is None or any(component in block.components for block in basis.blocks[1:])


def _bars(
    norms: Tensor, basis: Basis, keys: tuple[Label, ...], component: str | None, name: str, colour: str
) -> go.Bar:
    """One trace; `component` selects the rows of that name, None means whole blocks."""

    def rows(block: Block) -> list[int]:
        named = range(block.start, block.start + len(block))
        return [row for row, own in zip(named, block.components, strict=True) if component in (own, None)]

    blocks = [block for block in basis.blocks[1:] if rows(block)]
    heights = torch.stack([norms[rows(block)].norm() for block in blocks])
    shares = heights.square() / norms[1:].square().sum()
    opacity = [1.0 if block.label in keys or not keys else PALE for block in blocks]
    return go.Bar(
        x=[block.label if isinstance(block.label, int) else plain(block.label) for block in blocks],
        y=numbers(heights),
        name=name,
        marker={"color": colour, "opacity": opacity, "line": {"width": 0}},
        customdata=[
            [name_of(basis.what, block.label), f"{share:z.1%}"]
            for block, share in zip(blocks, shares.tolist(), strict=True)
        ],
        hovertemplate=f"%{{customdata[0]}}, {name}<br>norm %{{y:.3g}}, %{{customdata[1]}} of the variance"
        "<extra></extra>",
    )
