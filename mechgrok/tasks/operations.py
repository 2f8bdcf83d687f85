"""Operations mod p given as text: expressions, and pairs of expressions, one for odd and one for even operands."""

import re
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mechgrok.errors import TaskError
from mechgrok.tasks.polynomials import SYMBOLS, Polynomial, parse_polynomial

POWER_2022 = (
    "x+y",
    "x-y",
    "x/y",
    "x/y if y odd else x-y",
    "x^2+y^2",
    "x^2+x*y+y^2",
    "x^2+x*y+y^2+x",
    "x^3+x*y",
    "x^3+x*y^2+y",
)
"""The nine operations mod 97 of Power et al. 2022 (arXiv 2201.02177); the other three are in `sn_task`."""

FURUTA_2024: dict[str, tuple[str, ...]] = {
    "elementary": ("a+b", "a-b", "a*b"),
    "linear": ("2a+b", "2a-b", "2a+3b", "2a-3b"),
    "cross term": ("ab+a+b", "ab+b", "ab-b"),
    "univariate": ("a^2+b", "a^2-b", "a^3+2b", "a^3-2b"),
    "cross term of degree n": ("a^2+ab+b^2", "a^2+ab+b^2+a", "a^3+ab", "a^3+ab^2+b"),
    "sum of powers": tuple(f"a^{n}+b^{n}" for n in range(2, 8)),
    "factorisable": (
        "a^2-b^2",
        "(a+b)^2",
        "(a+b)^2+a+b",
        "(a-b)^2",
        "(a-b)^3",
        "(a-b)^4",
        *(f"(a+b)^{n}" for n in range(3, 8)),
    ),
}
"""The operations of Furuta et al. 2024 (arXiv 2402.16726, section 5 and tables), by kind."""

_BY_PARITY = re.compile(r"(?P<yes>.+?)\bif\s+(?P<operand>\w+)\s+(?P<parity>\w+)\s+else\b(?P<no>.+)")


@dataclass(frozen=True)
class ByParity:
    """One expression if an operand, as a number 0..p-1, is odd, and another if it is even."""

    operand: int
    odd: Polynomial
    even: Polynomial
    is_monomial = False

    def evaluate(
        self, a: Int[Tensor, " n"], b: Int[Tensor, " n"], p: int
    ) -> tuple[Int[Tensor, " n"], Bool[Tensor, " n"]]:
        """Like `Polynomial.evaluate`."""
        is_odd = (a, b)[self.operand] % p % 2 == 1
        odd, even = self.odd.evaluate(a, b, p), self.even.evaluate(a, b, p)
        return torch.where(is_odd, odd[0], even[0]), torch.where(is_odd, odd[1], even[1])


def parse_operation(text: str) -> Polynomial | ByParity:
    """Parse "x^2+x*y" or "x/y if y odd else x-y".

    Raises:
        TaskError: a condition of a different form, or an expression that `parse_polynomial` refuses.

    >>> operation = parse_operation("x/y if y odd else x-y")
    >>> operation.evaluate(torch.tensor([5, 5]), torch.tensor([3, 2]), 7)[0].tolist()
    [4, 3]
    """
    if not re.search(r"\bif\b", text):
        return parse_polynomial(text)
    match = _BY_PARITY.fullmatch(text.strip())
    if match is None or match["operand"] not in SYMBOLS or match["parity"] not in ("odd", "even"):
        raise TaskError(
            f"{text!r}: a condition has the form 'EXPRESSION if y odd else EXPRESSION', "
            f"with an operand {', '.join(SYMBOLS)} and odd or even"
        )
    yes, no = parse_polynomial(match["yes"]), parse_polynomial(match["no"])
    odd, even = (yes, no) if match["parity"] == "odd" else (no, yes)
    return ByParity(SYMBOLS[match["operand"]], odd, even)
