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
from mechgrok.models.protocol import Hook, HookedModel
from mechgrok.models.readout import outputs_at
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
        by_position, scored = _at_readout(name, model, task, activation)
        latest[name] = by_position[scored].detach().cpu()

    hooks = [(name, partial(keep, name=name)) for name in names]
    logits: list[Tensor] = []
    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    for inputs in task.inputs.split(_chunk_length(model, task)):
        logits.append(answers_at(model, task, inputs, hooks))
        silent = [name for name in names if name not in latest]
        if silent:
            raise ActivationError(f"the network never runs its hooks {', '.join(silent)}; leave them out")
        for name in names:
            parts[name].append(latest.pop(name))
    cached = MappingProxyType({name: torch.cat(chunks) for name, chunks in parts.items()})
    grid = ActivationGrid(task, model, torch.cat(logits), cached)
    _check_finite(grid)
    return grid


def answers_at(
    model: HookedModel, task: Task, inputs: Tensor, hooks: Sequence[Hook] = ()
) -> Float[Tensor, "batch *scored d_out"]:
    """What a network answers to some inputs of a task, on the CPU, without the axis of positions if one is scored."""
    outputs = outputs_at(model, task.signature, inputs, hooks).cpu()
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


def _chunk_length(model: HookedModel, task: Task) -> int:
    cfg = model.cfg
    width = max(getattr(cfg, "d_mlp", None) or 0, 4 * cfg.d_model, d_vocab_out(cfg))
    return max(1, CHUNK_BYTES // (4 * width * max(getattr(cfg, "n_ctx", 1), 1)))


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
) -> Float[Tensor, "inputs classes"]:
    """Logits of the grid's network if the activation of one hook at the read-out position were replaced."""
    chunks = _chunk_length(grid.model, grid.task)
    logits = []
    for tokens, replacement in zip(grid.task.inputs.split(chunks), activations.split(chunks), strict=True):

        def replace(activation: Tensor, hook: Any, replacement: Tensor = replacement) -> Tensor:
            activation = activation.clone()
            by_position, scored = _at_readout(site, grid.model, grid.task, activation)
            by_position[scored] = replacement.to(activation)
            return activation

        logits.append(answers_at(grid.model, grid.task, tokens, [(site, replace)]))
    return torch.cat(logits)


def logits_under(grid: ActivationGrid, hooks: Sequence[Hook]) -> Float[Tensor, "inputs classes"]:
    """Logits of the grid's network on all inputs under the given hooks."""
    batches = grid.task.inputs.split(_chunk_length(grid.model, grid.task))
    return torch.cat([answers_at(grid.model, grid.task, inputs, hooks) for inputs in batches])
