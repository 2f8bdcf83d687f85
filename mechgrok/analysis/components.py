"""The components that causal tools take apart: heads, and clusters of neurons by key frequency."""

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.activations import ActivationGrid
from mechgrok.analysis.frequencies import find_key_frequencies
from mechgrok.analysis.neurons import neuron_frequencies
from mechgrok.errors import TaskError, UndefinedMetricError


def clusters_of(grid: ActivationGrid) -> dict[str, Int[Tensor, " members"]]:
    """The numbers of the neurons of the last hidden layer by key frequency or irrep, and those of none of them.

    A neuron belongs to the block that explains most of its variance. On a task in no group, and in a network without
    keys, all neurons are one cluster.

    >>> import mechgrok as mg
    >>> {name: len(members) for name, members in clusters_of(mg.cache_grid(mg.cosine_network(11, {3: 9.0}))).items()}
    {'neurons 3': 25}
    """
    everybody = torch.arange(grid.neurons.shape[-1])
    try:
        keys = find_key_frequencies(grid)
        tuned = neuron_frequencies(grid, threshold=0.0)
    except (TaskError, UndefinedMetricError):
        return {"neurons": everybody}
    labels, found, others = tuned.labels, {}, torch.ones(len(everybody), dtype=torch.bool)
    for key in keys.frequencies:
        members = tuned.alive & (tuned.frequency == 1 + labels.index(key))
        if members.any():
            found[f"neurons {key}"] = members.nonzero().flatten()
            others &= ~members
    if not found:
        return {"neurons": everybody}
    return found | ({"neurons, others": others.nonzero().flatten()} if others.any() else {})
