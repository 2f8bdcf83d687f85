"""ActivationGrid: activations over all inputs of a task. The one place where a network meets a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mechgrok.errors import ActivationError, TaskError, UndefinedMetricError, shown
from mechgrok.models.hook_names import Key, hook_name
from mechgrok.models.protocol import (
    Hook,
    HookedModel,
    check_hook_names,
    neuron_hook,
    neuron_logit_map,
    run_at_readout,
    token_embedding,
    unknown_hook,
)
from mechgrok.opening import GridSource, Openable, is_run, open_network
from mechgrok.readable import Readable
from mechgrok.tasks import Task, modular_task

CHUNK_BYTES = 64 * 2**20
"""Memory that one pass through the network may use for the activations of a chunk of inputs, about."""

RIGHT = 0.9
"""Share of right answers from which a network is taken to compute an operation."""
MEMORISED, TIMES_CHANCE, TIMES_OTHERS = 0.2, 10, 5
"""A network that has only memorised its training set answers as many inputs rightly as that has. It is taken to compute
an operation from this share of right answers, if that is so many times what guessing gives, and what any other
operation gives."""
INFERRED_OPERATIONS = ("add", "sub", "mul", "div")
"""What `infer_task` tries."""


@dataclass(frozen=True, eq=False)
class ActivationGrid(Readable):
    """Activations over all inputs of a task, at the position where the answer is read.

    `grid[hook_name]` is a tensor [n_inputs, ...] on the CPU in the network's precision; rows are the
    inputs of the task, on a full grid a*p + b. Attention patterns are [n_inputs, head, key position]. Short names do
    as well: `grid["z", 0]`.

    Attributes:
        logits: [n_inputs, n_classes]; logits beyond the answers (of "=" and the like) are dropped.
        source: the network that the activations came from; None where they were given as tensors.
        weights: of bare tensors, what was given of "W_E" [tokens, d_model] and "W_L" [d_mlp, classes].
    """

    task: Task
    source: HookedModel | None
    logits: Float[Tensor, "inputs classes"]
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
    def neurons(self) -> Float[Tensor, "inputs d_mlp"]:
        """Activations of the last hidden layer."""
        given = [name for name in self.activations if name.endswith("mlp.hook_post")]
        if self.source is None and given:
            return self[given[-1]]
        return self[neuron_hook(self.model)]

    @property
    def token_embedding(self) -> Float[Tensor, "tokens d_model"]:
        """W_E, of the network or as it was given."""
        return self._weight("W_E") if self.source is None else token_embedding(self.source)

    @property
    def neuron_logit_map(self) -> Float[Tensor, "d_mlp classes"]:
        """W_L = W_out @ W_U, of the network or as it was given."""
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
    def labels(self) -> Tensor:
        """The right answer of each input, [n_inputs]."""
        return self.task.labels

    def selection(self, mask: Any) -> Bool[Tensor, " inputs"]:
        """The mask itself, a tensor or array of one boolean per input, after a check; all inputs for None.

        Raises:
            UndefinedMetricError: the mask selects nothing, or is not one boolean per input.
        """
        if mask is None:
            return torch.ones(self.task.n_inputs, dtype=torch.bool)
        given, mask = mask, torch.from_numpy(mask) if isinstance(mask, np.ndarray) else mask
        if not isinstance(mask, Tensor) or mask.shape != self.labels.shape or mask.dtype != torch.bool:
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


if TYPE_CHECKING:
    Source = ActivationGrid | HookedModel | GridSource | Openable
else:
    Source = Any  # what is none of these is refused by `as_grid`, in words
"""What analyses are given: an `ActivationGrid`; a network (`HookedModel`), of which one is cached; a `Run`, for its
newest network; the name of a run that comes with mechgrok; the folder of a run; or the file of a network."""


def cache_grid(model: Source, task: Task | None = None, names: Sequence[Key] | None = None) -> ActivationGrid:
    """Run a network on all inputs of a task and keep the asked activations at the read-out position.

    Args:
        model: a mechgrok network, a `HookedTransformer` of TransformerLens 3.9, a `TransformerBridge` of
            TransformerLens 4, or any other module after `wrap`; a run, of which the newest network is taken; or the
            name or file of one of these.
        task: what to run; None takes the task that the network was trained on, or infers it.
        names: hooks to keep; None keeps the neurons of the last hidden layer, where there are any.
            Logits are always kept. Short names such as ("z", 0) do as well.

    Raises:
        ActivationError: an unknown hook name; logits that are not finite.
        TaskError: the task does not fit the network, or none can be inferred.

    >>> from mechgrok import ModelConfig, build_model, modular_task
    >>> task = modular_task("add", 7)
    >>> grid = cache_grid(build_model(task, ModelConfig(d_model=16), seed=0), task)
    >>> grid.logits.shape, grid["blocks.0.mlp.hook_post"].shape
    (torch.Size([49, 7]), torch.Size([49, 64]))
    """
    if task is not None and not isinstance(task, Task):
        raise ActivationError(f"the task is what modular_task and the like give; got {shown(task)}. {_ORDER}")
    model = _as_network(model)
    if names is None:
        try:
            names = [neuron_hook(model)]
        except ActivationError:
            names = []
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ActivationError(
            f"names is a list of hook names, also if it is only one: [...]; got {shown(names)}"
        )
    names = tuple(dict.fromkeys(_full_name(model, name) for name in names))
    check_hook_names(model, names)
    task = fit_task(model, task or getattr(model, "task", None) or infer_task(model))
    return _run(model, task, names)


def _full_name(model: HookedModel, name: Key) -> str:
    known = isinstance(name, str) and name in model.hook_dict
    return name if known else hook_name(name, getattr(model.cfg, "n_layers", 1))  # pyright: ignore[reportReturnType]


def grid_from_tensors(
    task: Task,
    logits: Any,
    activations: Mapping[str, Any] | None = None,
    *,
    weights: Mapping[str, Any] | None = None,
) -> ActivationGrid:
    """A grid of tensors or arrays that come from elsewhere, or were computed by hand.

    Args:
        logits: [n_inputs, ...], one row for each input of the task, in its order; columns beyond its classes are
            dropped.
        activations: by hook name, rows as in the logits. The analyses that need weights or run the
            network raise on such a grid.
        weights: what is known of "W_E" [tokens, d_model], the token embedding, and "W_L" [d_mlp, classes], how
            neurons write to the logits; for the analyses of embedding and neurons.

    Raises:
        ActivationError: another shape; values that are no floats, or not finite; other weights.

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
    sizes = {"W_E": (0, task.n_symbols), "W_L": (1, task.n_classes)}
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
    if logits.ndim != 2 or logits.shape[1] < task.n_classes:
        raise ActivationError(
            f"logits of {task.name} have the shape ({task.n_inputs}, {task.n_classes}), one row for each input "
            f"and one column or more for each class; got {shown(logits)}"
        )
    return ActivationGrid(
        task, None, logits[:, : task.n_classes], MappingProxyType(cached), MappingProxyType(weights)
    )


