"""Prompts: the format in which the operands of an operation are written as tokens."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.errors import TaskError, shown

LETTERS = ("a", "b", "c", "d")
"""Names of operands in sequences."""
OPERANDS = {letter: number for number, letter in enumerate(LETTERS)} | {"b'": 1}
"""Slots of a sequence that hold an operand; b' writes b with separate tokens, n_symbols + b."""
OWN_TOKENS = "b'"


@dataclass(frozen=True)
class Prompt:
    """A sequence of slots, and the tokens of its symbols.

    Attributes:
        slots: what the network reads, in order: operands "a", "b", and special symbols such as "=".
        specials: special symbols that get the first of the tokens after the operands, in this order, whether read or
            not; the others follow in order of appearance.
        n_symbols: number of values of an operand; their tokens are 0..n_symbols-1.
        arity: number of operands; "c" is a special symbol if there are only two.

    Raises:
        TaskError: an operand is missing.

    >>> prompt = Prompt(("a", "+", "b", "="), (), n_symbols=7)
    >>> prompt.special_tokens, prompt.write(torch.tensor([[3, 5]])).tolist()
    ({'+': 7, '=': 8}, [[3, 7, 5, 8]])
    """

    slots: tuple[str, ...]
    specials: tuple[str, ...]
    n_symbols: int
    arity: int = 2

    def __post_init__(self) -> None:
        operands = sorted(OPERANDS[slot] for slot in set(self.slots) & self.letters.keys())
        if operands != list(range(self.arity)):
            needed = " and ".join(map(repr, LETTERS[: self.arity]))
            raise TaskError(
                f"the sequence {shown(self.slots)} must contain the operands {needed} "
                '(or "b\'", for a second operand with tokens of its own)'
            )

    @property
    def letters(self) -> dict[str, int]:
        """The slots that hold an operand, with the operand's number."""
        return {slot: operand for slot, operand in OPERANDS.items() if operand < self.arity}

    @cached_property
    def special_tokens(self) -> dict[str, int]:
        """Token of each special symbol."""
        specials = [s for s in dict.fromkeys((*self.specials, *self.slots)) if s not in self.letters]
        return {slot: self._operand_tokens + i for i, slot in enumerate(specials)}

    @property
    def d_vocab(self) -> int:
        """Number of tokens, special ones included."""
        return self._operand_tokens + len(self.special_tokens)

    @property
    def operand_positions(self) -> tuple[int, ...]:
        """The first position of each operand in the sequence."""
        held = [self.letters.get(slot) for slot in self.slots]
        return tuple(held.index(operand) for operand in range(self.arity))

    @property
    def operand_offsets(self) -> tuple[int, ...]:
        """The offsets from a symbol to its token as the first operand, as the second, and so on."""
        own = self.n_symbols if OWN_TOKENS in self.slots else 0
        return tuple(own if operand == 1 else 0 for operand in range(self.arity))

    @property
    def _operand_tokens(self) -> int:
        return self.n_symbols * (2 if OWN_TOKENS in self.slots else 1)

    def write(self, operands: Int[Tensor, "inputs arity"]) -> Int[Tensor, "inputs n_ctx"]:
        """The tokens for these inputs."""
        columns = [
            operands[:, OPERANDS[slot]] + self.operand_offsets[OPERANDS[slot]]
            if slot in self.letters
            else torch.full((len(operands),), self.special_tokens[slot])
            for slot in self.slots
        ]
        return torch.stack(columns, dim=1)
