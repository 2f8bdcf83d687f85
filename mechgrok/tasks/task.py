"""The interface of tasks, used by everything else."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mechgrok.errors import NoGroupError, TaskError
from mechgrok.readable import Readable
from mechgrok.registry import Registry
from mechgrok.signature import Classes, Signature, Tokens
from mechgrok.tasks.batch import Batch
from mechgrok.tasks.data import Data, Finite
from mechgrok.tasks.frames import Frame
from mechgrok.tasks.splits import Split, SplitRule, make_split

TASKS: Registry[Any] = Registry("kind of task")
"""For each kind, a function or configuration class that builds a task from the other values of its `spec`."""

LEARNED = 0.999
"""Score (accuracy or r2) from which a task counts as learned, unless it specifies another."""


class Task(Readable, ABC):
    """A learning task: inputs with their answers, the required inputs and outputs of a network, and its group, if any.

    Created by functions such as `modular_task`, or by configuration classes derived from `FiniteTask` and
    `StreamTask`.

    Attributes:
        name: short name, for file names and tables.
        answer: readable formula of the answer in terms of the inputs, such as "a+b".
        spec: plain JSON values that rebuild the task with `task_from_spec`; its "kind" is one of `TASKS`.
        is_finite: whether there is a fixed domain, which is split into train and test inputs. Otherwise every step
            has fresh inputs, and `examples` are held out.
    """

    if TYPE_CHECKING:  # in configuration classes, anything annotated here would become a field
        name: str
        answer: str
        spec: dict[str, Any]

    @property
    def is_finite(self) -> bool:
        return True

    @property
    @abstractmethod
    def signature(self) -> Signature:
        """The inputs that a network must accept and the outputs that it must return."""

    @property
    @abstractmethod
    def examples(self) -> Batch:
        """All inputs of a finite domain, in its order; otherwise the held-out inputs."""

    @property
    def is_open(self) -> bool:
        """Whether the format of the operands is undecided, so that a network or recipe may choose it."""
        return False

    def make_frame(self) -> Frame:
        """The inputs and answers in the task's own group.

        Raises:
            NoGroupError: it has no group.
        """
        raise NoGroupError(
            f"{self.name} sits in no group, so that what is measured in a basis, such as key frequencies, has no "
            f"value; {STILL_THERE}"
        )

    def written(self, *slots: str) -> "Task":
        """The task with its operands written like this, if their format is undecided; otherwise the task unchanged."""
        return self

    def data(self, split: Split, batch_size: int = 0, seed: int = 0) -> Data:
        """The data for a run: its batches, and the evaluation examples.

        Args:
            split: determines the train inputs.
            batch_size: inputs per step; 0 for all train inputs.
            seed: determines the batches.
        """
        return Finite(self.examples, split.train, batch_size, seed)

    def split(self, fraction: float, seed: int = 0, rule: SplitRule = "shuffle") -> Split:
        """Split the inputs into train and test; see `make_split` for the rules."""
        return make_split(self._split_by, fraction, seed, rule)

    @property
    def _split_by(self) -> Tensor:
        """Integers that identify the inputs, for the split rules: their tokens, or their indices for features."""
        inputs = self.examples.inputs
        return torch.arange(len(inputs))[:, None] if inputs.is_floating_point() else inputs

    @cached_property
    def frame(self) -> Frame:
        """The inputs and answers in the task's own group.

        Raises:
            NoGroupError: it has no group.
        """
        return self.make_frame()

    @property
    def n_inputs(self) -> int:
        """The number of examples."""
        return len(self.examples)

    @property
    def inputs(self) -> Tensor:
        """The network's input for all examples: [n_inputs, n_ctx] tokens or [n_inputs, ...] features."""
        return self.examples.inputs

    @property
    def tokens(self) -> Tensor:
        """The network's input for tasks with tokens.

        Raises:
            TaskError: this task has features.
        """
        _ = self._sizes
        return self.examples.inputs

    @property
    def labels(self) -> Tensor:
        """The right answer of each example: [n_inputs] class numbers; [n_inputs, scored] for several positions."""
        return self.examples.labels

    @property
    def position_labels(self) -> tuple[str, ...]:
        """The name of each scored position in tables and figures."""
        scored = self.signature.scored
        if isinstance(scored, int):
            return tuple(f"answer {number + 1}" for number in range(scored))
        length = self.n_ctx if isinstance(self.signature.inputs, Tokens) else 0
        return tuple(f"position {place + length if place < 0 else place}" for place in scored)

    @property
    def n_classes(self) -> int:
        """The number of answers; the logits beyond them are ignored by every analysis.

        Raises:
            TaskError: the answers are values.
        """
        outputs = self.signature.outputs
        if not isinstance(outputs, Classes):
            raise TaskError(f"the answers of {self.name} are values, and no classes: {outputs.shape}")
        return outputs.n

    @property
    def d_vocab(self) -> int:
        """Number of tokens, special ones included.

        Raises:
            TaskError: the inputs are features.
        """
        return self._sizes.d_vocab

    @property
    def n_ctx(self) -> int:
        """Length of the sequence.

        Raises:
            TaskError: the inputs are features.
        """
        return self._sizes.n_ctx

    @property
    def _sizes(self) -> Tokens:
        inputs = self.signature.inputs
        if not isinstance(inputs, Tokens):
            raise TaskError(f"the inputs of {self.name} are features, and no tokens: {inputs.shape}")
        return inputs

    @property
    def score(self) -> str:
        """The measure of right answers: "accuracy" for classes, 0..1, or "r2" for values, up to 1."""
        return "accuracy" if isinstance(self.signature.outputs, Classes) else "r2"

    @property
    def learned_from(self) -> float:
        """The score from which the task counts as learned."""
        return LEARNED

    def __repr__(self) -> str:
        return (
            f"Task({self.name}: {_read(self.signature)} -> {_given(self.signature)}, {self.n_inputs} inputs)"
        )


STILL_THERE = "losses, accuracies, activations and attention are there"


def _read(signature: Signature) -> str:
    inputs = signature.inputs
    return f"{inputs.n_ctx} tokens" if isinstance(inputs, Tokens) else f"features {list(inputs.shape)}"


def _given(signature: Signature) -> str:
    outputs, scored = signature.outputs, signature.n_scored
    answers = f"{outputs.n} classes" if isinstance(outputs, Classes) else f"values {list(outputs.shape)}"
    return answers if scored == 1 else f"{answers} at {scored} positions"
