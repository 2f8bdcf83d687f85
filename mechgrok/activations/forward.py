"""Run a network over all inputs of a task, and read it at the position of the answer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from mechgrok.models.protocol import Hook, HookedModel, neuron_hook, pre_activation_hook
from mechgrok.models.readout import index_of, outputs_at
from mechgrok.models.unaltered import is_unaltered
from mechgrok.signature import Tokens
from mechgrok.tasks import Batch, Task

CHUNK_BYTES = 8 * 2**20
"""Approximate memory of the widest activation of a chunk; larger chunks leave the cache and take longer."""
_LOGITS = "logits"
"""Not the name of any hook."""


def run_grid(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid:
    """Activations of some hooks, and logits, over all inputs; everything on the CPU.

    If only logits, neurons and what enters their activation function are requested, they come from the hand-written
    pass of the networks that have one.

    Raises:
        ActivationError: a hook that never runs; logits that are not finite.
        ConfigError: there is too little memory.
    """
    check_memory(f"the network on {task.name}", _least_bytes(model, task, names))
    grid = _grid_by_hand(model, task, names) or _grid_by_hooks(model, task, names)
    _check_finite(model, task, grid.logits)
    return grid


def _least_bytes(model: HookedModel, task: Task, names: Sequence[str]) -> int:
    """Memory of the logits, and of neurons if requested; the widths of other hooks are not known in advance."""
    widths = (name.endswith(("mlp.hook_post", "mlp.hook_pre")) for name in names)
    neurons = sum(widths) * (getattr(model.cfg, "d_mlp", None) or 0)
    return task.n_inputs * task.signature.n_scored * 4 * (task.signature.d_out + neurons)


def _grid_by_hand(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid | None:
    """None for other networks, other hooks, and logits that are not finite in this pass's order of summation."""
    by_hand = _by_hand(model, task, names)
    if by_hand is None:
        return None
    pre = [name for name in names if name.endswith("hook_pre")]
    post = [name for name in names if name not in pre]
    logits, neurons, read = by_hand.run_by_hand(model, task.tokens, neurons=bool(post), pre=bool(pre))
    found = dict.fromkeys(post, neurons) | dict.fromkeys(pre, read)
    cached = MappingProxyType({name: x for name, x in found.items() if x is not None})
    grid = ActivationGrid(task, model, logits[:, : task.signature.d_out], cached)
    return grid if _is_finite(logits) else None


def _by_hand(model: HookedModel, task: Task, names: Sequence[str]) -> Any:
    """The module with the hand-written passes; None for other networks and other hooks than they have."""
    signature = task.signature
    answers_once = isinstance(signature.inputs, Tokens) and signature.reads_last
    if not answers_once or not is_unaltered(model) or not _are_neurons(model, names):
        return None
    # By name: it needs the network classes, which are loaded only if there is such a network.
    by_hand = import_module("mechgrok.fast.forward")
    return by_hand if by_hand.has_hand_written_pass(model) else None


def _are_neurons(model: HookedModel, names: Sequence[str]) -> bool:
    """Whether nothing but the neurons and their pre-activations is requested, from a network that has some."""
    if not names or not getattr(model.cfg, "d_mlp", 0):
        return not names
    return {neuron_hook(model), pre_activation_hook(model)}.issuperset(names)


