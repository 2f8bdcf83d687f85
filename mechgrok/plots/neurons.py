"""Neurons over all inputs, and the number of neurons per frequency."""

from collections.abc import Iterable

import plotly.graph_objects as go
from torch import Tensor

from mechgrok.activations import Source, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.cosets import CosetNeurons
from mechgrok.analysis.neurons import NeuronFrequencies, neuron_frequencies
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import (
    DIVERGING,
    GREY,
    KEY,
    OTHER,
    SEQUENTIAL,
    block_kind,
    figure,
    name_of,
    numbers,
    plain,
)
from mechgrok.tasks import Frame
from mechgrok.wording import in_words

PANEL = 340
FEW = 3
"""Number of neurons shown for a network without key frequencies."""


def typical_neurons(tuned: NeuronFrequencies, keys: Iterable[Label]) -> list[int]:
    """For each key, the neuron tuned to it with the most variance in it; keys without neurons are left out.

    Without keys: the few neurons with the most variance in any block.

    >>> from mechgrok.models.constructed import cosine_network
    >>> tuned = neuron_frequencies(cosine_network(11, {2: 1.0, 5: 1.0}))
    >>> [tuned.labels[tuned.frequency[i] - 1] for i in typical_neurons(tuned, [2, 5])]
    [2, 5]
    """
    keys = list(keys)
    if not keys:
        strength = tuned.power.amax(dim=1)
        order = strength.argsort(descending=True)[:FEW].tolist()
        return [neuron for neuron in order if tuned.alive[neuron]]
    chosen = []
    for key in keys:
        block = tuned.labels.index(key)
        mine = tuned.alive & (tuned.frequency == block + 1)
        if mine.any():
            chosen.append(int(tuned.power[:, block].where(mine, tuned.power.new_tensor(-1)).argmax()))
    return chosen


def neuron_map(source: Source, neuron: int, tuned: NeuronFrequencies | None = None) -> go.Figure:
    """Activation of one neuron of the last hidden layer over both operands, in the order of the group.

    Args:
        neuron: number of the neuron.
        tuned: the result of `neuron_frequencies`, if already computed.

    >>> from mechgrok.models.constructed import cosine_network
    >>> drawn = neuron_map(cosine_network(7, {2: 1.0}), 0)
    >>> drawn.data[0].z.shape, drawn.layout.title.text
    ((7, 7), 'Neuron 0: k = 2, FVE 80%')
    """
    grid = as_grid(source)
    frame = grid.task.frame
    tuned = tuned or neuron_frequencies(grid)
    values = numbers(frame.square(grid.neurons[:, neuron]).T)
    # Almost all activation functions have a minimum at or just below 0.
    signed = values.min() < -0.2 * abs(values).max()
    title, short = f"Neuron {neuron}: {_tuning(tuned, neuron, frame)}", f"neuron {neuron}"
    drawn = figure(
        [
            go.Heatmap(
                z=values,
                x=frame.tokens.tolist(),
                y=frame.tokens.tolist(),
                colorscale=DIVERGING if signed else SEQUENTIAL,
                zmid=0 if signed else None,
                colorbar=COLOUR_BAR,
                hovertemplate=f"a = %{{x}}, b = %{{y}}<br>{short}: %{{z:.3g}}<extra></extra>",
            )
        ],
        title=title,
        height=PANEL,
        width=PANEL + 50,
    )
    return symbol_axes(drawn, frame)


def neuron_maps(source: Source, keys: Iterable[Label] = (), columns: int = 3) -> go.Figure:
    """`neuron_map` for one typical neuron per key, as panels of one figure."""
    grid = as_grid(source)
    tuned = neuron_frequencies(grid)
    return in_panels([neuron_map(grid, i, tuned) for i in typical_neurons(tuned, keys)], columns)


def cluster_sizes(tuned: NeuronFrequencies, what: str | None = None) -> go.Figure:
    """Number of neurons per frequency, and number of neurons without a frequency.

    Args:
        what: the kind of block, "frequency" or "irrep"; None infers it from the labels.

    >>> from mechgrok.models.constructed import cosine_network
    >>> drawn = cluster_sizes(neuron_frequencies(cosine_network(11, {3: 1.0}), threshold=0.75))
    >>> drawn.data[0].x, drawn.data[0].y
    (('k = 3',), (25,))
    """
    what = what or block_kind(tuned.labels)
    clusters = {name_of(what, label): size for label, size in tuned.clusters.items()}
    return _neuron_counts(clusters, tuned.alive, tuned.decided, f"Neurons per {plain(what)}")


def coset_sizes(neurons: CosetNeurons) -> go.Figure:
    """Number of neurons that are constant on the cosets of a subgroup of each order, and of those that are on none.

    >>> from mechgrok import coset_neurons
    >>> from mechgrok.models.constructed import cosine_network
    >>> coset_sizes(coset_neurons(cosine_network(12, {4: 1.0}))).data[0].x
    ('order 4',)
    """
    counts = {f"order {order}": count for order, count in neurons.orders.items()}
    title = "Neurons per order of the subgroup on whose cosets they are constant"
    return _neuron_counts(counts, neurons.alive, neurons.decided, title)


def _neuron_counts(clusters: dict[str, int], alive: Tensor, decided: Tensor, title: str) -> go.Figure:
    dead, mixed = int((~alive).sum()), int((alive & ~decided).sum())
    rest = {name: size for name, size in (("mixed", mixed), ("dead", dead)) if size}
    bars = clusters | rest
    drawn = figure(
        [
            go.Bar(
                x=list(bars),
                y=list(bars.values()),
                text=list(bars.values()),
                textposition="outside",
                cliponaxis=False,
                marker_color=[KEY] * len(clusters) + [OTHER if name == "mixed" else GREY for name in rest],
                hovertemplate=f"%{{x}}: %{{y}} of {in_words(len(alive), 'neuron')}<extra></extra>",
            )
        ],
        title=title,
        showlegend=False,
    )
    drawn.update_xaxes(type="category", showgrid=False)
    drawn.update_yaxes(title_text="number of neurons", rangemode="tozero")
    return drawn


COLOUR_BAR = {"thickness": 8, "outlinewidth": 0, "nticks": 4, "tickfont": {"size": 10}, "xpad": 4, "len": 1.0}


def in_token_order(frame: Frame) -> bool:
    """Whether the group elements are the tokens in numerical order, as for a sum."""
    return frame.tokens.tolist() == list(range(frame.order))


def symbol_axes(drawn: go.Figure, frame: Frame) -> go.Figure:
    """Set equally scaled axes for a heat map over both operands, with the tokens in the order of the group."""
    natural = in_token_order(frame)
    title = "{}" if natural else "{}, in the order of the group"
    # Categories keep the order of the group; as numbers, the tokens of a product would be sorted.
    kind = {} if natural else {"type": "category", "nticks": 8}
    drawn.update_xaxes(title_text=title.format("a"), constrain="domain", showgrid=False, **kind)
    drawn.update_yaxes(
        title_text=title.format("b"), scaleanchor="x", constrain="domain", showgrid=False, **kind
    )
    return drawn


def _tuning(tuned: NeuronFrequencies, neuron: int, frame: Frame) -> str:
    if not tuned.alive[neuron]:
        return "dead"
    label = tuned.labels[tuned.frequency[neuron] - 1]
    return f"{name_of(frame.basis.what, label)}, FVE {tuned.fve[neuron].item():z.0%}"
