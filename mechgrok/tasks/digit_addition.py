"""Addition of multi-digit numbers, with one token per digit."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from mechgrok.door import door
from mechgrok.signature import Classes, Signature, Tokens
from mechgrok.tasks.configured import InputsAndTargets
from mechgrok.tasks.limited import LimitedTask

BASE = 10
PLUS, EQUALS = 10, 11
"""The tokens after the ten digits."""


class DigitAdditionTask(LimitedTask, kind="digit_addition"):
    """See `digit_addition_task`."""

    n_held_out: ClassVar[int] = 500
    default_batch: ClassVar[int] = 64

    n_digits: Annotated[int, Field(ge=1, le=100)] = 5

    @property
    def name(self) -> str:
        """Such as "5-digit addition"."""
        return f"{self.n_digits}-digit addition{self.of_how_many}"

    @property
    def answer(self) -> str:
        """The rule, in readable form."""
        return "the digits of a+b"

    @property
    def signature(self) -> Signature:
        """Each digit of the answer is read at the position of the preceding token, starting at the "="."""
        return Signature(
            inputs=Tokens(d_vocab=EQUALS + 1, n_ctx=3 * self.n_digits + 3),
            outputs=Classes(n=BASE),
            scored=tuple(range(-self.n_digits - 2, -1)),
        )

    @property
    def position_labels(self) -> tuple[str, ...]:
        """The place values of the sum's digits, the highest first."""
        return tuple(f"10^{place}" for place in range(self.n_digits, -1, -1))

    @classmethod
    def of_sizes(cls, d_vocab: int, n_ctx: int, n_outputs: int) -> "DigitAdditionTask | None":
        n_digits, rest = divmod(n_ctx - 3, 3)
        if (d_vocab, n_outputs, rest) != (EQUALS + 1, BASE, 0) or not 1 <= n_digits <= 100:
            return None
        return cls(n_digits=n_digits)

    def draw(self, n: int, generator: torch.Generator) -> InputsAndTargets:
        """Uniformly distributed numbers, and their sums."""
        x, y = torch.randint(BASE, (2, n, self.n_digits), generator=generator)
        digits = sum_digits(x, y)
        plus, equals = (torch.full((n, 1), token) for token in (PLUS, EQUALS))
        return torch.cat([x, plus, y, equals, digits], dim=1), digits


@door
def digit_addition_task(n_digits: int = 5, *, finite: int = 0, seed: int = 0) -> DigitAdditionTask:
    """Addition of two multi-digit numbers: x + y = z, with one token per digit, the highest first.

    The tokens are the digits 0..9, 10 for "+" and 11 for "=". The n_digits + 1 digits of the sum are predicted one
    after the other, starting at the "=", each one position before it appears: `position_losses` gives the loss of each.

    Args:
        n_digits: number of digits of x and of y; each digit is uniform in 0..9.
        finite: number of train inputs; 0 draws fresh inputs for every update.
        seed: determines these train inputs and the held-out inputs, all of which are distinct.

    Raises:
        TaskError: more than 100 digits; so many train inputs that none are left to test on.

    Source: Nanda et al. 2023 (arXiv 2301.05217), appendix on other tasks.

    >>> task = digit_addition_task(2)
    >>> task, task.position_labels
    (Task(2-digit addition: 9 tokens -> 10 classes at 3 positions, 500 inputs), ('10^2', '10^1', '10^0'))
    >>> digit_addition_task(5, finite=700)
    Task(5-digit addition, 700 train inputs: 18 tokens -> 10 classes at 6 positions, 1200 inputs)
    """
    return DigitAdditionTask(n_digits=n_digits, finite=finite, seed=seed)


def sum_digits(x: Int[Tensor, "n digits"], y: Int[Tensor, "n digits"]) -> Int[Tensor, "n more_digits"]:
    """The digits of sums, one more than the summands have.

    >>> sum_digits(torch.tensor([[9, 7]]), torch.tensor([[0, 5]])).tolist()
    [[1, 0, 2]]
    """
    columns, carry = [], torch.zeros(len(x), dtype=torch.long)
    for column in (x + y).flip(1).unbind(1):
        total = column + carry
        columns.append(total % BASE)
        carry = total // BASE
    return torch.stack([*columns, carry], dim=1).flip(1)
