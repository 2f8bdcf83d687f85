"""Operations: tasks with a few operands, over all their values, and the way they are written as tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.algebra import Basis
from mechgrok.algebra.specs import basis_spec
from mechgrok.errors import TaskError, UndefinedMetricError, shown
from mechgrok.signature import Classes, Signature, Tokens
from mechgrok.tasks.batch import Batch
from mechgrok.tasks.frames import Frame, build_frame
from mechgrok.tasks.prompt import LETTERS, Prompt
from mechgrok.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Operation(Task):
    """An operation on n_symbols symbols, usually binary, with its full grid of inputs.

    Attributes:
        name: short name, for file names and tables.
        spec: the arguments that rebuild the task with `task_from_spec`; plain JSON values.
        n_symbols: number of operand symbols; tokens 0..n_symbols-1.
        n_answers: number of answers.
        operands: [n_inputs, arity], all inputs in lexicographic order; row a*p + b on a full grid.
        results: [n_inputs], the right answer of each input.
        answer: readable formula of the answer in terms of a and b, such as "a+b".
        sequence: what the network reads, in order: "a", "b", and special symbols such as "=", which
            get the tokens n_symbols, n_symbols + 1, ... in order of appearance. "b'" in place of "b" gives
            the second operand a separate vocabulary, the tokens n_symbols + b; special symbols come after
            it; "c" and "d" are the third and fourth operands of tasks that have them. The answer is read at the last
            position. None means undecided: `("a", "b", "=")`.
        specials: special symbols that get the first of these tokens in this order, whether read or not, so that
            several tasks of one network agree on them.
        framed: builds the frame, which describes the inputs and answers in the task's group.
    """

    name: str
    spec: dict[str, Any]
    n_symbols: int
    n_answers: int
    operands: Int[Tensor, "inputs arity"]
    results: Int[Tensor, " inputs"]
    answer: str
    framed: Callable[[], Frame] = field(repr=False)
    sequence: tuple[str, ...] | None = None
    specials: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _ = self.prompt  # raises if the sequence lacks an operand

    @property
    def is_open(self) -> bool:
        """Whether it is undecided how the operands are written."""
        return self.sequence is None

    @property
    def arity(self) -> int:
        """The number of operands."""
        return self.operands.shape[1]

    @property
    def slots(self) -> tuple[str, ...]:
        """The sequence that the network reads, the default one if undecided."""
        return self.sequence or (*LETTERS[: self.arity], "=")

    @cached_property
    def prompt(self) -> Prompt:
        """The format in which the operands are written as tokens."""
        return Prompt(self.slots, self.specials, self.n_symbols, self.arity)

    @property
    def special_tokens(self) -> dict[str, int]:
        """Token of each special symbol."""
        return self.prompt.special_tokens

    @property
    def operand_positions(self) -> tuple[int, ...]:
        """The first position of each operand in the sequence."""
        return self.prompt.operand_positions

    @property
    def operand_offsets(self) -> tuple[int, ...]:
        """The offsets from a symbol to its token as the first operand, as the second, and so on."""
        return self.prompt.operand_offsets

    @cached_property
    def signature(self) -> Signature:
        """Tokens in, one class out, read at the last position."""
        inputs = Tokens(d_vocab=self.prompt.d_vocab, n_ctx=len(self.slots))
        return Signature(inputs=inputs, outputs=Classes(n=self.n_answers))

    @cached_property
    def examples(self) -> Batch:
        """All inputs, in lexicographic order of the operands."""
        return Batch(self.write(), self.results[:, None], torch.arange(len(self.results)))

    def write(self) -> Int[Tensor, "inputs n_ctx"]:
        """What the network reads, for all inputs."""
        return self.prompt.write(self.operands)

    def written(self, *slots: str) -> "Operation":
        return self.with_sequence(*slots) if self.is_open else self

    def make_frame(self) -> Frame:
        return self.framed()

    @property
    def _split_by(self) -> Tensor:
        return self.operands

    def with_sequence(self, *slots: str) -> "Operation":
        """The same operation, written differently: `task.with_sequence("a", "b")` drops the "="."""
        return replace(self, sequence=slots, spec={**self.spec, "sequence": list(slots)})

    def with_specials(self, *specials: str) -> "Operation":
        """The same task with fixed tokens for some special symbols, so that several tasks agree on them."""
        return replace(self, specials=specials, spec={**self.spec, "specials": list(specials)})

    def in_basis(
        self, basis: Basis, elements: Int[Tensor, " order"] | Sequence[int] | None = None
    ) -> "Operation":
        """The same task, analysed in a basis other than its own; only analyses see the difference.

        A run on such a task keeps the basis. For multiplication in the basis of addition:
        `task.in_basis(fourier_basis(task.n_symbols))`.

        Args:
            elements: the token that stands for each element of the basis's group; default the tokens in
                numerical order.

        Raises:
            TaskError: `elements` does not name one token for each element of the basis, or is missing although
                the orders differ; when the frame is first used, a pair of elements that is not an input, or
                whose answer is not an element.
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
            framed=lambda: build_frame(basis, tokens, self.operands, self.results, self.answer),
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


def as_operation(task: Task) -> Operation:
    """Return the task if it is an operation, for code that needs operands.

    Raises:
        UndefinedMetricError: it has no operands.
    """
    if not isinstance(task, Operation):
        raise UndefinedMetricError(f"{task.name} has no operands, so what is said of them has no value")
    return task