def _as_floats(name: str, values: Any) -> Tensor:
    """Somebody's numbers as a tensor on the CPU, without a graph."""
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


_ORDER = "The network comes first, then the task: cache_grid(model, task)"


def as_grid(source: Source, names: Sequence[str] | None = None) -> ActivationGrid:
    """The grid itself, or the one cached from a network: the door through which all analyses take what they are given.

    Args:
        source: a grid, a network, a run, or the name or file of one.

    Raises:
        ActivationError: it is something else; the text says what, and what can be made of it.
        CheckpointError: a name or file that cannot be opened.
    """
    return source if isinstance(source, ActivationGrid) else cache_grid(source, names=names)


def _as_network(source: Source) -> HookedModel:
    if isinstance(source, str | PathLike):
        return open_network(source)
    if is_run(source):
        return cast("GridSource", source).model()
    if isinstance(source, HookedModel):
        return source
    raise ActivationError(
        "expected a network with TransformerLens hooks, an ActivationGrid, a Run, or the name or file of one; "
        f"got {shown(source)}. {_way_out(source)}"
    )


def _way_out(source: object) -> str:
    if isinstance(source, ActivationGrid):
        return "A grid is a network's activations already; hand it to the analysis"
    if isinstance(source, nn.Module):
        return (
            "A module without these hooks becomes such a network by mg.wrap(module, task, hooks=..., weights=...); "
            "its logits and activations alone are analysed by mg.grid_from_tensors(task, logits, activations)"
        )
    if isinstance(source, Task):
        return f"That is a task. {_ORDER}"
    if isinstance(source, Tensor | np.ndarray):
        return "Logits of all inputs become a grid by mg.grid_from_tensors(task, logits)"
    return "mg.load_model(path) opens a network, mg.load_run(path) a run"


def fit_task(model: HookedModel, task: Task) -> Task:
    """The task written as the network reads it, where the task leaves the sequence open.

    Raises:
        TaskError: vocabulary, context or number of answers do not fit.
    """
    cfg, left_open = model.cfg, task.sequence is None
    if left_open:
        task = _as_read(model, task)
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


