"""Task: what is learned. All inputs, their labels, and the group in which to analyse them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.errors import TaskError
from mechgrok.tasks.frames import Frame
from mechgrok.tasks.splits import Split, SplitRule, make_split

OPERANDS = {"a": 0, "b": 1}
DEFAULT_SEQUENCE = ("a", "b", "=")


@dataclass(frozen=True, eq=False)
class Task:
    """A binary operation on n_symbols symbols with its full grid of inputs.

    Attributes:
        name: short name, for file names and tables.
        spec: the arguments that rebuild the task with `task_from_spec`; plain JSON values.
        n_symbols: number of operand symbols; tokens 0..n_symbols-1.
        n_classes: number of answers; the logits beyond them are ignored by every analysis.
        operands: [n_inputs, 2], all inputs in lexicographic order; row a*p + b on a full grid.
        labels: [n_inputs], the right answer of each input.
        sequence: what the network reads, in order: "a", "b", and special symbols such as "=", which
            get the tokens n_symbols, n_symbols + 1, ... in order of appearance. The answer is read at
            the last position. None means that nobody has decided: `("a", "b", "=")`.
        frame: the inputs and labels in the task's own group.
    """

    name: str
    spec: dict[str, Any]
    n_symbols: int
    n_classes: int
    operands: Int[Tensor, "inputs 2"]
    labels: Int[Tensor, " inputs"]
    make_frame: Callable[[], Frame]
    sequence: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        missing = [slot for slot in OPERANDS if slot not in self.slots]
        if missing:
            raise TaskError(f"the sequence {self.slots} must contain the operands 'a' and 'b'")

    @property
    def n_inputs(self) -> int:
        """The number of inputs."""
        return len(self.labels)

    @property
    def slots(self) -> tuple[str, ...]:
        """The sequence that the network reads, the default one if nobody has decided."""
        return self.sequence or DEFAULT_SEQUENCE

    @cached_property
    def special_tokens(self) -> dict[str, int]:
        """Token of each special symbol of the sequence."""
        specials = [slot for slot in dict.fromkeys(self.slots) if slot not in OPERANDS]
        return {slot: self.n_symbols + i for i, slot in enumerate(specials)}

    @property
    def d_vocab(self) -> int:
        """Number of tokens, special ones included."""
        return self.n_symbols + len(self.special_tokens)

    @property
    def n_ctx(self) -> int:
        """Length of the sequence."""
        return len(self.slots)

    @cached_property
    def tokens(self) -> Int[Tensor, "inputs n_ctx"]:
        """What the network reads, for all inputs."""
        columns = [
            self.operands[:, OPERANDS[slot]]
            if slot in OPERANDS
            else torch.full((self.n_inputs,), self.special_tokens[slot])
            for slot in self.slots
        ]
        return torch.stack(columns, dim=1)

    @cached_property
    def frame(self) -> Frame:
        """The inputs and labels in the task's own group."""
        return self.make_frame()

    def split(self, fraction: float, seed: int = 0, rule: SplitRule = "shuffle") -> Split:
        """Divide the inputs into train and test; see `make_split` for the rules."""
        return make_split(self.operands, fraction, seed, rule)

    def with_sequence(self, *slots: str) -> "Task":
        """The same operation, written down differently: `task.with_sequence("a", "b")` drops the "="."""
        return replace(self, sequence=slots, spec={**self.spec, "sequence": list(slots)})

    def __repr__(self) -> str:
        return (
            f"Task({self.name}: {' '.join(self.slots)} -> {self.n_classes} classes, {self.n_inputs} inputs)"
        )
