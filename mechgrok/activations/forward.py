"""Run a network over all inputs of a task, and read it at the position of the answer."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations.grid import ActivationGrid
from mechgrok.errors import ActivationError
from mechgrok.memory import check_memory
from mechgrok.models.protocol import Hook, HookedModel, neuron_hook
from mechgrok.models.readout import outputs_at
from mechgrok.models.unaltered import is_unaltered
from mechgrok.signature import Tokens
from mechgrok.tasks import Task

CHUNK_BYTES = 8 * 2**20
"""Approximate memory of the widest activation of a chunk; larger chunks leave the cache and take longer."""
_LOGITS = "logits"
"""Not the name of any hook."""


def run_grid(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid:
    """Activations of some hooks, and logits, over all inputs; everything on the CPU.

    If only logits and neurons are requested, they come from the hand-written pass of the networks that have one.

    Raises:
        ActivationError: a hook that never runs; logits that are not finite.
        ConfigError: there is too little memory.
    """
    check_memory(f"the network on {task.name}", _least_bytes(model, task, names))
    grid = _grid_by_hand(model, task, names) or _grid_by_hooks(model, task, names)
    _check_finite(grid)
    return grid


def _least_bytes(model: HookedModel, task: Task, names: Sequence[str]) -> int:
    """Memory of the logits, and of neurons if requested; the widths of other hooks are not known in advance."""
    neurons = sum(getattr(model.cfg, "d_mlp", None) or 0 for name in names if name.endswith("hook_post"))
    return task.n_inputs * len(task.signature.scored) * 4 * (task.signature.d_out + neurons)


def _grid_by_hand(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid | None:
    """None for other networks, other hooks, and logits that are not finite in this pass's order of summation."""
    signature = task.signature
    answers_once = isinstance(signature.inputs, Tokens) and signature.reads_last
    if not answers_once or not is_unaltered(model) or not _are_neurons(model, names):
        return None
    # By name: it needs the network classes, which are loaded only if there is such a network.
    by_hand: Any = import_module("mechgrok.fast.forward")
    if not by_hand.has_hand_written_pass(model):
        return None
    logits, neurons = by_hand.run_by_hand(model, task.tokens, neurons=bool(names))
    cached = {} if neurons is None else {neuron_hook(model): neurons}
    grid = ActivationGrid(task, model, logits[:, : signature.d_out], MappingProxyType(cached))
    return grid if logits.isfinite().all() else None


def _are_neurons(model: HookedModel, names: Sequence[str]) -> bool:
    """Whether nothing but the neurons is requested, from a network that has some."""
    return not names or (bool(getattr(model.cfg, "d_mlp", 0)) and set(names) == {neuron_hook(model)})


def _grid_by_hooks(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid:
    latest: dict[str, Tensor] = {}

    def keep(activation: Tensor, hook: Any, name: str) -> None:
        # TransformerLens 3 runs the hooks of a LayerNorm three times in a pass, for queries, keys and values.
        by_position, scored = _at_readout(name, model, task, activation)
        latest[name] = by_position[scored].detach()

    hooks = [(name, partial(keep, name=name)) for name in names]
    kept: dict[str, Tensor] = {}
    for rows in _chunks(model, task):
        latest[_LOGITS] = _answers(model, task, rows, hooks)
        silent = [name for name in names if name not in latest]
        if silent:
            raise ActivationError(f"the network never runs its hooks {', '.join(silent)}; leave them out")
        for name in (_LOGITS, *names):
            part = latest.pop(name)
            if name not in kept:
                kept[name] = torch.empty(task.n_inputs, *part.shape[1:], dtype=part.dtype)
            kept[name][rows] = part.cpu()
    logits = kept.pop(_LOGITS)
    return ActivationGrid(task, model, logits, MappingProxyType(kept))


def _answers(
    model: HookedModel, task: Task, rows: slice, hooks: Sequence[Hook]
) -> Float[Tensor, "batch *scored d_out"]:
    """The network's answers to some examples of a task, without the position axis if only one is scored."""
    outputs = outputs_at(model, task.signature, task.inputs[rows], hooks)
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs


def _at_readout(name: str, model: HookedModel, task: Task, activation: Tensor) -> tuple[Tensor, Any]:
    """A view of an activation as [batch, pos, ...], and the index of the positions at which the answers are read."""
    if name.endswith(("hook_pattern", "hook_attn_scores")):
        activation = activation.movedim(-2, 1)  # [batch, head, query, key]
    scored = task.signature.scored
    if activation.shape[1] == 1:
        return activation, (slice(None), 0)
    if len(scored) == 1:
        return activation, (slice(None), getattr(model, "readout_position", scored[0]))
    return activation, (slice(None), list(scored))


def _chunks(model: HookedModel, task: Task) -> Iterator[slice]:
    """The inputs, in chunks as large as fit."""
    cfg = model.cfg
    width = max(getattr(cfg, "d_mlp", None) or 0, 4 * cfg.d_model, d_vocab_out(cfg))
    length = max(1, CHUNK_BYTES // (4 * width * max(getattr(cfg, "n_ctx", 1), 1)))
    return (slice(start, start + length) for start in range(0, task.n_inputs, length))


def d_vocab_out(cfg: Any) -> int:
    """TransformerLens writes -1 for "as many as d_vocab"."""
    return cfg.d_vocab_out if cfg.d_vocab_out and cfg.d_vocab_out > 0 else cfg.d_vocab


def _check_finite(grid: ActivationGrid) -> None:
    bad = ~grid.logits.flatten(1).isfinite().all(dim=1)
    if bad.any():
        broken = [name for name, weight in grid.model.named_parameters() if not weight.isfinite().all()]
        where = f"; not finite are the weights {', '.join(broken)}" if broken else ""
        raise ActivationError(
            f"the logits are NaN or infinite for {int(bad.sum())} of {len(bad)} inputs of "
            f"{grid.task.name}{where}. The network cannot be analysed"
        )


def run_from_site(
    grid: ActivationGrid, site: str, activations: Float[Tensor, "inputs *rest"]
) -> Float[Tensor, "inputs *scored classes"]:
    """Logits of the grid's network with the activation of one hook at the read-out position replaced."""

    def replaced(rows: slice) -> list[Hook]:
        def replace(activation: Tensor, hook: Any) -> Tensor:
            activation = activation.clone()
            by_position, scored = _at_readout(site, grid.model, grid.task, activation)
            by_position[scored] = activations[rows].to(activation)
            return activation

        return [(site, replace)]

    return _logits_under(grid, replaced)


def logits_under(grid: ActivationGrid, hooks: Sequence[Hook]) -> Float[Tensor, "inputs *scored classes"]:
    """Logits of the grid's network on all inputs under the given hooks."""
    return _logits_under(grid, lambda rows: hooks)


def _logits_under(grid: ActivationGrid, hooks: Callable[[slice], Sequence[Hook]]) -> Tensor:
    model, task = grid.model, grid.task
    return torch.cat([_answers(model, task, rows, hooks(rows)).cpu() for rows in _chunks(model, task)])