def _grid_by_hooks(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid:
    latest: dict[str, Tensor] = {}

    def keep(activation: Tensor, hook: Any, name: str) -> None:
        # TransformerLens 3 runs the hooks of a LayerNorm three times in a pass, for queries, keys and values.
        by_position, scored = _at_readout(name, model, task, rows, activation)
        latest[name] = by_position[scored].detach()

    hooks = [(name, partial(keep, name=name)) for name in names]
    kept: dict[str, Tensor] = {}
    for rows in _chunks(model, task.n_inputs):
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
    outputs = _outputs(model, task, task.examples[rows], hooks)
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs


def _outputs(
    model: HookedModel, task: Task, batch: Batch, hooks: Sequence[Hook] = ()
) -> Float[Tensor, "batch scored d_out"]:
    signature = task.signature
    return outputs_at(model, signature.d_out, batch.inputs, batch.read_at(signature), hooks)


def outputs_for(model: HookedModel, task: Task, batch: Batch) -> Float[Tensor, "batch scored d_out"]:
    """What a network answers to any inputs of a task, which need not be among its examples; on the CPU.

    Raises:
        ActivationError: outputs that are not finite.
        ConfigError: there is too little memory.
    """
    needed = 4 * len(batch) * task.signature.n_scored * task.signature.d_out
    check_memory(f"the network on {len(batch)} inputs of {task.name}", needed)
    parts = [_outputs(model, task, batch[rows]).cpu() for rows in _chunks(model, len(batch))]
    outputs = torch.cat(parts)
    _check_finite(model, task, outputs)
    return outputs


def _at_readout(
    name: str, model: HookedModel, task: Task, rows: slice, activation: Tensor
) -> tuple[Tensor, Any]:
    """A view of an activation as [batch, pos, ...], and the index of the positions at which the answers are read."""
    if name.endswith(("hook_pattern", "hook_attn_scores")):
        activation = activation.movedim(-2, 1)  # [batch, head, query, key]
    if activation.shape[1] == 1:
        return activation, (slice(None), 0)
    scored = task.examples[rows].read_at(task.signature)
    if isinstance(scored, tuple) and len(scored) == 1:
        return activation, (slice(None), getattr(model, "readout_position", scored[0]))
    return activation, index_of(scored)


def _chunks(model: HookedModel, n_inputs: int) -> Iterator[slice]:
    """The inputs, in chunks as large as fit."""
    cfg = model.cfg
    width = max(getattr(cfg, "d_mlp", None) or 0, 4 * getattr(cfg, "d_model", 0), d_vocab_out(cfg))
    length = max(1, CHUNK_BYTES // (4 * width * max(getattr(cfg, "n_ctx", 1), 1)))
    return (slice(start, start + length) for start in range(0, n_inputs, length))


def d_vocab_out(cfg: Any) -> int:
    """TransformerLens writes -1 for "as many as d_vocab"."""
    return cfg.d_vocab_out if cfg.d_vocab_out and cfg.d_vocab_out > 0 else cfg.d_vocab


def _is_finite(x: Tensor) -> bool:
    """Whether all numbers are finite; nothing of the size of x is allocated."""
    return all(bool(end.isfinite()) for end in torch.aminmax(x))


def _check_finite(model: HookedModel, task: Task, logits: Tensor) -> None:
    if _is_finite(logits):
        return
    bad = ~logits.flatten(1).isfinite().all(dim=1)
    broken = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
    where = f"; not finite are the weights {', '.join(broken)}" if broken else ""
    raise ActivationError(
        f"the logits are NaN or infinite for {int(bad.sum())} of {len(bad)} inputs of "
        f"{task.name}{where}. The network cannot be analysed"
    )


def run_from_site(
    grid: ActivationGrid, site: str, activations: Float[Tensor, "inputs *rest"]
) -> Float[Tensor, "inputs *scored classes"]:
    """Logits of the grid's network with the activation of one hook at the read-out position replaced."""
    return run_from_sites(grid, {site: activations})


def run_from_sites(
    grid: ActivationGrid, activations: Mapping[str, Float[Tensor, "inputs *rest"]], hooks: Sequence[Hook] = ()
) -> Float[Tensor, "inputs *scored classes"]:
    """Logits of the grid's network if the activations of some hooks at the read-out position were replaced.

    Args:
        hooks: run besides, after the replacements where they are at the same place.
    """

    def replaced(rows: slice, site: str) -> Hook:
        def replace(activation: Tensor, hook: Any) -> Tensor:
            activation = activation.clone()
            by_position, scored = _at_readout(site, grid.model, grid.task, rows, activation)
            by_position[scored] = activations[site][rows].to(activation)
            return activation

        return site, replace

    return logits_under_each(grid, lambda rows: [*(replaced(rows, site) for site in activations), *hooks])


def run_with_neurons(grid: ActivationGrid, edit: Callable[[Tensor], Tensor]) -> Tensor | None:
    """Logits of the grid's network if its neurons were edited; None where more than linear maps lies behind them.

    Nor in half precision, in which differences would not hold the logits.

    Args:
        edit: takes the neurons of some inputs.
    """
    names = [name for name in grid.activations if name.endswith("hook_post")]
    exact = torch.finfo(grid.logits.dtype).eps < 1e-6
    if not (exact and names) or _by_hand(grid.model, grid.task, names) is None:
        return None
    readout, logits = grid.neuron_logit_map, torch.empty_like(grid.logits)
    rows = max(1, CHUNK_BYTES // (4 * grid.neurons.shape[1]))
    parts = zip(grid.neurons.split(rows), grid.logits.split(rows), logits.split(rows), strict=True)
    for neurons, before, after in parts:
        torch.addmm(before, edit(neurons) - neurons, readout, out=after)
    return logits


def run_with_embedding(grid: ActivationGrid, embedding: Float[Tensor, "tokens d_model"]) -> Tensor | None:
    """Logits of the grid's network if its token embedding were another one; None where that is run by hooks alone.

    With a read-out that is tied to the embedding they would not be those of a hook on the embedding.
    """
    by_hand = _by_hand(grid.model, grid.task, [])
    if by_hand is None or getattr(grid.model.cfg, "readout", None) == "tied":
        return None
    logits = by_hand.logits_with_embedding(grid.model, embedding, grid.task.tokens)
    return logits[:, : grid.task.signature.d_out]


def logits_under(grid: ActivationGrid, hooks: Sequence[Hook]) -> Float[Tensor, "inputs *scored classes"]:
    """Logits of the grid's network on all inputs under the given hooks."""
    return logits_under_each(grid, lambda rows: hooks)


def logits_under_each(
    grid: ActivationGrid, hooks: Callable[[slice], Sequence[Hook]]
) -> Float[Tensor, "inputs *scored classes"]:
    """The same under hooks that depend on which inputs, of a slice of all of them, are run."""
    model, task = grid.model, grid.task
    return torch.cat(
        [_answers(model, task, rows, hooks(rows)).cpu() for rows in _chunks(model, task.n_inputs)]
    )
