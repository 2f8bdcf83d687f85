"""Several operations learned by one network, distinguished by an operation token."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.algebra import Basis
from mechgrok.door import door
from mechgrok.errors import NoGroupError, TaskError, shown
from mechgrok.signature import Classes, Signature
from mechgrok.tasks.frames import Frame
from mechgrok.tasks.operation_task import Operation
from mechgrok.tasks.prompt import OPERANDS
from mechgrok.tasks.splits import Split, SplitRule, make_split

OPERATION = "op"
"""Slot of a mixture's sequence that holds the operation token of each part."""
DEFAULT_SEQUENCE = ("a", OPERATION, "b", "=")


@dataclass(frozen=True, eq=False)
class MixedTask(Operation):
    """Several tasks on the same symbols as one task: the inputs of the first part, then of the second, and so on.

    Each part has its own group and key frequencies: analyse `cache_grid(model, task.parts[0])`.

    Attributes:
        parts: the individual tasks, written as the shared network reads them.
    """

    parts: tuple[Operation, ...] = ()

    @property
    def slots(self) -> tuple[str, ...]:
        """The sequence that the network reads, with "op" for the operation."""
        return self.sequence or DEFAULT_SEQUENCE

    @property
    def special_tokens(self) -> dict[str, int]:
        """Token of each special symbol, the same in all parts."""
        return self.parts[0].special_tokens

    def write(self) -> Int[Tensor, "inputs n_ctx"]:
        """What the network reads, for all inputs of all parts."""
        return torch.cat([part.tokens for part in self.parts])

    @cached_property
    def signature(self) -> Signature:
        """The tokens, on which all parts agree, and the answers of any part."""
        return self.parts[0].signature.replace(outputs=Classes(n=self.n_answers))

    @cached_property
    def ranges(self) -> tuple[slice, ...]:
        """The inputs that belong to each part."""
        ends = torch.tensor([part.n_inputs for part in self.parts]).cumsum(0).tolist()
        return tuple(slice(end - part.n_inputs, end) for end, part in zip(ends, self.parts, strict=True))

    def split(self, fraction: float, seed: int = 0, rule: SplitRule = "shuffle") -> Split:
        """Split the pairs of operands into train and test, identically for all parts.

        The rules of `make_split` are applied to the pairs that occur in any part. No pair that is tested in one
        operation is trained on in another, as in Furuta et al. 2024.
        """
        pairs, pair_of = self.operands.unique(dim=0, return_inverse=True)
        chosen = make_split(pairs, fraction, seed, rule)
        return replace(chosen, train=chosen.train[pair_of])

    def part_split(self, split: Split, part: int) -> Split:
        """The split of one part, for analyses of its grid."""
        return replace(split, train=split.train[self.ranges[part]])

    def with_sequence(self, *slots: str) -> "MixedTask":
        """The same operations, written differently; "op" stands for a token with the name of each part.

        Raises:
            TaskError: there is no "op", so nothing would distinguish the parts.
        """
        spec = {**self.spec, "sequence": list(slots)}
        return _mixture([_write(part, slots) for part in self.parts], self.specials, spec, slots)

    def with_specials(self, *specials: str) -> "MixedTask":
        """As for every task; the operation tokens come after these, unless they are among them."""
        return _mixture(self.parts, specials, {**self.spec, "specials": list(specials)}, self.sequence)

    def in_basis(self, basis: Basis, elements: Int[Tensor, " order"] | None = None) -> Operation:
        """Not available for a mixture, only for each part: `task.parts[0].in_basis(...)`."""
        raise TaskError(_PART_BY_PART.format(self.name))

    def __repr__(self) -> str:
        return f"Mixed{super().__repr__()}"


_PART_BY_PART = (
    "{} are several operations, each in a group of its own; "
    "analyse one of them: cache_grid(model, task.parts[0])"
)


