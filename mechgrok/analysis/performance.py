"""How well a network answers under an intervention: the form that all causal measures share."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid, run_from_sites
from mechgrok.analysis.losses import cross_entropy, right_after_edit
from mechgrok.models.protocol import neuron_hook
from mechgrok.models.unaltered import has_linear_readout
from mechgrok.readable import Readable


@dataclass(frozen=True)
class Performance(Readable):
    """Answers under one intervention.

    Attributes:
        what: what was done, in a few words.
        loss: mean cross-entropy in nats.
        accuracy: share of right answers, 0..1; classes that are equal up to rounding share an answer.
    """

    what: str
    loss: float
    accuracy: float


def performance(
    what: str,
    logits: Float[Tensor, "rows classes"],
    labels: Int[Tensor, " rows"],
    before: Float[Tensor, "inputs classes"],
) -> Performance:
    """How well edited logits answer; the rounding of those `before` tells apart what the edit has made equal."""
    loss = cross_entropy(logits, labels).mean().item()
    return Performance(what, loss, right_after_edit(logits, labels, before).mean().item())


def logits_from_neurons(
    grid: ActivationGrid, neurons: Float[Tensor, "inputs d_mlp"]
) -> Float[Tensor, "inputs classes"]:
    """Logits of all inputs if the last hidden layer had other activations.

    Where the neurons write to the logits by a linear map, and so of bare tensors with W_L, no network is run.
    """
    if grid.source is None or has_linear_readout(grid.source):
        # Half precision holds the result, but would round the sums that make it.
        exact = torch.promote_types(neurons.dtype, torch.float32)
        change = neurons.to(exact) - grid.neurons.to(exact)
        return grid.logits.to(exact) + change @ grid.neuron_logit_map.to(exact)
    return run_from_sites(grid, {neuron_hook(grid.model): neurons})


def at_site(grid: ActivationGrid, site: str) -> Tensor:
    """The activations at "logits", "neurons", or a hook, of all inputs."""
    if site == "neurons":
        return grid.neurons
    return grid.logits if site == "logits" else grid[site]


def logits_from(grid: ActivationGrid, site: str, activations: Tensor) -> Float[Tensor, "inputs classes"]:
    """Logits of all inputs if the activations at "logits", "neurons" or a hook were others."""
    if site == "logits":
        return activations
    if site == "neurons":
        return logits_from_neurons(grid, activations)
    return run_from_sites(grid, {site: activations})
