"""What is left when no product of the operands reaches the neurons: the ablation that tells who multiplies."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, cached_with, run_from_sites
from mechgrok.analysis.performance import Performance, performance
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.models.protocol import HookedModel, pre_activation_hook
from mechgrok.wording import in_words

FEATURES = 64
"""Activations at a time in float64."""


@dataclass(frozen=True, eq=False)
class AdditiveOnly(Drawable):
    """A network of which every product of the operands before the neurons was removed.

    Attributes:
        after, before: how it answers after that, and as it is, over the same inputs.
        products: the share of the variance of the pre-activations over the inputs that was removed, 0..1.
        logits: [n_inputs, n_classes], after that, of all inputs; `grid_from_tensors(task, logits)` measures more of it.
        sites: the hooks at which it was removed.
    """

    after: Performance
    before: Performance
    products: float
    logits: Float[Tensor, "inputs classes"]
    sites: tuple[str, ...]

    @property
    def loss(self) -> float:
        """Loss after that, in nats."""
        return self.after.loss

    @property
    def accuracy(self) -> float:
        """Accuracy after that, 0..1."""
        return self.after.accuracy

    @property
    def performances(self) -> tuple[Performance, ...]:
        """The network as it is, and without products."""
        return self.before, self.after

    def __repr__(self) -> str:
        return (
            f"AdditiveOnly(loss {self.before.loss:z.3g} -> {self.loss:z.3g}, accuracy "
            f"{self.before.accuracy:z.1%} -> {self.accuracy:z.1%}; products {self.products:z.2%} of the variance)"
        )


@door
def additive_only(
    source: Source, mask: Bool[Tensor, " inputs"] | None = None, *, layer: int | None = None
) -> AdditiveOnly:
    """Remove every product of the operands before the neurons of a hidden layer, and run on.

    What the neurons read, and what passes them by in the residual stream, is replaced by the part of it that is a
    function of a plus a function of b: the mean over b, plus that over a, less that over both. A network in which
    attention multiplies the operands, as a clock does, loses what it knows; where the nonlinearity of the neurons does
    the work, as in a pizza, nothing changes. In a network of several layers this removes all products that earlier
    layers have brought to the position of the answer, those of their neurons among them.

    Args:
        source: a network, or a grid with its network.
        mask: inputs to evaluate on; None takes all.
        layer: the hidden layer, numbered from 0; None takes the last.

    Raises:
        UndefinedMetricError: the inputs are not all pairs of two operands.
        ActivationError: a grid without its network; a network without neurons, or without such a layer.

    Source: ours, after the dispute about clock and pizza in McCracken et al. 2025 (arXiv 2505.18266) and
    Moisescu-Pareja et al. 2025 (arXiv 2512.25060).

    >>> import mechgrok as mg
    >>> without = additive_only(mg.pizza_network(11, {3: 9.0}))
    >>> without.accuracy, without.products < 1e-9
    (1.0, True)
    """
    grid = cached_with(source, lambda model: sites_before_neurons(model, layer))
    sites = sites_before_neurons(grid.model, layer)
    additive = {site: additive_part(grid[site], grid) for site in sites}
    logits = run_from_sites(grid, additive)
    rows = grid.selection(mask)
    labels = grid.labels[rows]
    after = performance("no products before the neurons", logits[rows], labels, grid.logits)
    return AdditiveOnly(
        after,
        performance("the network", grid.logits[rows], labels, grid.logits),
        _removed(grid[sites[0]], additive[sites[0]]),
        logits,
        sites,
    )


def additive_part(x: Float[Tensor, "inputs *rest"], grid: ActivationGrid) -> Float[Tensor, "inputs *rest"]:
    """The part of activations that is a function of a plus a function of b; computed in float64, a few at a time.

    Raises:
        UndefinedMetricError: the inputs are not all pairs of two operands.

    >>> import mechgrok as mg
    >>> task = mg.modular_task("add", 2)
    >>> grid = mg.grid_from_tensors(task, torch.zeros(4, 2))
    >>> additive_part(torch.tensor([[0.0], [1.0], [2.0], [7.0]]), grid).flatten().tolist()
    [-1.0, 2.0, 3.0, 6.0]
    """

    def additive(square: Tensor) -> Tensor:
        of_a, of_b = square.mean(1, keepdim=True), square.mean(0, keepdim=True)
        return of_a + of_b - of_a.mean(0, keepdim=True)

    return _of_squares(x, grid, additive)


def operand_part(
    x: Float[Tensor, "inputs *rest"], grid: ActivationGrid, operand: int
) -> Float[Tensor, "inputs *rest"]:
    """What activations say about the first or second operand alone: their mean over the other one, less that over both.

    Raises:
        UndefinedMetricError: the inputs are not all pairs of two operands.

    >>> import mechgrok as mg
    >>> grid = mg.grid_from_tensors(mg.modular_task("add", 2), torch.zeros(4, 2))
    >>> operand_part(torch.tensor([[0.0], [1.0], [2.0], [7.0]]), grid, 0).flatten().tolist()
    [-2.0, -2.0, 2.0, 2.0]
    """

    def alone(square: Tensor) -> Tensor:
        mean = square.mean(1 - operand, keepdim=True)
        return (mean - mean.mean(operand, keepdim=True)).expand_as(square)

    return _of_squares(x, grid, alone)


def _of_squares(x: Tensor, grid: ActivationGrid, part_of: Callable[[Tensor], Tensor]) -> Tensor:
    """What a function makes of activations laid out as [a, b, features] in float64, in the shape that they had."""
    operands = grid.operation.operands
    values = [operands[:, i].unique() for i in range(operands.shape[1])]
    if len(values) != 2 or not torch.equal(operands, torch.cartesian_prod(*values)):
        raise UndefinedMetricError(
            f"a part that is a sum over the operands needs all pairs of two operands as inputs, which {grid.task.name} "
            "does not have"
        )
    flat = x.flatten(1)
    found = torch.empty_like(flat)
    for part, out in zip(flat.split(FEATURES, 1), found.split(FEATURES, 1), strict=True):
        square = part.double().unflatten(0, (len(values[0]), len(values[1])))
        out.copy_(part_of(square).flatten(0, 1))
    return found.view_as(x)


def hidden_layers(model: HookedModel) -> int:
    """How many layers of neurons show what they read; at least 1.

    Raises:
        ActivationError: there are none.
    """
    last = pre_activation_hook(model)
    return int(last.split(".")[1]) + 1 if last.startswith("blocks.") else 1


def sites_before_neurons(model: HookedModel, layer: int | None = None) -> tuple[str, ...]:
    """The hooks at which products are removed: what the neurons read, what gates them, and what passes them by.

    Raises:
        ActivationError: there are no neurons, or there is no such layer.
    """
    last = pre_activation_hook(model)
    layers = hidden_layers(model)
    if layer is not None and not -layers <= layer < layers:
        raise ActivationError(
            f"the network has {in_words(layers, 'hidden layer')}, there is no layer {layer}"
        )
    pre = last if layer is None else last.replace(f"blocks.{layers - 1}.", f"blocks.{layer % layers}.", 1)
    block = pre.removesuffix("mlp.hook_pre")
    beside = (f"{block}mlp.hook_pre_linear", f"{block}hook_resid_mid")
    return (pre, *(name for name in beside if name != pre and name in model.hook_dict))


def _removed(x: Tensor, additive: Tensor) -> float:
    """The share of the variance over the inputs that the additive part has not."""
    removed = total = 0.0
    for part, kept in zip(
        x.flatten(1).split(FEATURES, 1), additive.flatten(1).split(FEATURES, 1), strict=True
    ):
        exact = part.double()
        removed += (exact - kept).square().sum().item()
        total += (exact - exact.mean(0)).square().sum().item()
    return removed / max(total, 1e-300)
