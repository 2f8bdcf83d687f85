"""Task: what is learned. All inputs, their labels, and the group in which to analyse them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.algebra import Basis
from mechgrok.algebra.specs import basis_spec
from mechgrok.errors import TaskError, shown
from mechgrok.readable import Readable
from mechgrok.tasks.frames import Frame, build_frame
from mechgrok.tasks.splits import Split, SplitRule, make_split

LETTERS = ("a", "b", "c", "d")
"""What operands are called in sequences."""
OPERANDS = {letter: number for number, letter in enumerate(LETTERS)} | {"b'": 1}
"""Slots of a sequence that hold an operand; b' writes b with tokens of its own, n_symbols + b."""
OWN_TOKENS = "b'"


@dataclass(frozen=True, eq=False)
class Task(Readable):
    """An operation on n_symbols symbols, mostly a binary one, with its full grid of inputs.

    Attributes:
        name: short name, for file names and tables.
        spec: the arguments that rebuild the task with `task_from_spec`; plain JSON values.
        n_symbols: number of operand symbols; tokens 0..n_symbols-1.
        n_classes: number of answers; the logits beyond them are ignored by every analysis.
        operands: [n_inputs, arity], all inputs in lexicographic order; row a*p + b on a full grid.
        labels: [n_inputs], the right answer of each input.
        answer: how it follows from a and b, for people; "a+b".
        sequence: what the network reads, in order: "a", "b", and special symbols such as "=", which
            get the tokens n_symbols, n_symbols + 1, ... in order of appearance. "b'" in place of "b" gives
            the second operand a vocabulary of its own, the tokens n_symbols + b; special symbols come after
            it; "c" and "d" are the third and fourth operand of tasks that have them. The answer is read at the last
            position. None means that nobody has decided: `("a", "b", "=")`.
        specials: special symbols that get the first of these tokens in this order, read or not, so that
            several tasks of one network agree on them.
        frame: the inputs and labels in the task's own group.
    """

    name: str
    spec: dict[str, Any]
    n_symbols: int
    n_classes: int
    operands: Int[Tensor, "inputs arity"]
    labels: Int[Tensor, " inputs"]
    answer: str
    make_frame: Callable[[], Frame]
    sequence: tuple[str, ...] | None = None
    specials: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        operands = sorted(OPERANDS[slot] for slot in set(self.slots) & self._letters.keys())
        if operands != list(range(self.arity)):
            needed = " and ".join(map(repr, LETTERS[: self.arity]))
            raise TaskError(
                f"the sequence {shown(self.slots)} must contain the operands {needed} "
                '(or "b\'", for a second operand with tokens of its own)'
            )

    @property
    def n_inputs(self) -> int:
        """The number of inputs."""
        return len(self.labels)

    @property
    def arity(self) -> int:
        """The number of operands."""
        return self.operands.shape[1]

    @property
    def slots(self) -> tuple[str, ...]:
        """The sequence that the network reads, the default one if nobody has decided."""
        return self.sequence or (*LETTERS[: self.arity], "=")

    @property
    def _letters(self) -> dict[str, int]:
        """Slots that hold an operand of this task; "c" is a special symbol where there are two."""
        return {slot: operand for slot, operand in OPERANDS.items() if operand < self.arity}

    @cached_property
    def special_tokens(self) -> dict[str, int]:
        """Token of each special symbol."""
        specials = [
            slot for slot in dict.fromkeys((*self.specials, *self.slots)) if slot not in self._letters
        ]
        return {slot: self._operand_tokens + i for i, slot in enumerate(specials)}

    @property
    def d_vocab(self) -> int:
        """Number of tokens, special ones included."""
        return self._operand_tokens + len(self.special_tokens)

    @property
    def operand_positions(self) -> tuple[int, ...]:
        """Where the sequence holds each operand, the first time."""
        letters = self._letters
        return tuple(
            next(place for place, slot in enumerate(self.slots) if letters.get(slot) == operand)
            for operand in range(self.arity)
        )

    @property
    def operand_offsets(self) -> tuple[int, ...]:
        """What is added to a symbol for its token as the first operand, as the second, and so on."""
        own = self.n_symbols if OWN_TOKENS in self.slots else 0
        return tuple(own if operand == 1 else 0 for operand in range(self.arity))

    @property
    def _operand_tokens(self) -> int:
        return self.n_symbols * (2 if OWN_TOKENS in self.slots else 1)

    @property
    def n_ctx(self) -> int:
        """Length of the sequence."""
        return len(self.slots)

    @cached_property
    def tokens(self) -> Int[Tensor, "inputs n_ctx"]:
        """What the network reads, for all inputs."""
        columns = [
            self.operands[:, OPERANDS[slot]] + self.operand_offsets[OPERANDS[slot]]
            if slot in self._letters
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

    def with_specials(self, *specials: str) -> "Task":
        """The same task with fixed tokens for some special symbols, so that several tasks agree on them."""
        return replace(self, specials=specials, spec={**self.spec, "specials": list(specials)})

    def in_basis(self, basis: Basis, elements: Int[Tensor, " order"] | Sequence[int] | None = None) -> "Task":
        """The same task, analysed in another basis than its own; only analyses see the difference.

        A run on such a task keeps the basis. Multiplication in the basis of addition:
        `task.in_basis(fourier_basis(task.n_symbols))`.

        Args:
            elements: the token that stands for each element of the basis's group; default the tokens as they
                are numbered.

        Raises:
            TaskError: `elements` does not name one token for each element of the basis, or is missing where
                the orders differ; when the frame is first used, a pair of elements that is no input, or
                has an answer outside.
        """
        if not isinstance(basis, Basis):
            raise TaskError(f"a basis is what fourier_basis and irrep_basis give; got {shown(basis)}")
        tokens = _as_tokens(range(self.n_symbols) if elements is None else elements)
        if len(tokens) != basis.order or len(tokens.unique()) != basis.order:
            raise TaskError(
                f"{basis} has {basis.order} elements, but {len(tokens.unique())} tokens stand for them; "
                f"name one token for each with elements=..., or take a basis of order {self.n_symbols}"
            )
        if not 0 <= int(tokens.min()) <= int(tokens.max()) < self.n_symbols:
            raise TaskError(
                f"elements must be tokens in 0..{self.n_symbols - 1}, got {shown(tokens.tolist())}"
            )
        spec = {
            "kind": "in_basis",
            "task": self.spec,
            "basis": basis_spec(basis),
            "elements": tokens.tolist(),
        }
        return replace(
            self,
            spec=spec,
            make_frame=lambda: build_frame(basis, tokens, self.operands, self.labels, self.answer),
        )

    def __repr__(self) -> str:
        return (
            f"Task({self.name}: {' '.join(self.slots)} -> {self.n_classes} classes, {self.n_inputs} inputs)"
        )


def _as_tokens(elements: Any) -> Tensor:
    tokens = torch.as_tensor(elements)
    if tokens.ndim != 1 or tokens.is_floating_point() or tokens.is_complex():
        raise TaskError(
            f"elements are token numbers, one for each element of the basis; got {shown(elements)}"
        )
    return tokens.long()
