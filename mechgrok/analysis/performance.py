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
        name: what was done, in a few words.
        loss: mean cross-entropy in nats.
        accuracy: share of right answers, 0..1; classes that are equal up to rounding share an answer.
    """

    name: str
    loss: float
    accuracy: float


def performance(
    name: str,
    logits: Float[Tensor, "rows classes"],
    labels: Int[Tensor, " rows"],
    before: Float[Tensor, "inputs classes"],
) -> Performance:
    """How well edited logits answer; the rounding of those `before` tells apart what the edit has made equal."""
    loss = cross_entropy(logits, labels).mean().item()
    return Performance(name, loss, right_after_edit(logits, labels, before).mean().item())


Rows = Int[Tensor, " some"] | None
"""Which inputs are asked about; None for all, in their order."""


def logits_from_neurons(
    grid: ActivationGrid, neurons: Float[Tensor, "some d_mlp"], rows: Rows = None
) -> Float[Tensor, "some classes"]:
    """Logits of some inputs if the last hidden layer had other activations there.

    Where the neurons write to the logits by a linear map, and so of bare tensors with W_L, no network is run.
    """
    if grid.source is None or has_linear_readout(grid.source):
        # Half precision holds the result, but would round the sums that make it.
        exact = torch.promote_types(neurons.dtype, torch.float32)
        chosen = slice(None) if rows is None else rows
        change = neurons.to(exact) - grid.neurons[chosen].to(exact)
        return grid.logits[chosen].to(exact) + change @ grid.neuron_logit_map.to(exact)
    return _rerun(grid, neuron_hook(grid.model), neurons, rows)


def at_site(grid: ActivationGrid, site: str) -> Tensor:
    """The activations at "logits", "neurons", or a hook, of all inputs."""
    if site == "neurons":
        return grid.neurons
    return grid.logits if site == "logits" else grid[site]


def logits_from(
    grid: ActivationGrid, site: str, activations: Tensor, rows: Rows = None
) -> Float[Tensor, "some classes"]:
    """Logits of some inputs if their activations at "logits", "neurons" or a hook were others."""
    if site == "logits":
        return activations
    if site == "neurons":
        return logits_from_neurons(grid, activations, rows)
    return _rerun(grid, site, activations, rows)


def _rerun(grid: ActivationGrid, site: str, activations: Tensor, rows: Rows) -> Tensor:
    if rows is None:
        return run_from_sites(grid, {site: activations})
    edited = grid[site].clone()
    edited[rows] = activations
    return run_from_sites(grid, {site: edited})[rows]