@door
def mixed_task(parts: Sequence[Operation], *, sequence: Sequence[str] | None = None) -> MixedTask:
    """Combine several tasks on the same symbols for one network to learn at once: co-grokking.

    The operand tokens are shared, and so are the classes: answer 3 is the logit 3 of every part. An
    operation token distinguishes the parts.

    Args:
        parts: the tasks. If their sequence is left open, they are written a op b =, and the operation token
            bears the name of the part. If it is given, it stays, as in
            `modular_task("add", 97, sequence=("a", "+", "b"))`; then all parts must have one.
        sequence: what the network reads, with "op" for the operation, for parts that leave it open; None
            leaves it open here as well, for a recipe to decide.

    Raises:
        TaskError: fewer than two parts; different numbers of symbols; sequences that are incompatible or
            indistinguishable.

    Source: Furuta et al. 2024 (arXiv 2402.16726), section on co-grokking.

    >>> from mechgrok.tasks import modular_task
    >>> task = mixed_task([modular_task("add", 7), modular_task("mul", 7)])
    >>> task
    MixedTask(add7 and mul7: a op b = -> 7 classes, 98 inputs)
    >>> task.special_tokens, task.tokens[50].tolist(), task.labels[50].item()
    ({'add7': 7, '=': 8, 'mul7': 9}, [0, 9, 1, 8], 0)
    >>> task.parts[1]
    Task(mul7: a mul7 b = -> 7 classes, 49 inputs)
    """
    if not _are_single_tasks(parts):
        raise TaskError(f"a mixture needs two or more single tasks, got {shown(parts)}")
    decided = [part.sequence is not None for part in parts]
    if any(decided) and (sequence is not None or not all(decided)):
        raise TaskError(
            "either all parts have a sequence of their own and the mixture is given none, or none has one; got "
            f"{[part.sequence for part in parts]} and sequence={sequence}"
        )
    spec = {"kind": "mixed", "parts": [part.spec for part in parts]}
    specials = tuple(dict.fromkeys(symbol for part in parts for symbol in part.specials))
    if all(decided):
        return _mixture(parts, specials, spec, _pattern(parts))
    mixture = _mixture([_write(part, DEFAULT_SEQUENCE) for part in parts], specials, spec, None)
    return mixture if sequence is None else mixture.with_sequence(*sequence)


def _are_single_tasks(parts: Any) -> bool:
    several = isinstance(parts, Sequence) and len(parts) > 1
    return several and all(isinstance(part, Operation) and not isinstance(part, MixedTask) for part in parts)


def _mixture(
    parts: Sequence[Operation],
    specials: tuple[str, ...],
    spec: dict[str, Any],
    sequence: Sequence[str] | None,
) -> MixedTask:
    """The mixture of parts with known sequences, after they have agreed on the special tokens."""
    read = [symbol for part in parts for symbol in part.slots if symbol not in OPERANDS]
    parts = tuple(part.with_specials(*dict.fromkeys([*specials, *read])) for part in parts)
    _check(parts)
    name = " and ".join(part.name for part in parts)

    def make_frame() -> Frame:
        raise NoGroupError(_PART_BY_PART.format(name))

    return MixedTask(
        name=name,
        spec=spec,
        n_symbols=parts[0].n_symbols,
        n_answers=max(part.n_classes for part in parts),
        operands=torch.cat([part.operands for part in parts]),
        results=torch.cat([part.results for part in parts]),
        answer=" and ".join(part.answer for part in parts),
        framed=make_frame,
        sequence=None if sequence is None else tuple(sequence),
        specials=specials,
        parts=parts,
    )


def _check(parts: tuple[Operation, ...]) -> None:
    symbols = sorted({part.n_symbols for part in parts})
    if len(symbols) > 1:
        raise TaskError(f"the parts of a mixture share their symbols, but have different numbers: {symbols}")
    sequences = [part.slots for part in parts]
    if len(set(sequences)) < len(parts):
        raise TaskError(
            f"nothing tells the parts of a mixture apart that are written {sequences}; each needs a special symbol "
            f"of its own, for which {OPERATION!r} stands in the sequence of the mixture"
        )
    if len({tuple(slot if slot in OPERANDS else "" for slot in slots) for slots in sequences}) > 1:
        raise TaskError(
            f"the parts of a mixture need sequences with the operands at the same places, got {sequences}"
        )


def _write(part: Operation, slots: Sequence[str]) -> Operation:
    """One part written in the sequence of the mixture, with its name for the operation."""
    return part.with_sequence(*(part.name if slot == OPERATION else slot for slot in slots))


def _pattern(parts: Sequence[Operation]) -> list[str]:
    """The common sequence of parts that have their own: "op" at the slot in which they differ."""
    columns = zip(*(part.slots for part in parts), strict=False)
    return [column[0] if len(set(column)) == 1 else OPERATION for column in columns]
