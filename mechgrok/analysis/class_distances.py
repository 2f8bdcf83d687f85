"""How far apart the classes lie in the hidden layer, compared with how far their inputs lie from each other."""

import torch
from jaxtyping import Bool
from torch import Tensor

from mechgrok.activations import Source, as_grid
from mechgrok.door import door
from mechgrok.errors import UndefinedMetricError

ROWS = 256
"""Inputs at a time in float64, so that they stay in the cache."""
ROUNDING = 1e-6
"""Distances within classes that are this fraction of those between them, or less, are rounding."""


@door
def class_distance_ratio(source: Source, mask: Bool[Tensor, " inputs"] | None = None) -> float:
    """Mean distance between the centroids of two classes over the mean distance of an input to that of its class.

    Distances are Euclidean, between activations of the last hidden layer; every pair of different classes counts the
    same, and so does every input. It is small while classes overlap, and grows without bound as each contracts to a
    point. To follow a training, take the held-out inputs: train inputs separate as soon as they are memorised. It hangs
    on the scale of single neurons, and says nothing of how many inputs of a class there are: with one of each, an input
    is its own centroid.

    Args:
        source: a network, or a grid with the neurons cached.
        mask: inputs, such as `split.test`; None takes all. Each scored position is an answer with activations of its
            own.

    Raises:
        UndefinedMetricError: the mask selects nothing; answers are values; fewer than two classes occur; all inputs are
            at the centroid of their class, so that there is nothing to divide by.
        ActivationError: there are no neurons.

    Source: the inter/intra-class distance ratio (ILDR), arXiv 2604.20923, on held-out inputs; there 2.5 times its value
    at the start announces grokking.

    >>> import mechgrok as mg
    >>> task = mg.modular_task("add", 2)
    >>> line = torch.tensor([[0.0], [5.0], [7.0], [2.0]])
    >>> class_distance_ratio(mg.grid_from_tensors(task, torch.zeros(4, 2), {"blocks.0.mlp.hook_post": line}))
    5.0
    """
    grid = as_grid(source)
    chosen = grid.selection(mask)
    if grid.labels.is_floating_point():
        raise UndefinedMetricError(f"the answers of {grid.task.name} are values, in no classes")
    labels = grid.labels[chosen].flatten()
    classes, own, counts = labels.unique(return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise UndefinedMetricError("all inputs have the same answer, so there is no distance between classes")
    x = grid.neurons[chosen].flatten(0, -2)
    centroids = torch.zeros(len(classes), x.shape[1], dtype=torch.float64)
    parts = list(zip(x.split(ROWS), own.split(ROWS), strict=True))
    for part, mine in parts:
        centroids.index_add_(0, mine, part.double())
    centroids /= counts[:, None]
    between = torch.pdist(centroids).mean()
    distances = [(part.double() - centroids[mine]).norm(dim=1) for part, mine in parts]
    within = torch.cat(distances).mean()
    if within <= ROUNDING * between or between == 0 == within:
        raise UndefinedMetricError(
            "all inputs are at the centroid of their class, so that there is no distance to compare with"
        )
    return (between / within).item()
