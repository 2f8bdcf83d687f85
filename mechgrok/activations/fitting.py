"""Which task a network computes, and how the network reads it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch.nn.functional import cross_entropy

from mechgrok.activations.forward import d_vocab_out, outputs_for, run_grid
from mechgrok.activations.sources import Source, as_network
from mechgrok.errors import TaskError
from mechgrok.models.protocol import HookedModel
from mechgrok.signature import Classes, Features
from mechgrok.tasks import TASKS, Operation, StreamTask, Task, modular_task
from mechgrok.tasks.data import seeded

RIGHT = 0.9
"""Share of right answers from which a network counts as computing an operation."""
MEMORISED, TIMES_CHANCE, TIMES_OTHERS = 0.2, 10, 5
"""A network that has only memorised its training set is right on about as many inputs as that contains. It counts as
computing an operation from this share of right answers, if that is this many times what guessing gives, and this
many times what any other operation gives."""
INFERRED_OPERATIONS = ("add", "sub", "mul", "div")
"""Operations that `infer_task` tries."""
TRIED = 100
"""Sequences on which it does so."""


def fit_task(model: HookedModel, task: Task) -> Task:
    """The task as the network reads it, if the task leaves the sequence open.

    Raises:
        TaskError: the network takes or returns something else, or fewer tokens or classes.
    """
    left_open = isinstance(task, Operation) and task.is_open
    if isinstance(task, Operation) and left_open:
        task = _as_read(model, task)
    problems = [*_problems_of_inputs(model.cfg, task, left_open), *_problems_of_outputs(model.cfg, task)]
    if problems:
        raise TaskError(
            f"the task {task.name} does not fit the network: it {'; it '.join(problems)}. "
            "Choose the task with task=..., or its sequence with modular_task(..., sequence=...)"
        )
    return task


def _problems_of_inputs(cfg: Any, task: Task, left_open: bool) -> Iterator[str]:
    inputs, reads = task.signature.inputs, getattr(cfg, "features", ())
    if isinstance(inputs, Features):
        if tuple(reads) != inputs.shape:
            takes = f"features {list(reads)}" if reads else "tokens"
            yield f"gives features {list(inputs.shape)}, the network reads {takes}"
        return
    if reads:
        yield f"gives {inputs.n_ctx} tokens, the network reads features {list(reads)}"
        return
    if inputs.d_vocab > cfg.d_vocab:
        yield f"needs {inputs.d_vocab} tokens, the network knows {cfg.d_vocab}"
    elif left_open and inputs.d_vocab < cfg.d_vocab:
        # With spare tokens it is unknown which one is the "="; a sequence given by the user settles it.
        yield f"has {inputs.d_vocab} tokens, the network knows {cfg.d_vocab}"
    if inputs.n_ctx > cfg.n_ctx:
        yield f"has sequences of {inputs.n_ctx} tokens, the network reads {cfg.n_ctx}"


def _problems_of_outputs(cfg: Any, task: Task) -> Iterator[str]:
    signature = task.signature
    if signature.d_out > d_vocab_out(cfg):
        what, given = (
            ("answers", "logits") if isinstance(signature.outputs, Classes) else ("values", "outputs")
        )
        yield f"has {signature.d_out} {what}, the network {d_vocab_out(cfg)} {given}"


def infer_task(model: Source) -> Task:
    """The task that a network has learned, or memorised, from its sizes and answers.

    Tried are the elementary operations mod p, and the tasks on sequences that say for which sizes of networks they may
    be meant: the addition of digits, repeated subsequences and skip trigrams.

    The modulus is the vocabulary size, less the "=" if the network reads three tokens, and less an operation
    token if it reads four, `a op b =`; or half of that if the second operand has its own tokens. The operation is
    the one of add, sub, mul, div that agrees with at least 90% of the answers. If there is none, it is the one
    with at least 20% right answers, ten times as many as guessing would give, and five times as many as any other
    operation: the network has then memorised part of its table.

    Raises:
        TaskError: nothing is that clear.

    >>> from mechgrok import cosine_network
    >>> infer_task(cosine_network(7, {2: 9.0}))
    Task(add7: a b -> 7 classes, 49 inputs)
    """
    model = as_network(model)
    found: dict[str, tuple[float, Task]] = {}
    for task in _sequences_of(model):  # a few inputs of each, where an operation has all pairs
        share = _right_answers_of_sample(model, task)
        if share >= RIGHT:
            return task
        found[task.name] = share, task
    readings = _readings(model.cfg)
    for reading in readings:
        for operation in INFERRED_OPERATIONS:
            task = reading.of(modular_task(operation, reading.p))
            share = _right_answers(model, task)
            if share >= RIGHT:
                # Another reading may be equally right, such as the one with "op" and "=" exchanged, and be the
                # true one.
                written = [other.of(modular_task(operation, other.p)) for other in readings]
                return min(written, key=lambda task: _loss(model, task)) if len(written) > 1 else task
            name = f"{operation} mod {reading.p}"
            found[name] = max((share, task), found.get(name, (-1.0, task)), key=lambda pair: pair[0])
    if not found:
        raise TaskError("cannot infer what the network computes. Say so with task=modular_task(...)")
    closest, *others = sorted(found, key=lambda name: found[name][0], reverse=True)
    share, task = found[closest]
    rival = max((found[name][0] for name in others), default=0.0)
    if share >= min(RIGHT, max(MEMORISED, TIMES_CHANCE / task.n_classes, TIMES_OTHERS * rival)):
        return task
    raise TaskError(
        f"cannot infer what the network computes; the closest is {closest} with {share:z.1%} right answers. Say so "
        "with task=modular_task(...)"
    )


def likely_modulus(model: HookedModel) -> int | None:
    """The p of an operation mod p, from the sizes of a network alone; None if they suggest none.

    >>> from mechgrok import cosine_network
    >>> likely_modulus(cosine_network(7, {2: 9.0}))
    7
    """
    moduli = [reading.p for reading in _readings(model.cfg)]
    return d_vocab_out(model.cfg) if d_vocab_out(model.cfg) in moduli else next(iter(moduli), None)


class _Reading(NamedTuple):
    """One way to read the tokens of a network: the modulus, the sequence, and the order of the special tokens."""

    p: int
    slots: tuple[str, ...]
    specials: tuple[str, ...]

    def of(self, task: Operation) -> Operation:
        """A task written in this way."""
        task = task.with_sequence(*self.slots)
        return task if task.specials or len(self.specials) < 2 else task.with_specials(*self.specials)


def _readings(cfg: Any) -> list[_Reading]:
    """The readings that the sizes of a network allow, likeliest first."""
    found = []
    for second, vocabularies in (("b", 1), ("b'", 2)):
        for slots, specials in _sequences(second, cfg.n_ctx):
            p, rest = divmod(cfg.d_vocab - len(specials), vocabularies)
            if not rest and 2 <= p <= d_vocab_out(cfg) and cfg.n_ctx >= len(slots):
                found.append(_Reading(p, slots, specials))
    return found


def _sequences(second: str, n_ctx: int) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """How two operands are written in `n_ctx` tokens, and in which order the special tokens are numbered."""
    if n_ctx == 2:
        return [(("a", second), ())]
    three = (("a", second, "="), ("=",))
    if n_ctx != 4:
        return [three]
    four = ("a", "op", second, "=")
    return [(four, ("op", "=")), (four, ("=", "op")), three]


def _as_read(model: HookedModel, task: Operation) -> Operation:
    """An open task read as the network's sizes imply; its answers decide if several readings fit."""
    if task.arity != 2:
        return task
    fitting = [reading.of(task) for reading in _readings(model.cfg) if reading.p == task.n_symbols]
    if not fitting:
        return task.with_sequence("a", "b") if model.cfg.n_ctx == 2 else task
    fitting = [task if written.slots == task.slots else written for written in fitting]
    return (
        max(fitting, key=lambda written: _right_answers(model, written)) if len(fitting) > 1 else fitting[0]
    )


def _loss(model: HookedModel, task: Task) -> float:
    """Distinguishes readings that give the same answers."""
    grid = run_grid(model, task, [])
    return cross_entropy(grid.logits.double(), grid.labels).item()


def _right_answers(model: HookedModel, task: Task) -> float:
    grid = run_grid(model, task, [])
    return (grid.logits.argmax(1) == grid.labels).double().mean().item()


def _sequences_of(model: HookedModel) -> Iterator[StreamTask]:
    """Tasks on sequences that a network of these sizes may have learned."""
    cfg = model.cfg
    if getattr(cfg, "features", ()):
        return
    for kind in TASKS.values():
        if isinstance(kind, type) and issubclass(kind, StreamTask):
            task = kind.of_sizes(cfg.d_vocab, cfg.n_ctx, d_vocab_out(cfg))
            if task is not None:
                yield task


def _right_answers_of_sample(model: HookedModel, task: StreamTask) -> float:
    batch = task.sample(TRIED, seeded("infer task"))
    return (outputs_for(model, task, batch).argmax(-1) == batch.targets).double().mean().item()
