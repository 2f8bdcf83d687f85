"""The logits in the basis of the task: over pairs of components, and per key."""

from collections.abc import Iterable

import plotly.graph_objects as go
import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import Source, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.explained import LogitFVE
from mechgrok.analysis.frequencies import KeyFrequencies
from mechgrok.errors import NoGroupError
from mechgrok.plots.neurons import COLOUR_BAR
from mechgrok.plots.spectra import block_axis, key_ticks
from mechgrok.plots.theme import (
    GREY,
    KEY,
    LOGARITHMIC,
    OTHER,
    SEQUENTIAL_ROOT,
    SOFT,
    block_kind,
    figure,
    name_of,
    numbers,
    plain,
)

MAP_HEIGHT = 520
ROUNDING = 1e-12
"""Smaller shares are drawn at this value: they are rounding errors, and would stretch the axis."""
_CHUNK = 16
"""Number of classes transformed at a time, which bounds the memory for large groups."""


def component_norms(source: Source) -> Float[Tensor, "row row"]:
    """Norm over the classes of the logits' coefficient of each pair of basis rows, for a and for b.

    The logits are first centred over the classes, which no loss can see. The squares add up to their squared
    norm; [0, 0] is the part that does not depend on the input.

    >>> from mechgrok.models.constructed import cosine_network
    >>> norms = component_norms(cosine_network(7, {2: 1.0}))
    >>> (norms > 1e-6).nonzero().tolist()
    [[3, 3], [3, 4], [4, 3], [4, 4]]
    """
    grid = as_grid(source, names=[])
    basis = grid.task.frame.basis
    logits = grid.task.frame.square(grid.logits.double())
    logits = logits - logits.mean(dim=2, keepdim=True)
    parts = (basis.transform(basis.transform(part, 0), 1) for part in logits.split(_CHUNK, dim=2))
    return sum((part.square().sum(dim=2) for part in parts), torch.zeros(1, 1)).sqrt()


