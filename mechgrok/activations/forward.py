"""A network run over all inputs of a task, and read where the answer is."""

from collections.abc import Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations.grid import ActivationGrid
from mechgrok.errors import ActivationError
from mechgrok.models.protocol import Hook, HookedModel, run_at_readout
from mechgrok.tasks import Task

CHUNK_BYTES = 64 * 2**20
"""Memory that one pass through the network may use for the activations of a chunk of inputs, about."""


def run_grid(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid:
    """Activations of some hooks, and logits, over all inputs; everything on the CPU.

    Raises:
        ActivationError: a hook that never runs; logits that are not finite.
    """
    latest: dict[str, Tensor] = {}

    def keep(activation: Tensor, hook: Any, name: str) -> None:
        # TransformerLens 3 runs the hooks of a LayerNorm three times in a pass, for queries, keys and values.
        latest[name] = activation[_at_readout(name, model, activation)].detach().cpu()

    hooks = [(name, partial(keep, name=name)) for name in names]
    logits: list[Tensor] = []
    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    for tokens in task.tokens.split(_chunk_length(model, task)):
        logits.append(run_at_readout(model, tokens, hooks).cpu()[:, : task.n_classes])
        silent = [name for name in names if name not in latest]
        if silent:
            raise ActivationError(f"the network never runs its hooks {', '.join(silent)}; leave them out")
        for name in names:
            parts[name].append(latest.pop(name))
    cached = MappingProxyType({name: torch.cat(chunks) for name, chunks in parts.items()})
    grid = ActivationGrid(task, model, torch.cat(logits), cached)
    _check_finite(grid)
    return grid


def _at_readout(name: str, model: HookedModel, activation: Tensor) -> tuple[Any, ...]:
    """Index of the read-out position: attention is [batch, head, query, key], others [batch, pos, ...]."""
    attention = name.endswith(("hook_pattern", "hook_attn_scores"))
    axis = -2 if attention else 1
    position = getattr(model, "readout_position", -1) if activation.shape[axis] > 1 else 0
    return (..., position, slice(None)) if attention else (slice(None), position)


def _chunk_length(model: HookedModel, task: Task) -> int:
    cfg = model.cfg
    width = max(getattr(cfg, "d_mlp", None) or 0, 4 * cfg.d_model, d_vocab_out(cfg))
    return max(1, CHUNK_BYTES // (4 * width * task.n_ctx))


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
    chunks = _chunk_length(grid.model, grid.task)
    logits = []
    for tokens, replacement in zip(grid.task.tokens.split(chunks), activations.split(chunks), strict=True):

        def replace(activation: Tensor, hook: Any, replacement: Tensor = replacement) -> Tensor:
            activation = activation.clone()
            activation[_at_readout(site, grid.model, activation)] = replacement.to(activation)
            return activation

        logits.append(run_at_readout(grid.model, tokens, [(site, replace)]).cpu()[:, : grid.task.n_classes])
    return torch.cat(logits)


def logits_under(grid: ActivationGrid, hooks: Sequence[Hook]) -> Float[Tensor, "inputs classes"]:
    """Logits of the grid's network on all inputs under the given hooks."""
    batches = grid.task.tokens.split(_chunk_length(grid.model, grid.task))
    logits = [run_at_readout(grid.model, tokens, hooks).cpu() for tokens in batches]
    return torch.cat(logits)[:, : grid.task.n_classes]
