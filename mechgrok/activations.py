"""ActivationGrid: activations over all inputs of a task. The one place where a network meets a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.errors import ActivationError, TaskError, UndefinedMetricError
from mechgrok.models.protocol import Hook, HookedModel, check_hook_names, neuron_hook, run_at_readout
from mechgrok.tasks import Task, modular_task

CHUNK_BYTES = 64 * 2**20
"""Memory that one pass through the network may use for the activations of a chunk of inputs, about."""

INFERRED_OPERATIONS = ("add", "sub", "mul", "div")
"""What `infer_task` tries."""


@dataclass(frozen=True, eq=False)
class ActivationGrid:
    """Activations over all inputs of a task, at the position where the answer is read.

    `grid[hook_name]` is a tensor [n_inputs, ...] on the CPU in the network's precision; rows are the
    inputs of the task, on a full grid a*p + b. Attention patterns are [n_inputs, head, key position].

    Attributes:
        logits: [n_inputs, n_classes]; logits beyond the answers (of "=" and the like) are dropped.
        source: the network that the activations came from; None where they were given as tensors.
    """

    task: Task
    source: HookedModel | None
    logits: Float[Tensor, "inputs classes"]
    activations: MappingProxyType[str, Tensor]

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

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self.activations[name]
        except KeyError:
            check_hook_names(self.model, [name])
            raise ActivationError(
                f"{name!r} was not cached; ask for it: cache_grid(model, task, names=[{name!r}])"
            ) from None

    @cached_property
    def neurons(self) -> Float[Tensor, "inputs d_mlp"]:
        """Activations of the last hidden layer."""
        return self[neuron_hook(self.model)]

    @property
    def labels(self) -> Tensor:
        """The right answer of each input, [n_inputs]."""
        return self.task.labels

    def selection(self, mask: Bool[Tensor, " inputs"] | None) -> Bool[Tensor, " inputs"]:
        """The mask itself after a check; all inputs for None.

        Raises:
            UndefinedMetricError: the mask selects nothing, or is not one boolean per input.
        """
        if mask is None:
            return torch.ones(self.task.n_inputs, dtype=torch.bool)
        if mask.shape != self.labels.shape or mask.dtype != torch.bool:
            raise UndefinedMetricError(
                f"a mask holds one boolean for each of the {self.task.n_inputs} inputs of {self.task.name}; "
                f"got {mask.dtype} of shape {tuple(mask.shape)}"
            )
        if not mask.any():
            raise UndefinedMetricError("the mask selects no input, so there is nothing to average over")
        return mask

    def __repr__(self) -> str:
        return f"ActivationGrid({self.task.name}, {self.task.n_inputs} inputs, {list(self.activations)})"


def cache_grid(
    model: HookedModel, task: Task | None = None, names: Sequence[str] | None = None
) -> ActivationGrid:
    """Run a network on all inputs of a task and keep the asked activations at the read-out position.

    Args:
        model: a mechgrok network, a `HookedTransformer` of TransformerLens 3.9 or a
            `TransformerBridge` of TransformerLens 4.
        task: what to run; None takes the task that the network was trained on, or infers it.
        names: hooks to keep; None keeps the neurons of the last hidden layer, where there are any.
            Logits are always kept.

    Raises:
        ActivationError: an unknown hook name; logits that are not finite.
        TaskError: the task does not fit the network, or none can be inferred.

    >>> from mechgrok import ModelConfig, build_model, modular_task
    >>> task = modular_task("add", 7)
    >>> grid = cache_grid(build_model(task, ModelConfig(d_model=16), seed=0), task)
    >>> grid.logits.shape, grid["blocks.0.mlp.hook_post"].shape
    (torch.Size([49, 7]), torch.Size([49, 64]))
    """
    if names is None:
        try:
            names = [neuron_hook(model)]
        except ActivationError:
            names = []
    check_hook_names(model, names)
    task = fit_task(model, task or getattr(model, "task", None) or infer_task(model))
    return _run(model, task, names)


def grid_from_tensors(
    task: Task,
    logits: Float[Tensor, "inputs _"],
    activations: Mapping[str, Float[Tensor, "inputs ..."]] | None = None,
) -> ActivationGrid:
    """A grid of tensors that come from elsewhere, or were computed by hand.

    Args:
        logits: one row for each input of the task, in its order; columns beyond its classes are dropped.
        activations: by hook name, rows as in the logits. The analyses that need weights or run the
            network raise on such a grid.

    Raises:
        ActivationError: the number of rows or columns does not fit; values are not finite.
    """
    activations = dict(activations or {})
    for name, tensor in {"logits": logits, **activations}.items():
        if len(tensor) != task.n_inputs:
            raise ActivationError(f"{name} has {len(tensor)} rows, {task.name} has {task.n_inputs} inputs")
    if logits.shape[1] < task.n_classes:
        raise ActivationError(f"there are {logits.shape[1]} logits, {task.name} has {task.n_classes} classes")
    grid = ActivationGrid(task, None, logits[:, : task.n_classes], MappingProxyType(activations))
    _check_finite(grid)
    return grid


def as_grid(source: "ActivationGrid | HookedModel", names: Sequence[str] | None = None) -> ActivationGrid:
    """The grid itself, or the one cached from a network: what lets every analysis accept either."""
    if isinstance(source, ActivationGrid):
        return source
    if isinstance(source, HookedModel):
        return cache_grid(source, names=names)
    raise ActivationError(
        f"expected a network with hooks or an ActivationGrid, got {type(source).__name__}; "
        "load_model(path) gives the one, cache_grid(model) the other"
    )


def fit_task(model: HookedModel, task: Task) -> Task:
    """The task written as the network reads it, where the task leaves the sequence open.

    Raises:
        TaskError: vocabulary, context or number of answers do not fit.
    """
    cfg = model.cfg
    if task.sequence is None and cfg.n_ctx == 2:
        task = task.with_sequence("a", "b")
    problems = []
    if task.d_vocab > cfg.d_vocab:
        problems.append(f"needs {task.d_vocab} tokens, the network knows {cfg.d_vocab}")
    if task.n_ctx > cfg.n_ctx:
        problems.append(f"has sequences of {task.n_ctx} tokens, the network reads {cfg.n_ctx}")
    if task.n_classes > _d_vocab_out(cfg):
        problems.append(f"has {task.n_classes} answers, the network {_d_vocab_out(cfg)} logits")
    if problems:
        raise TaskError(
            f"the task {task.name} does not fit the network: it {'; it '.join(problems)}. "
            "Choose the task with task=..., or its sequence with modular_task(..., sequence=...)"
        )
    return task


def infer_task(model: HookedModel) -> Task:
    """The elementary operation mod p that a generalised network computes, from its sizes and answers.

    The modulus is the vocabulary, less the "=" where the network reads three tokens; the operation is the
    one of add, sub, mul, div that at least 90% of the answers agree with.

    Raises:
        TaskError: no operation reaches 90%.
    """
    sequence = ("a", "b") if model.cfg.n_ctx == 2 else ("a", "b", "=")
    p = model.cfg.d_vocab - (len(sequence) - 2)
    found: dict[str, float] = {}
    if p >= 2 and _d_vocab_out(model.cfg) >= p and model.cfg.n_ctx >= len(sequence):
        for operation in INFERRED_OPERATIONS:
            grid = _run(model, modular_task(operation, p, sequence=sequence), [])
            found[operation] = (grid.logits.argmax(1) == grid.labels).double().mean().item()
            if found[operation] >= 0.9:
                return grid.task
    closest = max(found, key=found.__getitem__, default=None)
    hint = f"; the closest is {closest} mod {p} with {found[closest]:.1%} right answers" if closest else ""
    raise TaskError(f"cannot infer what the network computes{hint}. Say so with task=modular_task(...)")


def _run(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid:
    parts: dict[str, list[Tensor]] = {name: [] for name in names}

    def keep(activation: Tensor, hook: Any, name: str) -> None:
        attention = name.endswith(("hook_pattern", "hook_attn_scores"))
        at_readout = activation[..., -1, :] if attention else activation[:, -1]
        parts[name].append(at_readout.detach().cpu())

    hooks = [(name, partial(keep, name=name)) for name in names]
    logits = [
        run_at_readout(model, tokens, hooks).cpu()[:, : task.n_classes]
        for tokens in task.tokens.split(_chunk_length(model, task))
    ]
    cached = MappingProxyType({name: torch.cat(chunks) for name, chunks in parts.items()})
    grid = ActivationGrid(task, model, torch.cat(logits), cached)
    _check_finite(grid)
    return grid


def _chunk_length(model: HookedModel, task: Task) -> int:
    cfg = model.cfg
    width = max(getattr(cfg, "d_mlp", None) or 0, 4 * cfg.d_model, _d_vocab_out(cfg))
    return max(1, CHUNK_BYTES // (4 * width * task.n_ctx))


def _d_vocab_out(cfg: Any) -> int:
    """TransformerLens writes -1 for "as many as d_vocab"."""
    return cfg.d_vocab_out if cfg.d_vocab_out and cfg.d_vocab_out > 0 else cfg.d_vocab


def _check_finite(grid: ActivationGrid) -> None:
    bad = ~grid.logits.isfinite().all(dim=1)
    if bad.any():
        weights = grid.source.named_parameters() if grid.source else ()
        broken = [name for name, weight in weights if not weight.isfinite().all()]
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
            activation[:, -1] = replacement.to(activation)
            return activation

        logits.append(run_at_readout(grid.model, tokens, [(site, replace)]).cpu()[:, : grid.task.n_classes])
    return torch.cat(logits)


def logits_under(grid: ActivationGrid, hooks: Sequence[Hook]) -> Float[Tensor, "inputs classes"]:
    """Logits of the grid's network on all inputs under the given hooks."""
    batches = grid.task.tokens.split(_chunk_length(grid.model, grid.task))
    logits = [run_at_readout(grid.model, tokens, hooks).cpu() for tokens in batches]
    return torch.cat(logits)[:, : grid.task.n_classes]
