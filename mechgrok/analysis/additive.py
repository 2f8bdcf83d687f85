"""What is left when no product of the operands reaches the neurons: the ablation that tells who multiplies."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, cached_with, run_from_sites
from mechgrok.analysis.performance import Performance, as_it_is, performance
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.models.protocol import HookedModel, neuron_hook, pre_activation_hook
from mechgrok.models.unaltered import has_linear_readout
from mechgrok.wording import in_words

INPUTS = 256
"""Inputs at a time in float64."""


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
    grid = cached_with(source, lambda model: sites_to_cache(model, layer))
    sites = sites_before_neurons(grid.model, layer)
    read = additive_part(grid[sites[0]], grid)
    logits = _logits(grid, read, sites)
    rows = grid.selection(mask)
    labels = grid.labels[rows]
    after = performance("no products before the neurons", logits[rows], labels, grid.logits)
    return AdditiveOnly(
        after,
        as_it_is(grid, rows),
        _removed(grid[sites[0]], read),
        logits,
        sites,
    )


def sites_to_cache(model: HookedModel, layer: int | None = None) -> tuple[str, ...]:
    """The hooks that `additive_only` looks at. If logits are linear, they tell what passes the neurons by.

    Raises:
        ActivationError: there are no neurons, or there is no such layer.
    """
    sites = sites_before_neurons(model, layer)
    return (*(sites[:1] if _is_linear_but_for_relu(model, sites) else sites), neuron_hook(model))


def _is_linear_but_for_relu(model: HookedModel, sites: tuple[str, ...]) -> bool:
    """Whether ReLUs that read the first of the sites are all that is not linear from there on."""
    return (
        sites[0] == pre_activation_hook(model)
        and not any(site.endswith("hook_pre_linear") for site in sites)
        and getattr(model.cfg, "act_fn", None) == "relu"
        and has_linear_readout(model)
    )


def _logits(grid: ActivationGrid, read: Tensor, sites: tuple[str, ...]) -> Float[Tensor, "inputs classes"]:
    """Logits if neurons read this, and what passes them by is additive too."""
    if not _is_linear_but_for_relu(grid.model, sites):
        others = {site: additive_part(grid[site], grid) for site in sites[1:]}
        return run_from_sites(grid, {sites[0]: read, **others})
    W_L = grid.neuron_logit_map.to(read)
    direct = torch.addmm(grid.logits.to(read), grid.neurons.to(read), W_L, alpha=-1)
    return torch.addmm(additive_part(direct, grid), read.relu(), W_L)


def additive_part(x: Float[Tensor, "inputs *rest"], grid: ActivationGrid) -> Float[Tensor, "inputs *rest"]:
    """The part of activations that is a function of a plus a function of b; its means are taken in float64.

    Raises:
        UndefinedMetricError: the inputs are not all pairs of two operands.

    >>> import mechgrok as mg
    >>> task = mg.modular_task("add", 2)
    >>> grid = mg.grid_from_tensors(task, torch.zeros(4, 2))
    >>> additive_part(torch.tensor([[0.0], [1.0], [2.0], [7.0]]), grid).flatten().tolist()
    [-1.0, 2.0, 3.0, 6.0]
    """
    of_a, of_b = _means(by_operands(x, grid))
    return ((of_a - of_a.mean(0)).to(x)[:, None] + of_b.to(x)).view_as(x)


def operand_parts(
    x: Float[Tensor, "inputs *rest"], grid: ActivationGrid
) -> tuple[Float[Tensor, "a one features"], Float[Tensor, "one b features"]]:
    """What activations say about the first and the second operand alone, to be added to a `by_operands` of them.

    It is their mean over the other operand, less that over both.

    Raises:
        UndefinedMetricError: the inputs are not all pairs of two operands.

    >>> import mechgrok as mg
    >>> grid = mg.grid_from_tensors(mg.modular_task("add", 2), torch.zeros(4, 2))
    >>> [part.flatten().tolist() for part in operand_parts(torch.tensor([[0.0], [1.0], [2.0], [7.0]]), grid)]
    [[-2.0, 2.0], [-1.5, 1.5]]
    """
    of_a, of_b = _means(by_operands(x, grid))
    mean = of_a.mean(0)
    return (of_a - mean).to(x)[:, None], (of_b - mean).to(x)[None]


def _means(
    square: Float[Tensor, "a b features"],
) -> tuple[Float[Tensor, "a features"], Float[Tensor, "b features"]]:
    """Over the other operand, of each value of the first and of the second; in float64, but not all at once."""
    of_a, over_a = [], square.new_zeros(square.shape[1:], dtype=torch.float64)
    for of_one in square:
        exact = of_one.double()
        of_a.append(exact.mean(0))
        over_a += exact
    return torch.stack(of_a), over_a / len(square)


def by_operands(x: Float[Tensor, "inputs *rest"], grid: ActivationGrid) -> Float[Tensor, "a b features"]:
    """Activations laid out by both operands.

    Raises:
        UndefinedMetricError: the inputs are not all pairs of two operands.
    """
    operands = grid.operation.operands
    values = [operands[:, i].unique() for i in range(operands.shape[1])]
    if len(values) != 2 or not torch.equal(operands, torch.cartesian_prod(*values)):
        raise UndefinedMetricError(
            f"a part that is a sum over the operands needs all pairs of two operands as inputs, which {grid.task.name} "
            "does not have"
        )
    return x.flatten(1).unflatten(0, (len(values[0]), len(values[1])))


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
    flat, kept = x.flatten(1), additive.flatten(1)
    mean = flat.mean(0, dtype=torch.float64)
    removed = total = 0.0
    for part, without in zip(flat.split(INPUTS), kept.split(INPUTS), strict=True):
        exact = part.double()
        removed += (exact - without).square().sum().item()
        total += (exact - mean).square().sum().item()
    return removed / max(total, 1e-300)
