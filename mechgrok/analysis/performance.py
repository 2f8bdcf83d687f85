"""How well a network answers under an intervention: the form that all causal measures share."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid, run_from_sites
from mechgrok.analysis.losses import cross_entropy, losses_of, right_after_edit
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


def as_it_is(grid: ActivationGrid, rows: Bool[Tensor, " inputs"]) -> Performance:
    """How well the network itself answers, on some inputs."""
    right = right_after_edit(grid.logits[rows], grid.labels[rows], grid.logits)
    return Performance("the network", losses_of(grid)[rows].mean().item(), right.mean().item())


INPUTS = 1024
"""Inputs at a time, so that their neurons stay in the cache."""

Rows = Int[Tensor, " some"] | None
"""Which inputs are asked about; None for all, in their order."""


def reads_neurons_linearly(grid: ActivationGrid) -> bool:
    """Whether the logits are certain to be the neurons times W_L, plus terms independent of them."""
    return grid.source is None or has_linear_readout(grid.source)


def logits_from_neurons(
    grid: ActivationGrid,
    neurons: Float[Tensor, "some d_mlp"],
    rows: Rows = None,
    activation: Callable[[Tensor], Tensor] = torch.positive,
) -> Float[Tensor, "some classes"]:
    """Logits of some inputs if the last hidden layer had other activations there.

    Where the neurons write to the logits by a linear map, and so of bare tensors with W_L, no network is run.

    Args:
        activation: makes activations of `neurons`, a few at a time, if these are something else.
    """
    if reads_neurons_linearly(grid):
        # Half precision holds the result, but would round the sums that make it.
        exact = torch.promote_types(neurons.dtype, torch.float32)
        W_L, parts = grid.neuron_logit_map.to(exact), []
        own, logits = (x if rows is None else x[rows] for x in (grid.neurons, grid.logits))
        for new, old, before in zip(*(x.split(INPUTS) for x in (neurons, own, logits)), strict=True):
            parts.append(torch.addmm(before.to(exact), activation(new).to(exact) - old.to(exact), W_L))
        return torch.cat(parts)
    return _rerun(grid, neuron_hook(grid.model), activation(neurons), rows)


def is_relu(grid: ActivationGrid, pre_activations: Float[Tensor, "inputs d_mlp"]) -> bool:
    """Whether the neurons of a grid are what ReLU makes of these."""
    pairs = zip(grid.neurons.split(INPUTS), pre_activations.split(INPUTS), strict=True)
    return all(torch.equal(neurons, x.relu()) for neurons, x in pairs)


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
