"""Tasks defined as configurations: a class with a few fields, which determine inputs and answers.

All tasks other than operations are written this way, both mechgrok's and its users'.
"""

from abc import abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from mechgrok.config import Config
from mechgrok.errors import ConfigError, TaskError, shown
from mechgrok.signature import Classes, Features, Signature, Tokens, Values
from mechgrok.tasks.batch import Batch
from mechgrok.tasks.data import Data, Stream, seeded
from mechgrok.tasks.frames import Frame
from mechgrok.tasks.splits import Split, SplitRule
from mechgrok.tasks.task import TASKS, Task

N_HELD_OUT = 2000
"""Number of held-out inputs on which a task with fresh batches is evaluated."""
DEFAULT_BATCH = 256
"""Fresh inputs per update, unless specified."""

InputsAndTargets = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]
"""Inputs and targets, and the positions at which inputs are read, if they differ between inputs."""


class ConfiguredTask(Config, Task):
    """A task fully determined by its fields; `class Majority(FiniteTask, kind="majority")` registers one.

    A subclass has fields, with or without defaults, which are plain JSON values. It may also have properties `name`,
    `answer` and `signature`, and a method `make_structure`.
    """

    kind: ClassVar[str] = ""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ConfigError as error:
            raise TaskError(str(error)) from None
        _ = self.examples  # errors in the task surface here

    def __init_subclass__(cls, kind: str = "", **rest: Any) -> None:
        super().__init_subclass__(**rest)  # which does not accept a kind

    @classmethod
    def __pydantic_init_subclass__(cls, kind: str = "", **rest: Any) -> None:
        super().__pydantic_init_subclass__(**rest)
        if not kind:
            return
        cls.kind = kind
        for attribute, default in (("name", _default_name), ("answer", lambda self: self.name)):
            if attribute not in cls.model_fields and not hasattr(cls, attribute):
                setattr(cls, attribute, property(default))
        TASKS.register(kind, cls)

    @property
    def spec(self) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The kind and the fields, from which `task_from_spec` builds the same task."""
        return {"kind": self.kind, **self.to_json()}

    @cached_property
    def signature(self) -> Signature:
        """A network's required inputs and outputs: by default inferred from the examples, read at the last position."""
        return signature_of(self.examples)

    def make_structure(self) -> Frame | None:
        """The basis to analyse the task in; None if it has no group."""
        return None

    def make_frame(self) -> Frame:
        structure = self.make_structure()
        return super().make_frame() if structure is None else structure

    def records(self) -> list[dict[str, Any]]:
        """The fields of the task."""
        return [{"name": name, "value": value} for name, value in self.spec.items()]

    def __repr__(self) -> str:
        return Task.__repr__(self)

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.kind, self.to_json())


class FiniteTask(ConfiguredTask):
    """A task with a fixed domain: a subclass gives all inputs, and training uses some of them.

    >>> import mechgrok as mg
    >>> class Majority(mg.FiniteTask, kind="majority"):
    ...     n_bits: int = 3
    ...
    ...     def all_inputs(self):
    ...         bits = torch.cartesian_prod(*[torch.arange(2)] * self.n_bits)
    ...         return bits, (bits.sum(1) > self.n_bits / 2).long()
    >>> Majority(n_bits=5)
    Task(majority n_bits=5: 5 tokens -> 2 classes, 32 inputs)
    >>> mg.task_from_spec({"kind": "majority", "n_bits": 5}).labels.sum().item()
    16
    """

    @abstractmethod
    def all_inputs(self) -> InputsAndTargets:
        """All inputs and their answers.

        Returns:
            Inputs, [n, n_ctx] integers (tokens) or [n, ...] floats (features); targets, [n] integers (classes) or
            [n, values] floats, or, for several scored positions, [n, scored] or [n, scored, values]. If these
            positions differ between inputs, a third tensor gives them, [n, scored]; the signature then has `scored`
            as a number.
        """

    @cached_property
    def examples(self) -> Batch:
        """All inputs, in the given order."""
        batch = as_batch(type(self).__name__, self.all_inputs())
        return replace(batch, rows=torch.arange(len(batch)))


