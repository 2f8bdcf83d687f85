"""Direct logit attribution: what each component of a network writes to the logits by itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, cache_grid
from mechgrok.activations.sources import as_network
from mechgrok.analysis.components import clusters_of
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ActivationError, ConfigError, UndefinedMetricError, shown
from mechgrok.models.protocol import HookedModel, neuron_hook
from mechgrok.models.unaltered import has_linear_readout
from mechgrok.spelling import listed

ROWS = 1024
"""Answers at a time in float64."""
NEURONS = "neurons"


@dataclass(frozen=True, eq=False)
class Part:
    """A component as the product of what it computes for each answer with how that is read as logits.

    Attributes:
        activations: [answers, width].
        readout: [width, classes].
    """

    activations: Float[Tensor, "answers width"]
    readout: Float[Tensor, "width classes"]

    def logits(self) -> Float[Tensor, "answers classes"]:
        """What it writes to the logits, in float64."""
        return torch.cat([x.double() @ self.readout for x in self.activations.split(ROWS)])

    def effects(self, labels: Int[Tensor, " answers"]) -> Float[Tensor, "answers width"]:
        """What each feature adds to the right logit less the mean over the classes."""
        centred = (self.readout - self.readout.mean(1, keepdim=True)).T
        pairs = zip(self.activations.split(ROWS), labels.split(ROWS), strict=True)
        return torch.cat([x.double() * centred[y] for x, y in pairs])


@dataclass(frozen=True, eq=False)
class LogitAttribution(Drawable):
    """The direct effect of each component on the logits, which add up to all of them.

    Components are "embed" and "pos_embed", the heads "L0H0", the neurons of the last hidden layer in clusters by key
    frequency or irrep, "neurons 5", with "neurons, others" for those of no key, the neurons of earlier layers together,
    "L0 neurons", and biases, "L0 b_O", "L0 b_out", "b_U". Of a network whose parts are not known, "all else" is what
    the neurons do not write.

    Attributes:
        effects: by component, [answers], what it adds to the right logit less the mean logit of all answers.
        neurons: [d_mlp], the mean of that over the answers for each neuron of the last hidden layer; empty without.
        parts: by component, activations and read-out.
        frozen: whether a final norm was taken as it is: its scale for each input is held fixed, and biases of it are a
            component "ln_final".
    """

    effects: dict[str, Float[Tensor, " answers"]]
    neurons: Float[Tensor, " d_mlp"]
    parts: dict[str, Part] = field(repr=False)
    frozen: bool

    @property
    def components(self) -> tuple[str, ...]:
        """Their names, in the order in which a network computes them."""
        return tuple(self.effects)

    @property
    def means(self) -> dict[str, float]:
        """The mean effect of each component, in logits."""
        return {name: values.mean().item() for name, values in self.effects.items()}

    @property
    def total(self) -> float:
        """The mean right logit less the mean logit of all answers, which is the sum of the means."""
        return sum(self.means.values())

    def logits(self, component: str) -> Float[Tensor, "answers classes"]:
        """All that one component writes to the logits, in float64.

        Raises:
            ConfigError: there is none of this name.
        """
        if component not in self.parts:
            raise ConfigError(f"components are {listed(self.parts)}; got {shown(component)}")
        return self.parts[component].logits()

    def records(self) -> list[dict[str, Any]]:
        """One row per component."""
        return [
            {"component": name, "mean effect": value.mean().item(), "spread": value.std(correction=0).item()}
            for name, value in self.effects.items()
        ]

    def __repr__(self) -> str:
        most = sorted(self.means.items(), key=lambda item: -abs(item[1]))[:5]
        said = ", ".join(f"{name} {value:+z.3g}" for name, value in most)
        return f"LogitAttribution({said}; {self.total:z.3g} in all, of {len(self.effects)} components)"


@door
def direct_logit_attribution(source: Source, mask: Bool[Tensor, " inputs"] | None = None) -> LogitAttribution:
    """What embedding, positions, heads, clusters of neurons and biases add to the logits directly.

    The residual stream at the read-out is the sum of what each component writes, and the logits are a linear map of it,
    so that they are a sum over components. A final norm is no linear map: there its scale is held fixed at what it is
    for each input, as in TransformerLens's `logit_attrs`, and the sum is still exact. What a component does to later
    ones is not counted.

    Args:
        source: a network or a grid. Of a grid of bare tensors, "W_L" must be known.
        mask: inputs to look at; None takes all. Each scored position is an answer.

    Raises:
        UndefinedMetricError: answers are values; norms after the blocks (post-norm), through which nothing is a sum.
        ActivationError: a network with neither a residual stream nor neurons with a linear read-out.

    Source: Elhage et al. 2021 (A mathematical framework for transformer circuits).

    >>> import mechgrok as mg
    >>> found = direct_logit_attribution(mg.clock_transformer(11, {3: 9.0}))
    >>> round(found.means["neurons 3"], 3), round(found.total, 3)
    (9.0, 9.0)
    """
    grid = source if isinstance(source, ActivationGrid) else None
    if grid is None:
        model = as_network(source)
        grid = cache_grid(model, names=_hooks(model))
    elif grid.source is not None:
        grid = cache_grid(grid.source, grid.task, _hooks(grid.source))
    if grid.labels.is_floating_point():
        raise UndefinedMetricError(f"the answers of {grid.task.name} are values, and no logits compete")
    chosen = grid.selection(mask)
    labels = grid.labels[chosen].flatten()
    found = dict(_parts(grid, chosen))
    effects = {name: part.effects(labels) for name, part in found.items()}
    neurons = torch.zeros(0, dtype=torch.float64)
    if any(name.startswith(NEURONS) for name in found):
        neurons = torch.zeros(grid.neurons.shape[-1], dtype=torch.float64)
        for name, members in clusters_of(grid).items():
            neurons[members] = effects[name].mean(0)
    summed = {name: values.sum(1) for name, values in effects.items()}
    return LogitAttribution(summed, neurons, found, _has_norm(grid.source))


def _hooks(model: HookedModel) -> list[str]:
    """What is read of a network: all that writes to the residual stream, and the scale of the final norm."""
    names = [
        f"blocks.{i}.{part}"
        for i in range(getattr(model.cfg, "n_layers", 1))
        for part in ("attn.hook_z", "mlp.hook_post")
    ]
    names = [name for name in names if name in model.hook_dict]
    if any(name.endswith("hook_z") for name in names):
        if any(name.endswith("hook_normalized_resid_post") for name in model.hook_dict):
            raise UndefinedMetricError(
                "the norms of this network stand after the sums (post-norm), so that the residual stream is no sum of "
                "what components write"
            )
        outer = ("hook_embed", "hook_pos_embed", "ln_final.hook_scale")
        return [name for name in outer if name in model.hook_dict] + names
    if not has_linear_readout(model):
        raise ActivationError(
            "direct logit attribution needs a residual stream with TransformerLens's hooks, or neurons that write to "
            "the logits by a linear map; this network has neither"
        )
    return [neuron_hook(model)]


def _has_norm(model: Any) -> bool:
    return model is not None and "ln_final.hook_scale" in model.hook_dict


def _parts(grid: ActivationGrid, chosen: Bool[Tensor, " inputs"]) -> Iterator[tuple[str, Part]]:
    def at(name: str) -> Tensor:
        x = grid[name][chosen]
        return x.flatten(0, 1) if grid.labels.ndim == 2 else x

    if grid.source is None or not any(name.endswith("hook_z") for name in grid.activations):
        yield from _of_neurons_alone(grid, chosen)
        return
    yield from _of_stream(grid, at)


def _of_neurons_alone(grid: ActivationGrid, chosen: Tensor) -> Iterator[tuple[str, Part]]:
    """Clusters of neurons, and what they do not write."""
    neurons, W_L = grid.neurons[chosen].flatten(0, -2), grid.neuron_logit_map.double()
    rest = grid.logits[chosen].flatten(0, -2).double()
    for name, members in clusters_of(grid).items():
        part = Part(neurons[:, members], W_L[members])
        rest = rest - part.logits()
        yield name, part
    yield "all else", Part(rest, torch.eye(rest.shape[1], dtype=torch.float64))


def _of_stream(grid: ActivationGrid, at: Any) -> Iterator[tuple[str, Part]]:
    """All that writes to the residual stream, read as logits through the final norm."""
    model: Any = grid.model
    n_layers, n_classes = model.cfg.n_layers, grid.task.n_classes
    W_U = model.W_U.detach().double().cpu()[:, :n_classes]
    norm = getattr(model, "ln_final", None) if _has_norm(model) else None
    if norm is not None:
        weight = getattr(norm, "w", None)
        W_U = W_U if weight is None else weight.detach().double().cpu()[:, None] * W_U
        if _is_centred(model):
            W_U = W_U - W_U.mean(0)
    some = at(next(iter(grid.activations)))
    scale = (
        at("ln_final.hook_scale").double()
        if norm is not None
        else torch.ones(len(some), 1, dtype=torch.float64)
    )

    def part(x: Tensor, matrix: Tensor | None = None) -> Part:
        scaled = x.double() / scale if norm is not None else x
        return Part(scaled, W_U if matrix is None else matrix.detach().double().cpu() @ W_U)

    for name in ("embed", "pos_embed"):
        if f"hook_{name}" in grid.activations:
            yield name, part(at(f"hook_{name}"))
    ones = torch.ones(len(some), 1, dtype=torch.float64)
    last = neuron_hook(model) if f"blocks.{n_layers - 1}.mlp.hook_post" in grid.activations else ""
    for layer in range(n_layers):
        z, post = f"blocks.{layer}.attn.hook_z", f"blocks.{layer}.mlp.hook_post"
        if z in grid.activations:
            heads = at(z)
            for head in range(heads.shape[1]):
                yield f"L{layer}H{head}", part(heads[:, head], model.W_O[layer, head])
            yield from _bias(model, "b_O", layer, part, ones)
        if post in grid.activations:
            neurons = at(post)
            groups = clusters_of(grid) if post == last else {f"L{layer} {NEURONS}": slice(None)}
            for name, members in groups.items():
                yield name, part(neurons[:, members], model.W_out[layer][members])
            yield from _bias(model, "b_out", layer, part, ones)
    shift = getattr(norm, "b", None)
    if shift is not None:
        yield (
            "ln_final",
            Part(ones, (shift.detach().double().cpu() @ model.W_U.detach().double().cpu())[None, :n_classes]),
        )
    b_U = getattr(model, "b_U", None)
    if b_U is not None:
        yield "b_U", Part(ones, b_U.detach().double().cpu()[None, :n_classes])


def _bias(model: Any, name: str, layer: int, part: Any, ones: Tensor) -> Iterator[tuple[str, Part]]:
    bias = getattr(model, name, None)
    if bias is not None:
        yield f"L{layer} {name}", part(ones, bias[layer][None])


def _is_centred(model: Any) -> bool:
    """Whether the final norm subtracts the mean: LayerNorm does, RMSNorm does not."""
    kind = getattr(model.cfg, "normalization", None) or getattr(model.cfg, "normalization_type", None)
    return kind in ("LN", "LNPre")
