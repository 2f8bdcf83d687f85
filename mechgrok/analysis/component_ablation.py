"""Heads and clusters of neurons ablated one at a time: by their mean, by another input's activations, or to zero."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid, logits_under, logits_under_each
from mechgrok.analysis.components import clusters_of
from mechgrok.analysis.performance import Performance, performance
from mechgrok.config import check_seed
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ActivationError, ConfigError, UndefinedMetricError, shown
from mechgrok.memory import check_memory
from mechgrok.models.protocol import Hook, neuron_hook

Replacement = Literal["mean", "resample", "zero"]


class Component(NamedTuple):
    """Some features of the activation at a hook: a head, or some neurons."""

    name: str
    hook: str
    features: Any


@dataclass(frozen=True, eq=False)
class ComponentAblations(Drawable):
    """What is left of a network without one of its components, for each of them.

    Attributes:
        before: the network as it is.
        after: by component, heads "L0H0" and neurons as in `direct_logit_attribution`, the network without it.
        by: what took the place of its activations.
    """

    before: Performance
    after: dict[str, Performance]
    by: Replacement

    @property
    def loss_increase(self) -> dict[str, float]:
        """By component, by how many nats the loss rises without it; below 0 where it falls."""
        return {name: item.loss - self.before.loss for name, item in self.after.items()}

    @property
    def performances(self) -> tuple[Performance, ...]:
        """The network as it is, then without each component."""
        return self.before, *self.after.values()

    def records(self) -> list[dict[str, Any]]:
        """One row per component."""
        rises = self.loss_increase
        return [
            {"component": name, "loss": item.loss, "loss increase": rises[name], "accuracy": item.accuracy}
            for name, item in self.after.items()
        ]

    def __repr__(self) -> str:
        worst = sorted(self.loss_increase.items(), key=lambda item: -item[1])[:4]
        said = ", ".join(f"{name} {rise:+z.3g}" for name, rise in worst)
        return (
            f"ComponentAblations(by {self.by}; loss {self.before.loss:z.3g}: {said} nats, of {len(self.after)} "
            "components)"
        )


@door
def ablate_components(
    source: Source, by: Replacement = "mean", mask: Bool[Tensor, " inputs"] | None = None, *, seed: int = 0
) -> ComponentAblations:
    """Take away one component of a network at a time, and see how it answers without it.

    Components are all heads, the neurons of the last hidden layer in clusters by key frequency or irrep, and those of
    each earlier layer together. A head is its mixed values, at `hook_z`. Later layers are computed anew, so that what a
    component does by way of them is counted, unlike in `direct_logit_attribution`.

    Args:
        source: a network, or a grid with its network.
        by: "mean" puts the mean over all inputs, at each position its own, in the place of the activations; "resample"
            those of another input, so that they stay such as the network knows them; "zero" nothing.
        mask: inputs to evaluate on; None takes all. Each scored position is an answer.
        seed: of the other inputs.

    Raises:
        ConfigError: another kind of ablation.
        UndefinedMetricError: answers are values; one input alone has no other.
        ActivationError: a grid of bare tensors; a network with neither heads nor neurons.

    Source: mean ablation as in Wang et al. 2022 (arXiv 2211.00593), resample ablation as in Chan et al. 2022.

    >>> import mechgrok as mg
    >>> found = ablate_components(mg.pizza_transformer(11, {3: 9.0, 2: 9.0}))
    >>> found.before.accuracy, found.loss_increase["neurons 3"] > 0.5, found.loss_increase["L0H0"] > 2
    (1.0, True, True)
    """
    if by not in get_args(Replacement):
        raise ConfigError(f"a component is ablated by its mean, by resample, or to zero; got {shown(by)}")
    grid = as_grid(source)
    if grid.labels.is_floating_point():
        raise UndefinedMetricError(f"the answers of {grid.task.name} are values, right to some degree")
    components = _components(grid)
    rows = grid.selection(mask)
    labels, other = grid.labels[rows].flatten(), _others(grid.task.n_inputs, check_seed(seed))

    def answers(what: str, logits: Tensor) -> Performance:
        return performance(what, logits[rows].flatten(0, -2), labels, grid.logits.flatten(0, -2))

    after: dict[str, Performance] = {}
    for hook in dict.fromkeys(component.hook for component in components):
        put = _replacement(grid, hook, by, other)
        for component in (item for item in components if item.hook == hook):
            logits = logits_under_each(grid, lambda some, it=component, put=put: [_replaced(it, put(some))])
            after[component.name] = answers(f"without {component.name}", logits)
    in_order = {item.name: after[item.name] for item in components}
    return ComponentAblations(answers("the network", grid.logits), in_order, by)


def _components(grid: ActivationGrid) -> list[Component]:
    model, found = grid.model, []
    for layer in range(getattr(model.cfg, "n_layers", 1)):
        z, post = f"blocks.{layer}.attn.hook_z", f"blocks.{layer}.mlp.hook_post"
        if z in model.hook_dict:
            found += [Component(f"L{layer}H{head}", z, head) for head in range(model.cfg.n_heads)]
        if post in model.hook_dict and post != neuron_hook(model):
            found.append(Component(f"L{layer} neurons", post, slice(None)))
    try:
        last = neuron_hook(model)
    except ActivationError:
        last = ""
    if last:
        found += [Component(name, last, members) for name, members in clusters_of(grid).items()]
    if not found:
        raise ActivationError("the network has neither heads nor neurons with TransformerLens's hooks")
    return found


def _others(n_inputs: int, seed: int) -> Tensor:
    """For each input another one."""
    if n_inputs < 2:
        raise UndefinedMetricError("a single input has no other one to take activations from")
    order = torch.randperm(n_inputs, generator=Generator().manual_seed(seed))
    other = torch.empty_like(order)
    other[order] = order.roll(1)
    return other


def _replacement(
    grid: ActivationGrid, hook: str, by: Replacement, other: Tensor
) -> Callable[[slice], Float[Tensor, "inputs pos *rest"]]:
    """What takes the place of the activations of some inputs, at all positions that the network computes."""
    if by == "zero":
        return lambda rows: torch.zeros(1)
    whole = everywhere(grid, [hook])[hook]
    if by == "mean":
        mean = whole.double().mean(0, keepdim=True).to(whole)
        return lambda rows: mean
    return lambda rows: whole[other[rows]]


def everywhere(grid: ActivationGrid, names: Sequence[str]) -> dict[str, Float[Tensor, "inputs pos *rest"]]:
    """Activations of some hooks over all inputs, at all positions that a pass for the answers computes.

    Raises:
        ConfigError: there is too little memory.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in names}

    def keep(activation: Tensor, hook: Any, name: str) -> None:
        if not parts[name]:
            check_memory(
                f"{name} of all inputs",
                activation[0].numel() * activation.element_size() * grid.task.n_inputs,
            )
        parts[name].append(activation.detach().cpu())

    hooks: list[Hook] = [(name, lambda x, hook, name=name: keep(x, hook, name)) for name in names]
    logits_under(grid, hooks)
    return {name: torch.cat(values) for name, values in parts.items()}


def _replaced(component: Component, values: Tensor) -> Hook:
    def replace(activation: Tensor, hook: Any) -> Tensor:
        edited = activation.clone()
        here = values.to(activation).expand_as(activation)
        if isinstance(component.features, int):
            edited[:, :, component.features] = here[:, :, component.features]
        else:
            edited[..., component.features] = here[..., component.features]
        return edited

    return component.hook, replace