class StreamTask(ConfiguredTask):
    """A task with fresh inputs in every update: a subclass draws them, and gives its signature.

    It is evaluated on held-out examples, the same ones at every step.

    Attributes:
        n_held_out: number of held-out examples.
        default_batch: inputs per update, unless specified.
    """

    n_held_out: ClassVar[int] = N_HELD_OUT
    default_batch: ClassVar[int] = DEFAULT_BATCH

    @property
    def is_finite(self) -> bool:
        """Every update has fresh inputs."""
        return False

    @abstractmethod
    def draw(self, n: int, generator: torch.Generator) -> InputsAndTargets:
        """Draw n inputs with their answers, in the formats of `FiniteTask.all_inputs`, using only this generator."""

    @classmethod
    def of_sizes(cls, d_vocab: int, n_ctx: int, n_outputs: int) -> "StreamTask | None":
        """The task of this kind that a network with these sizes may have learned, as a candidate for `infer_task`;
        None if there is none."""
        return None

    @cached_property
    def examples(self) -> Batch:
        """The held-out inputs."""
        return self.sample(self.n_held_out, seeded("held out", self.kind))

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """Draw n fresh inputs."""
        batch = as_batch(type(self).__name__, self.draw(n, generator))
        if len(batch) != n:
            raise TaskError(f"{type(self).__name__}.draw was asked for {n} inputs and gave {len(batch)}")
        return batch

    def sample_unseen(self, n: int, generator: torch.Generator) -> Batch:
        """Draw n fresh inputs that are not among the train inputs of a limited task."""
        return self.sample(n, generator)

    def data(self, split: Split, batch_size: int = 0, seed: int = 0) -> Data:
        return Stream(self.sample, self.examples, batch_size or self.default_batch, seed)

    def split(self, fraction: float, seed: int = 0, rule: SplitRule = "shuffle") -> Split:
        """None of the evaluation examples are trained on, whatever the fraction."""
        return Split(torch.zeros(self.n_inputs, dtype=torch.bool), float(fraction), seed, rule)


def as_batch(name: str, given: Any) -> Batch:
    """Check user-provided inputs and targets, and add an axis for the scored positions.

    Raises:
        TaskError: they are not two tensors of the same length, or have other types and shapes.
    """
    if not (isinstance(given, tuple) and len(given) in (2, 3) and all(isinstance(x, Tensor) for x in given)):
        raise TaskError(
            f"{name} gives inputs and targets as two tensors; got {shown(given)}: [n, n_ctx] tokens or "
            "[n, ...] features, and [n] class numbers or [n, values]"
        )
    inputs, targets, *positions = given
    if inputs.ndim < 2 or targets.ndim < 1 or len(inputs) != len(targets) or not len(inputs):
        raise TaskError(
            f"{name} gives an input and a target in each row; got inputs {tuple(inputs.shape)} and targets "
            f"{tuple(targets.shape)}"
        )
    if not inputs.is_floating_point() and inputs.ndim != 2:
        raise TaskError(f"tokens of {name} are [n, n_ctx]; got {shown(inputs)}")
    values = targets.is_floating_point()
    scored_axis = targets.ndim == 3 or (not values and targets.ndim == 2)
    if targets.ndim > 3 or (values and targets.ndim == 1) or (not values and targets.ndim == 3):
        raise TaskError(
            f"targets of {name} are [n] or [n, scored] class numbers, or [n, values] or [n, scored, values] floats; "
            f"got {shown(targets)}"
        )
    for what, numbers in (("inputs", inputs), ("targets", targets)):
        if numbers.is_floating_point():
            if not numbers.isfinite().all():
                raise TaskError(f"{what} of {name} are NaN or infinite")
        elif numbers.dtype == torch.bool or numbers.is_complex() or numbers.min() < 0:
            raise TaskError(f"{what} of {name} are whole numbers from 0 on, or floats; got {shown(numbers)}")
    targets = targets if scored_axis else targets[:, None]
    inputs = inputs.float() if inputs.is_floating_point() else inputs.long()
    targets = targets.float() if values else targets.long()
    return Batch(
        inputs, targets, positions=_checked_positions(name, positions[0], targets) if positions else None
    )


def _checked_positions(name: str, positions: Tensor, targets: Tensor) -> Tensor:
    if positions.dtype != torch.long or positions.shape != targets.shape[:2] or positions.min() < 0:
        raise TaskError(
            f"positions of {name} are whole numbers from 0 on, one for each target {list(targets.shape[:2])}; got "
            f"{shown(positions)}"
        )
    return positions


def signature_of(batch: Batch) -> Signature:
    """The smallest signature that fits a batch; several scored positions are taken to be the last ones.

    >>> signature_of(Batch(torch.tensor([[0, 3]]), torch.tensor([[4]]))).outputs
    Classes(kind='classes', n=5)
    """
    inputs, targets = batch.inputs, batch.targets
    taken = (
        Features(shape=tuple(inputs.shape[1:]))
        if inputs.is_floating_point()
        else Tokens(d_vocab=int(inputs.max()) + 1, n_ctx=inputs.shape[1])
    )
    given = (
        Values(shape=tuple(targets.shape[2:]))
        if targets.is_floating_point()
        else Classes(n=max(int(targets.max()) + 1, 2))
    )
    return Signature(inputs=taken, outputs=given, scored=tuple(range(-targets.shape[1], 0)))


def _default_name(task: Any) -> str:
    fields = " ".join(f"{name}={value}" for name, value in task.to_json().items())
    return f"{task.kind} {fields}".strip()[:80]


def _rebuilt(cls: type[ConfiguredTask], kind: str, values: dict[str, Any]) -> Any:
    """Rebuild a task in another process, where its class may not be registered yet."""
    if kind not in TASKS:
        TASKS.register(kind, cls)
    return cls(**values)
