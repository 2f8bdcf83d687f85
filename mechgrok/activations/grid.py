"""Activations over all inputs of a task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.door import door
from mechgrok.errors import ActivationError, UndefinedMetricError, shown
from mechgrok.models.hook_names import Key, hook_name
from mechgrok.models.protocol import (
    HookedModel,
    check_hook_names,
    neuron_hook,
    neuron_logit_map,
    token_embedding,
    unknown_hook,
)
from mechgrok.readable import Readable
from mechgrok.tasks import Operation, Task, as_operation


@dataclass(frozen=True, eq=False)
class ActivationGrid(Readable):
    """Activations over all inputs of a task, at the position where the answer is read.

    `grid[hook_name]` is a tensor [n_inputs, ...] on the CPU in the network's precision; rows are the
    inputs of the task, on a full grid a*p + b. Attention patterns are [n_inputs, head, key position]. Short names
    also work: `grid["z", 0]`.

    Attributes:
        logits: [n_inputs, n_classes]; logits beyond the answers (of "=" and the like) are dropped.
        source: the network that the activations came from; None if they were given as tensors.
        weights: for bare tensors, "W_E" [tokens, d_model] and "W_L" [d_mlp, classes], as far as given.
    """

    task: Task
    source: HookedModel | None
    logits: Float[Tensor, "inputs *scored classes"]
    activations: MappingProxyType[str, Tensor]
    weights: MappingProxyType[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def model(self) -> HookedModel:
        """The network behind the grid.

        Raises:
            ActivationError: the grid was made of bare tensors.
        """
        if self.source is None:
            raise ActivationError(
                "this needs the network, but the grid was made of tensors alone; use cache_grid(model, task)"
            )
        return self.source

    def __getitem__(self, key: Key) -> Tensor:
        name = (
            key
            if isinstance(key, str) and key in self.activations
            else hook_name(key, getattr(self._cfg, "n_layers", 1))
        )
        if name in self.activations:
            return self.activations[name]
        if self.source is None:
            raise unknown_hook(name, self.activations, "the grid, made of tensors,")
        check_hook_names(self.source, [name])
        raise ActivationError(
            f"{name!r} was not cached; ask for it: cache_grid(model, task, names=[{name!r}])"
        )

    @cached_property
    def neurons(self) -> Float[Tensor, "inputs *scored d_mlp"]:
        """Activations of the last hidden layer."""
        given = [name for name in self.activations if name.endswith("mlp.hook_post")]
        if self.source is None and given:
            return self[given[-1]]
        return self[neuron_hook(self.model)]

    @property
    def token_embedding(self) -> Float[Tensor, "tokens d_model"]:
        """W_E, from the network or as given."""
        return self._weight("W_E") if self.source is None else token_embedding(self.source)

    @property
    def neuron_logit_map(self) -> Float[Tensor, "d_mlp classes"]:
        """W_L = W_out @ W_U, from the network or as given."""
        if self.source is None:
            return self._weight("W_L")
        return neuron_logit_map(self.source, self.task.n_classes)

    def _weight(self, name: str) -> Tensor:
        if name not in self.weights:
            raise ActivationError(
                f"this needs {name}, and the grid was made of tensors without it: "
                f"grid_from_tensors(task, logits, weights={{{name!r}: ...}}) takes it, "
                "cache_grid(model, task) a network that has it"
            )
        return self.weights[name]

    @property
    def _cfg(self) -> Any:
        return getattr(self.source, "cfg", None)

    @property
    def operation(self) -> Operation:
        """The task, if it has operands.

        Raises:
            UndefinedMetricError: it has none.
        """
        return as_operation(self.task)

    @property
    def labels(self) -> Tensor:
        """The right answer of each input, [n_inputs]; [n_inputs, scored] if several positions are scored."""
        return self.task.labels

    def selection(self, mask: Any) -> Bool[Tensor, " inputs"]:
        """The mask itself, a tensor or array of one boolean per input, after a check; all inputs if None.

        Raises:
            UndefinedMetricError: the mask selects nothing, or is not one boolean per input.
        """
        if mask is None:
            return torch.ones(self.task.n_inputs, dtype=torch.bool)
        given, mask = mask, torch.from_numpy(mask) if isinstance(mask, np.ndarray) else mask
        if not isinstance(mask, Tensor) or mask.shape != (self.task.n_inputs,) or mask.dtype != torch.bool:
            raise UndefinedMetricError(
                f"a mask holds one boolean for each of the {self.task.n_inputs} inputs of {self.task.name}, "
                f"as split.train does; got {shown(given)}"
            )
        if not mask.any():
            raise UndefinedMetricError("the mask selects no input, so there is nothing to average over")
        return mask

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "activations": dict(self.activations), "weights": dict(self.weights)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        proxies = {name: MappingProxyType(state[name]) for name in ("activations", "weights")}
        vars(self).update(state, **proxies)

    def __repr__(self) -> str:
        return f"ActivationGrid({self.task.name}, {self.task.n_inputs} inputs, {list(self.activations)})"


@door
def grid_from_tensors(
    task: Task,
    logits: Any,
    activations: Mapping[str, Any] | None = None,
    *,
    weights: Mapping[str, Any] | None = None,
) -> ActivationGrid:
    """A grid from tensors or arrays that come from elsewhere, or were computed by hand.

    Args:
        logits: [n_inputs, ...], one row for each input of the task, in its order; columns beyond its classes are
            dropped.
        activations: by hook name, with rows as in the logits. Analyses that need weights or run the network raise
            an error on such a grid.
        weights: "W_E" [tokens, d_model], the token embedding, and "W_L" [d_mlp, classes], how neurons write to
            the logits, if known; for the analyses of embedding and neurons.

    Raises:
        ActivationError: a wrong shape; values that are not floats, or not finite; unknown weights.

    >>> from mechgrok import modular_task
    >>> task = modular_task("add", 5)
    >>> grid_from_tensors(task, np.eye(5)[task.labels], {"blocks.0.mlp.hook_post": np.ones((25, 3))}).neurons.shape
    torch.Size([25, 3])
    """
    if not isinstance(task, Task):
        raise ActivationError(
            f"the task comes first, as modular_task('add', 113) gives one; got {shown(task)}"
        )
    for name, given in {"activations": activations, "weights": weights}.items():
        if not isinstance(given, Mapping | None):
            raise ActivationError(f"{name} are given by name, as in {{'W_E': ...}}; got {shown(given)}")
    weights = {name: _as_floats(name, weight) for name, weight in (weights or {}).items()}
    n_tokens = task.n_symbols if isinstance(task, Operation) else 0
    sizes = {"W_E": (0, n_tokens), "W_L": (1, task.signature.d_out)}
    for name, weight in weights.items():
        if name not in sizes:
            raise ActivationError(
                f"weights are W_E [tokens, d_model] and W_L [d_mlp, classes]; got {shown(name)}"
            )
        axis, least = sizes[name]
        if weight.ndim != 2 or weight.shape[axis] < least:
            raise ActivationError(
                f"{name} of {task.name} is a matrix with {least} or more along axis {axis}; got {shown(weight)}"
            )
    if "W_L" in weights:
        weights["W_L"] = weights["W_L"][:, : task.n_classes]
    logits = _as_rows("logits", logits, task)
    cached = {str(name): _as_rows(str(name), values, task) for name, values in (activations or {}).items()}
    signature = task.signature
    scored = () if signature.n_scored == 1 else (signature.n_scored,)
    if logits.shape[1:-1] != scored or logits.shape[-1] < signature.d_out:
        raise ActivationError(
            f"logits of {task.name} have the shape {(task.n_inputs, *scored, signature.d_out)}, one row for each input "
            f"and one column or more for each class; got {shown(logits)}"
        )
    return ActivationGrid(
        task, None, logits[..., : signature.d_out], MappingProxyType(cached), MappingProxyType(weights)
    )


def _as_floats(name: str, values: Any) -> Tensor:
    """User-supplied numbers as a tensor on the CPU, without a graph."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        values = torch.from_numpy(np.ascontiguousarray(values))
    if not (isinstance(values, Tensor) and values.is_floating_point()):
        raise ActivationError(f"{name} is a tensor or array of floats; got {shown(values)}")
    values = values.detach().cpu()
    if not values.isfinite().all():
        raise ActivationError(f"{name} has values that are NaN or infinite")
    return values


def _as_rows(name: str, values: Any, task: Task) -> Tensor:
    values = _as_floats(f"{name} of {task.name}", values)
    if values.ndim < 2 or len(values) != task.n_inputs:
        rows = len(values) if values.ndim else 0
        raise ActivationError(
            f"{name} has {rows} rows, {task.name} has {task.n_inputs} inputs; got {shown(values)}"
        )
    return values