def infer_task(model: Source) -> Task:
    """The elementary operation mod p that a network computes, or has memorised, from its sizes and answers.

    The modulus is the vocabulary, less the "=" where the network reads three tokens and less an operation token where
    it reads four, `a op b =`; or half of that where the second operand has tokens of its own. The operation is the
    one of add, sub, mul, div that at least 90% of the answers agree with. Where none does, it is one with at least 20%
    and ten times as many right answers as guesses would give, if that is five times as many as any other has: the
    network then knows part of its table by heart.

    Raises:
        TaskError: no operation is that clear.

    >>> from mechgrok import cosine_network
    >>> infer_task(cosine_network(7, {2: 9.0}))
    Task(add7: a b -> 7 classes, 49 inputs)
    """
    model = _as_network(model)
    found: dict[str, tuple[float, Task]] = {}
    for reading in _readings(model.cfg):
        for operation in INFERRED_OPERATIONS:
            task = reading.of(modular_task(operation, reading.p))
            share = _right_answers(model, task)
            if share >= RIGHT:
                return task
            name = f"{operation} mod {reading.p}"
            found[name] = max((share, task), found.get(name, (-1.0, task)), key=lambda pair: pair[0])
    if not found:
        raise TaskError("cannot infer what the network computes. Say so with task=modular_task(...)")
    closest, *others = sorted(found, key=lambda name: found[name][0], reverse=True)
    share, task = found[closest]
    rival = max((found[name][0] for name in others), default=0.0)
    if share >= max(MEMORISED, TIMES_CHANCE / task.n_classes, TIMES_OTHERS * rival):
        return task
    raise TaskError(
        f"cannot infer what the network computes; the closest is {closest} with {share:z.1%} right answers. Say so "
        "with task=modular_task(...)"
    )


def likely_modulus(model: HookedModel) -> int | None:
    """The p of an operation mod p, by the sizes of a network alone; None where they suggest none.

    >>> from mechgrok import cosine_network
    >>> likely_modulus(cosine_network(7, {2: 9.0}))
    7
    """
    moduli = [reading.p for reading in _readings(model.cfg)]
    return _d_vocab_out(model.cfg) if _d_vocab_out(model.cfg) in moduli else next(iter(moduli), None)


class _Reading(NamedTuple):
    """One way to read the tokens of a network: the modulus, the sequence, and the order of the special tokens."""

    p: int
    slots: tuple[str, ...]
    specials: tuple[str, ...]

    def of(self, task: Task) -> Task:
        """A task written down like this."""
        task = task.with_sequence(*self.slots)
        return task if task.specials or len(self.specials) < 2 else task.with_specials(*self.specials)


def _readings(cfg: Any) -> list[_Reading]:
    """The readings that the sizes of a network allow, the likeliest first."""
    found = []
    for second, vocabularies in (("b", 1), ("b'", 2)):
        for slots, specials in _sequences(second, cfg.n_ctx):
            p, rest = divmod(cfg.d_vocab - len(specials), vocabularies)
            if not rest and 2 <= p <= _d_vocab_out(cfg) and cfg.n_ctx >= len(slots):
                found.append(_Reading(p, slots, specials))
    return found


def _sequences(second: str, n_ctx: int) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """How two operands are written in so many tokens, and in which order the special ones are numbered."""
    if n_ctx == 2:
        return [(("a", second), ())]
    three = (("a", second, "="), ("=",))
    if n_ctx != 4:
        return [three]
    four = ("a", "op", second, "=")
    return [(four, ("op", "=")), (four, ("=", "op")), three]


def _as_read(model: HookedModel, task: Task) -> Task:
    """A task that leaves its sequence open, as the sizes of a network say; its answers, where these allow several."""
    if task.arity != 2:
        return task
    fitting = [reading.of(task) for reading in _readings(model.cfg) if reading.p == task.n_symbols]
    if not fitting:
        return task.with_sequence("a", "b") if model.cfg.n_ctx == 2 else task
    fitting = [task if written.slots == task.slots else written for written in fitting]
    return (
        max(fitting, key=lambda written: _right_answers(model, written)) if len(fitting) > 1 else fitting[0]
    )


def _right_answers(model: HookedModel, task: Task) -> float:
    grid = _run(model, task, [])
    return (grid.logits.argmax(1) == grid.labels).double().mean().item()


def _run(model: HookedModel, task: Task, names: Sequence[str]) -> ActivationGrid:
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
            activation[_at_readout(site, grid.model, activation)] = replacement.to(activation)
            return activation

        logits.append(run_at_readout(grid.model, tokens, [(site, replace)]).cpu()[:, : grid.task.n_classes])
    return torch.cat(logits)


def logits_under(grid: ActivationGrid, hooks: Sequence[Hook]) -> Float[Tensor, "inputs classes"]:
    """Logits of the grid's network on all inputs under the given hooks."""
    batches = grid.task.tokens.split(_chunk_length(grid.model, grid.task))
    logits = [run_at_readout(grid.model, tokens, hooks).cpu() for tokens in batches]
    return torch.cat(logits)[:, : grid.task.n_classes]
