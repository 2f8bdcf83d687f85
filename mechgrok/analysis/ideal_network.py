"""The ideal network: every neuron reads and writes its one dominant frequency, and nothing else."""

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid, cache_grid
from mechgrok.activations.sources import as_network
from mechgrok.algebra import Basis
from mechgrok.analysis.neuron_phases import pre_activations
from mechgrok.analysis.neurons import VARIES
from mechgrok.analysis.operand_means import OperandMeans, operand_means
from mechgrok.analysis.performance import Performance, performance
from mechgrok.config import Activation
from mechgrok.door import door
from mechgrok.errors import UndefinedMetricError, shown
from mechgrok.fast.kernels import FORWARD
from mechgrok.models.protocol import neuron_hook, pre_activation_hook

CHECKED = 64
"""Inputs on which the neurons must be what the named activation function makes of their pre-activations."""
CLOSE = 1e-3


@door
def ideal_network(source: Source, mask: Bool[Tensor, " inputs"] | None = None) -> Performance:
    """How well a network would answer if each neuron read and wrote its one dominant frequency alone.

    What a neuron reads is replaced by its mean and one wave of each operand, at the frequency, or irrep, that explains
    most of its pre-activation; what it writes, its row of W_L = W_out @ W_U, by its part of the same frequency. The
    activation function stays, and the logits are what these neurons write: products of the operands before the neurons,
    and all that passes them by, are left out. Constant neurons say nothing. Classes that are no element of the group
    are no answers of the ideal network.

    During a training this accuracy is ahead of the network's own, since the frequencies of the neurons and their phases
    are there before all else is gone. So it is a measure of progress, and no evidence that the network answers as the
    ideal one does; that is what `explained_share` says.

    Args:
        source: a network, or a grid with its network, which is run again where the neurons, or what they read, were not
            cached.
        mask: inputs to evaluate on; None takes all. Inputs without a place in the task's frame are left out.

    Raises:
        UndefinedMetricError: the task is no operation of two operands in a group; the neurons are gated, or no known
            function of their pre-activations; none of them varies; the mask leaves nothing.
        ActivationError: there are no neurons; a grid of bare tensors.

    Source: the extraction of Swaroop 2026 (arXiv 2603.23784) with its amplitudes kept, and the filtration of Liu and Lu
    2026 (arXiv 2605.18022).

    >>> import mechgrok as mg
    >>> ideal_network(mg.cosine_network(11, {3: 9.0})).accuracy
    1.0
    """
    grid = _with_neurons(source)
    return ideal_by_means(grid, lambda: operand_means(pre_activations(grid), grid.task.frame), mask)


def ideal_by_means(
    grid: ActivationGrid, means: Callable[[], OperandMeans], mask: Bool[Tensor, " inputs"] | None = None
) -> Performance:
    """`ideal_network` from the means of the pre-activations over the operands, which are asked for if there are any.

    Raises:
        UndefinedMetricError: as `ideal_network` does.
    """
    frame = grid.task.frame
    if not frame.is_operation:
        raise UndefinedMetricError(f"neurons read a frequency of two operands; {grid.task.name} has one")
    rows = grid.selection(mask)[frame.rows.flatten()]
    if not rows.any():
        raise UndefinedMetricError("no input of the mask has a place in the frame of the task")
    activation = _activation(grid)
    logits = _ideal_logits(grid, activation, means())
    return performance(
        "the ideal network",
        logits[rows],
        frame.results.flatten()[rows],
        grid.logits[:, frame.element_classes],
    )


def _ideal_logits(
    grid: ActivationGrid, activation: Activation, means: OperandMeans
) -> Float[Tensor, "pairs order"]:
    """The logits of the ideal network for all pairs of elements, of the class for each element."""
    frame, (mean, of_a, of_b, variance) = grid.task.frame, means
    block = _dominant(frame.basis, of_a, of_b)
    alive = variance > VARIES * (variance + mean.square()).clamp(min=1e-300)
    if not alive.any():
        raise UndefinedMetricError("no neuron varies over the inputs, so there are no frequencies")
    written = grid.neuron_logit_map.double().T[frame.element_classes]
    exact = torch.promote_types(grid.logits.dtype, torch.float32)
    of_a, of_b, written = (
        _only(block, x, frame.basis)[:, alive].to(exact) for x in (of_a + mean, of_b, written)
    )
    logits = torch.empty(frame.order, frame.order, frame.order, dtype=exact)
    for a, out in zip(of_a, logits, strict=True):
        read = a + of_b
        torch.mm(FORWARD[activation](read, torch.empty_like(read)), written.T, out=out)
    return logits.flatten(0, 1)


def _with_neurons(source: Source) -> ActivationGrid:
    """A grid with the neurons, before and after their activation function."""
    grid = source if isinstance(source, ActivationGrid) else None
    model = as_network(source) if grid is None else grid.model
    names = [pre_activation_hook(model), neuron_hook(model)]
    if grid is None:
        return as_grid(model, names)
    return grid if grid.activations.keys() >= {*names} else cache_grid(model, grid.task, names)


def _activation(grid: ActivationGrid) -> Activation:
    """The function from pre-activations to neurons, which is tried on some inputs.

    Raises:
        UndefinedMetricError: it is not known, or not the one that is named.
    """
    cfg = getattr(grid.model, "cfg", None)
    name = getattr(cfg, "act_fn", None)
    if name not in FORWARD or getattr(cfg, "gated_mlp", False):
        raise UndefinedMetricError(
            "an ideal network needs neurons that are a known function of one pre-activation; this network has "
            + ("gated ones" if name in FORWARD else f"the activation function {shown(name)}")
        )
    known = cast("Activation", name)
    read, post = pre_activations(grid)[:CHECKED], grid.neurons[:CHECKED]
    found = FORWARD[known](read, torch.empty_like(read))
    if (found - post).abs().max() > CLOSE * post.abs().max().clamp(min=1e-30):
        raise UndefinedMetricError(
            f"the neurons are not {name} of their pre-activations, as the configuration of the network says"
        )
    return known


def _dominant(
    basis: Basis, of_a: Float[Tensor, "order d_mlp"], of_b: Float[Tensor, "order d_mlp"]
) -> Int[Tensor, " d_mlp"]:
    """The number of the block, the trivial one 0, with most of what each neuron reads of both operands."""
    power = basis.power(of_a, dim=0) + basis.power(of_b, dim=0)
    return 1 + power[1:].argmax(0)


def _only(
    block: Int[Tensor, " d_mlp"], x: Float[Tensor, "order d_mlp"], basis: Basis
) -> Float[Tensor, "order d_mlp"]:
    """The part of each column in a block of its own, with the mean that it has."""
    of_row = torch.tensor([i for i, found in enumerate(basis.blocks) for _ in range(len(found))])
    kept = (of_row[:, None] == block) | (of_row[:, None] == 0)
    return basis.inverse(basis.transform(x, 0) * kept, 0)
