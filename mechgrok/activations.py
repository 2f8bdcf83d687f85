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
from mechgrok.readable import Readable
from mechgrok.tasks import Task, modular_task

CHUNK_BYTES = 64 * 2**20
"""Memory that one pass through the network may use for the activations of a chunk of inputs, about."""

INFERRED_OPERATIONS = ("add", "sub", "mul", "div")
"""What `infer_task` tries."""


@dataclass(frozen=True, eq=False)
class ActivationGrid(Readable):
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
        given = [name for name in self.activations if name.endswith("mlp.hook_post")]
        if self.source is None and given:
            return self[given[-1]]
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
        if not isinstance(mask, Tensor) or mask.shape != self.labels.shape or mask.dtype != torch.bool:
            given = (
                f"{mask.dtype} of shape {tuple(mask.shape)}"
                if isinstance(mask, Tensor)
                else f"a {type(mask).__name__}"
            )
            raise UndefinedMetricError(
                f"a mask holds one boolean for each of the {self.task.n_inputs} inputs of {self.task.name}, "
                f"as split.train does; got {given}"
            )
        if not mask.any():
            raise UndefinedMetricError("the mask selects no input, so there is nothing to average over")
        return mask

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "activations": dict(self.activations)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, activations=MappingProxyType(state["activations"]))

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
    _check_hooked(model)
    if names is None:
        try:
            names = [neuron_hook(model)]
        except ActivationError:
            names = []
    if isinstance(names, str):
        raise ActivationError(f"names is a list of hook names; write [{names!r}]")
    names = tuple(dict.fromkeys(names))
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
        if not tensor.isfinite().all():
            raise ActivationError(f"{name} of {task.name} has values that are NaN or infinite")
    if logits.shape[1] < task.n_classes:
        raise ActivationError(f"there are {logits.shape[1]} logits, {task.name} has {task.n_classes} classes")
    return ActivationGrid(task, None, logits[:, : task.n_classes], MappingProxyType(activations))


def as_grid(source: "ActivationGrid | HookedModel", names: Sequence[str] | None = None) -> ActivationGrid:
    """The grid itself, or the one cached from a network: what lets every analysis accept either."""
    if isinstance(source, ActivationGrid):
        return source
    _check_hooked(source)
    return cache_grid(source, names=names)


def _check_hooked(model: object) -> None:
    if not isinstance(model, HookedModel):
        raise ActivationError(
            f"expected a network with TransformerLens hooks, or an ActivationGrid, got {type(model).__name__}; "
            "load_model(path) gives the one, cache_grid(model) the other"
        )


def fit_task(model: HookedModel, task: Task) -> Task:
    """The task written as the network reads it, where the task leaves the sequence open.

    Raises:
        TaskError: vocabulary, context or number of answers do not fit.
    """
    cfg, left_open = model.cfg, task.sequence is None
    if left_open:
        fitting = [slots for p, slots in _readings(cfg) if p == task.n_symbols]
        slots = fitting[0] if fitting else ("a", "b") if cfg.n_ctx == 2 else task.slots
        task = task if slots == task.slots else task.with_sequence(*slots)
    problems = []
    if task.d_vocab > cfg.d_vocab:
        problems.append(f"needs {task.d_vocab} tokens, the network knows {cfg.d_vocab}")
    elif left_open and task.d_vocab < cfg.d_vocab:
        # With tokens to spare nobody knows which one is the "="; a sequence given by the user settles it.
        problems.append(f"has {task.d_vocab} tokens, the network knows {cfg.d_vocab}")
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

    The modulus is the vocabulary, less the "=" where the network reads three tokens, or half of that where
    the second operand has tokens of its own; the operation is the one of add, sub, mul, div that at least 90%
    of the answers agree with.

    Raises:
        TaskError: no operation reaches 90%.
    """
    found: dict[str, float] = {}
    for p, sequence in _readings(model.cfg):
        for operation in INFERRED_OPERATIONS:
            grid = _run(model, modular_task(operation, p, sequence=sequence), [])
            share = (grid.logits.argmax(1) == grid.labels).double().mean().item()
            if share >= 0.9:
                return grid.task
            found[f"{operation} mod {p}"] = share
    closest = max(found, key=found.__getitem__, default=None)
    hint = f"; the closest is {closest} with {found[closest]:.1%} right answers" if closest else ""
    raise TaskError(f"cannot infer what the network computes{hint}. Say so with task=modular_task(...)")


def _readings(cfg: Any) -> list[tuple[int, tuple[str, ...]]]:
    """The moduli that the sizes of a network allow, each with the sequence that it then reads."""
    special = () if cfg.n_ctx == 2 else ("=",)
    n_operand_tokens = cfg.d_vocab - len(special)
    readings = [(n_operand_tokens, ("a", "b", *special))]
    if n_operand_tokens % 2 == 0:
        readings.append((n_operand_tokens // 2, ("a", "b'", *special)))
    return [(p, slots) for p, slots in readings if 2 <= p <= _d_vocab_out(cfg) and cfg.n_ctx >= len(slots)]


def _run(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid:
    latest: dict[str, Tensor] = {}

    def keep(activation: Tensor, hook: Any, name: str) -> None:
        # TransformerLens 3 runs the hooks of a LayerNorm three times in a pass, for queries, keys and values.
        latest[name] = activation[_at_readout(name)].detach().cpu()

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


def _at_readout(name: str) -> tuple[Any, ...]:
    """Index of the read-out position: attention is [batch, head, query, key], others [batch, pos, ...]."""
    attention = name.endswith(("hook_pattern", "hook_attn_scores"))
    return (..., -1, slice(None)) if attention else (slice(None), -1)


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
            activation[_at_readout(site)] = replacement.to(activation)
            return activation

        logits.append(run_at_readout(grid.model, tokens, [(site, replace)]).cpu()[:, : grid.task.n_classes])
    return torch.cat(logits)


def logits_under(grid: ActivationGrid, hooks: Sequence[Hook]) -> Float[Tensor, "inputs classes"]:
    """Logits of the grid's network on all inputs under the given hooks."""
    batches = grid.task.tokens.split(_chunk_length(grid.model, grid.task))
    logits = [run_at_readout(grid.model, tokens, hooks).cpu() for tokens in batches]
    return torch.cat(logits)[:, : grid.task.n_classes]
