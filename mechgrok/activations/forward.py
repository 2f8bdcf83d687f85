"""A network run over all inputs of a task, and read where the answer is."""

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
from mechgrok.models.protocol import Hook, HookedModel, neuron_hook, run_at_readout
from mechgrok.models.unaltered import is_unaltered
from mechgrok.tasks import Task

CHUNK_BYTES = 8 * 2**20
"""Memory of the widest activation of a chunk of inputs, about; with more, a pass leaves the cache and takes longer."""
_LOGITS = "logits"
"""No hook has this name."""


def run_grid(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid:
    """Activations of some hooks, and logits, over all inputs; everything on the CPU.

    Logits and neurons alone come from the hand-written pass of the networks that have one.

    Raises:
        ActivationError: a hook that never runs; logits that are not finite.
    """
    grid = _grid_by_hand(model, task, names) or _grid_by_hooks(model, task, names)
    _check_finite(grid)
    return grid


def _grid_by_hand(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid | None:
    """None for other networks, other hooks, and logits that are not finite in the order in which this pass sums."""
    if not is_unaltered(model) or any(name != neuron_hook(model) for name in names):
        return None
    # By name: it needs the classes of networks, which are loaded where there is such a network, and else are not.
    by_hand: Any = import_module("mechgrok.fast.forward")
    if not by_hand.has_hand_written_pass(model):
        return None
    logits, neurons = by_hand.run_by_hand(model, task.tokens, neurons=bool(names))
    cached = {} if neurons is None else {neuron_hook(model): neurons}
    grid = ActivationGrid(task, model, logits[:, : task.n_classes], MappingProxyType(cached))
    return grid if logits.isfinite().all() else None


def _grid_by_hooks(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid:
    latest: dict[str, Tensor] = {}

    def keep(activation: Tensor, hook: Any, name: str) -> None:
        # TransformerLens 3 runs the hooks of a LayerNorm three times in a pass, for queries, keys and values.
        latest[name] = activation[_at_readout(name, model, activation)].detach()

    hooks = [(name, partial(keep, name=name)) for name in names]
    kept: dict[str, Tensor] = {}
    for rows in _chunks(model, task):
        latest[_LOGITS] = run_at_readout(model, task.tokens[rows], hooks)[:, : task.n_classes]
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


def _at_readout(name: str, model: HookedModel, activation: Tensor) -> tuple[Any, ...]:
    """Index of the read-out position: attention is [batch, head, query, key], others [batch, pos, ...]."""
    attention = name.endswith(("hook_pattern", "hook_attn_scores"))
    axis = -2 if attention else 1
    position = getattr(model, "readout_position", -1) if activation.shape[axis] > 1 else 0
    return (..., position, slice(None)) if attention else (slice(None), position)


def _chunks(model: HookedModel, task: Task) -> Iterator[slice]:
    """The inputs, as many at a time as fit."""
    cfg = model.cfg
    width = max(getattr(cfg, "d_mlp", None) or 0, 4 * cfg.d_model, d_vocab_out(cfg))
    length = max(1, CHUNK_BYTES // (4 * width * task.n_ctx))
    return (slice(start, start + length) for start in range(0, task.n_inputs, length))


def d_vocab_out(cfg: Any) -> int:
    """TransformerLens writes -1 for "as many as d_vocab"."""
    return cfg.d_vocab_out if cfg.d_vocab_out and cfg.d_vocab_out > 0 else cfg.d_vocab


def _check_finite(grid: ActivationGrid) -> None:
    bad = ~grid.logits.isfinite().all(dim=1)
    if bad.any():
        broken = [name for name, weight in grid.model.named_parameters() if not weight.isfinite().all()]
        where = f"; not finite are the weights {', '.join(broken)}" if broken else ""
        raise ActivationError(
            f"the logits are NaN or infinite for {int(bad.sum())} of {len(bad)} inputs of "
            f"{grid.task.name}{where}. The network cannot be analysed"
        )


def run_from_site(
    grid: ActivationGrid, site: str, activations: Float[Tensor, "inputs *rest"]
) -> Float[Tensor, "inputs classes"]:
    """Logits of the grid's network if the activation of one hook at the read-out position were replaced."""

    def replaced(rows: slice) -> list[Hook]:
        def replace(activation: Tensor, hook: Any) -> Tensor:
            activation = activation.clone()
            activation[_at_readout(site, grid.model, activation)] = activations[rows].to(activation)
            return activation

        return [(site, replace)]

    return _logits_under(grid, replaced)


def logits_under(grid: ActivationGrid, hooks: Sequence[Hook]) -> Float[Tensor, "inputs classes"]:
    """Logits of the grid's network on all inputs under the given hooks."""
    return _logits_under(grid, lambda rows: hooks)


def _logits_under(grid: ActivationGrid, hooks: Callable[[slice], Sequence[Hook]]) -> Tensor:
    model, task = grid.model, grid.task
    parts = [run_at_readout(model, task.tokens[rows], hooks(rows)).cpu() for rows in _chunks(model, task)]
    return torch.cat(parts)[:, : task.n_classes]