def fourier_map(source: Source, keys: Iterable[Label] = ()) -> go.Figure:
    """Heat map of `component_norms`; axes are marked at the keys.

    >>> from mechgrok.models.constructed import cosine_network
    >>> drawn = fourier_map(cosine_network(7, {2: 1.0}), keys=[2])
    >>> drawn.data[0].x[3:5], drawn.layout.xaxis.ticktext
    (('cos 2', 'sin 2'), ('2',))
    """
    grid = as_grid(source, names=[])
    basis = grid.task.frame.basis
    keys = basis.check_labels(keys)
    names = ["constant"]
    for block in basis.blocks[1:]:
        names += [
            f"{part} {block.label}" if basis.what == "frequency" else f"{plain(block.label)} {plain(part)}"
            for part in block.components
        ]
    drawn = figure(
        [
            go.Heatmap(
                z=numbers(component_norms(grid).T),
                x=names,
                y=names,
                colorscale=SEQUENTIAL_ROOT,
                colorbar=COLOUR_BAR | {"title": {"text": "norm", "font": {"size": 11}}},
                hovertemplate="%{x} of a, %{y} of b<br>norm %{z:.3g}<extra></extra>",
            )
        ],
        title="Logits per pair of components",
        height=MAP_HEIGHT,
        width=MAP_HEIGHT + 60,
    )
    marked = [block for block in basis.blocks[1:] if block.label in keys or not keys]
    marked = marked[:: max(1, len(marked) // 8)]
    ticks = {
        "type": "category",
        **key_ticks({block.label: block.start + (len(block) - 1) / 2 for block in marked}, basis.order),
        "range": [-0.5, basis.order - 0.5],
        "showgrid": False,
        "constrain": "domain",
        "automargin": basis.what != "frequency",
    }
    what = f"{'key ' if keys else ''}{'frequencies' if basis.what == 'frequency' else 'irreps'}"
    drawn.update_xaxes(title_text=f"component of a ({what} marked)", **ticks)
    drawn.update_yaxes(title_text=f"component of b ({what} marked)", scaleanchor="x", **ticks)
    return drawn


def key_evidence(keys: KeyFrequencies, what: str | None = None) -> go.Figure:
    """Share of the power per block on a logarithmic axis, with the threshold for a key.

    Args:
        what: the kind of block, "frequency" or "irrep"; None infers it from the labels.

    Raises:
        NoGroupError: the task has no blocks, since it has no group.

    >>> from mechgrok import find_key_frequencies
    >>> from mechgrok.models.constructed import cosine_network
    >>> drawn = key_evidence(find_key_frequencies(cosine_network(11, {2: 3.0, 5: 4.0})))
    >>> drawn.data[0].name, drawn.data[0].x, drawn.data[0].y.round(2).tolist()
    ('key', (2, 5), [36.0, 64.0])
    """
    if keys.no_group:
        raise NoGroupError(keys.no_group)
    what = what or block_kind(keys.labels)
    chosen = torch.tensor([label in keys.frequencies for label in keys.labels], dtype=torch.bool)
    shares = keys.power.clamp(min=ROUNDING) * 100
    traces = []
    for name, mask, colour in (("key", chosen, KEY), ("other", ~chosen, OTHER)):
        labels = [label for label, own in zip(keys.labels, mask.tolist(), strict=True) if own]
        if labels:
            traces.append(_dots(labels, shares[mask], name, colour, what))
    drawn = figure(traces, title=f"Share of the {keys.method}{_S.get(keys.method, '')} per {plain(what)}")
    drawn.add_hline(keys.threshold * 100, line={"color": SOFT, "width": 1, "dash": "dot"})
    drawn.update_yaxes(LOGARITHMIC, title_text="share (%)", dtick=_decades(shares))
    return block_axis(drawn, what, keys.labels, keys.frequencies)


def explained_logits(fve: LogitFVE) -> go.Figure:
    """Share of the logits' variance explained by each key, and by all keys together, as bars.

    >>> from mechgrok import logit_fve
    >>> from mechgrok.models.constructed import cosine_network
    >>> drawn = explained_logits(logit_fve(cosine_network(7, {1: 3.0, 2: 4.0}), [1, 2]))
    >>> drawn.data[0].x, [round(share) for share in drawn.data[0].y]
    (('k = 1', 'k = 2', 'together'), [36, 64, 100])
    """
    what = block_kind(fve.per_key)
    shares = {name_of(what, key): 100 * share for key, share in fve.per_key.items()}
    bars = shares | {"together": 100 * fve.fraction}
    trace = go.Bar(
        x=list(bars),
        y=list(bars.values()),
        text=[f"{share:z.1f}%" for share in bars.values()],
        textposition="outside",
        cliponaxis=False,
        marker_color=[KEY] * len(shares) + [GREY],
        hovertemplate="%{x}: %{y:.3f}% of the logits' variance<extra></extra>",
    )
    centred = {"class": "centred over the classes", "double": "doubly centred", "none": "not centred"}
    drawn = figure(
        [trace], title=f"Explained variance of the logits, {centred[fve.centre]}", showlegend=False
    )
    drawn.update_xaxes(type="category", showgrid=False, title_text=f"key {what}")
    drawn.update_yaxes(title_text="share (%)", range=[0, 108])
    return drawn


def _decades(shares: Tensor) -> int:
    return max(1, round((shares.max() / shares.min()).log10().item() / 6))


_S = {"logits": "' variance", "neurons": "' output", "embedding": "'s variance"}


def _dots(labels: list[Label], shares: Tensor, name: str, colour: str, what: str) -> go.Scatter:
    return go.Scatter(
        x=[label if isinstance(label, int) else plain(label) for label in labels],
        y=numbers(shares),
        mode="markers",
        name=name,
        marker={"color": colour, "size": 9 if name == "key" else 6},
        customdata=[name_of(what, label) for label in labels],
        hovertemplate="%{customdata}: %{y:.3g}%<extra></extra>",
    )
