"""Attention patterns: how much each head attends to the first operand, over all inputs."""

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import Source, as_grid, cache_grid
from mechgrok.errors import ActivationError
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import SEQUENTIAL, figure, numbers
from mechgrok.wording import in_words

PANEL = 300


def attention_patterns(source: Source, layer: int | None = None) -> go.Figure:
    """The pattern from the read-out position to the first operand, one heat map of a and b per head.

    Rows are a and columns b, in the order of the task's group. With an attention rate below 1, the pattern is the
    mixed one that the network uses.

    Args:
        source: a network, or the grid of one.
        layer: the layer; by default, the last.

    Raises:
        ActivationError: a network without attention or without such a layer; a grid without its network.

    >>> from mechgrok.models.constructed import cosine_network
    >>> attention_patterns(cosine_network(7, {2: 5.0})).data[0].z.shape
    (7, 7)
    """
    return in_panels(patterns_by_head(source, layer), columns=4)


def patterns_by_head(source: Source, layer: int | None = None) -> list[go.Figure]:
    """The figures that `attention_patterns` puts side by side.

    Raises:
        ActivationError: as there.
    """
    given = as_grid(source, names=[])
    model = given.model
    layers = [name for name in model.hook_dict if name.endswith("attn.hook_pattern")]
    if not layers or not -len(layers) <= (-1 if layer is None else layer) < len(layers):
        raise ActivationError(
            f"the network has attention in {in_words(len(layers), 'layer')}, there is no layer {layer}"
        )
    name = layers[-1 if layer is None else layer]
    grid = cache_grid(model, given.task, [name])
    frame = grid.task.frame
    first, _ = grid.operation.operand_positions
    squares = frame.square(grid[name][:, :, first])
    return [_head(squares[:, :, i], i) for i in range(squares.shape[2])]


def _head(weights: Float[Tensor, "order order"], i: int) -> go.Figure:
    heat = go.Heatmap(
        z=numbers(weights),
        zmin=0,
        zmax=1,
        colorscale=SEQUENTIAL,
        hovertemplate="a = %{y}, b = %{x}<br>attention to a %{z:.3f}<extra></extra>",
    )
    drawn = figure([heat], title=f"head {i}", height=PANEL)
    drawn.update_xaxes(title_text="b", showgrid=False)
    drawn.update_yaxes(title_text="a", showgrid=False)
    return drawn
