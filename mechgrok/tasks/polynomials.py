"""Expressions in two operands, evaluated exactly modulo p.

`x^2+x*y+y^2`, `2a+3b`, `ab+b`, `(a-b)^3`, `a/b`. Python's own parser turns the text into a tree
in which only sums, products, powers and quotients are allowed; the text is never executed.
"""

import ast
import re
from dataclasses import dataclass
from math import gcd
from typing import TypeGuard

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mechgrok.errors import TaskError

SYMBOLS = {"a": 0, "x": 0, "b": 1, "y": 1}
MAX_LENGTH = 200
_TOKEN = re.compile(r"\s*(\d+|[A-Za-z_]\w*|\*\*|[-+*/^()])")


@dataclass(frozen=True)
class Polynomial:
    """A parsed expression in the operands a (or x) and b (or y).

    >>> p = parse_polynomial("x^2 + xy + 3")
    >>> p.evaluate(torch.tensor([2, 6]), torch.tensor([5, 1]), 7)[0].tolist()
    [3, 3]
    """

    text: str
    tree: ast.expr

    def evaluate(
        self, a: Int[Tensor, " n"], b: Int[Tensor, " n"], p: int
    ) -> tuple[Int[Tensor, " n"], Bool[Tensor, " n"]]:
        """Values in 0..p-1, and a mask of those that exist: false if a divisor has no inverse mod p."""
        return _Evaluation(a % p, b % p, p).of(self.tree)

    @property
    def is_monomial(self) -> bool:
        """Whether it is a product or quotient of powers of the operands and of numbers, such as a*b or 3a^2/b.

        A multiple of a single operand, such as 3a, counts as a sum.
        """
        return _degrees(self.tree) not in (None, (0, 0), (1, 0), (0, 1))


def parse_polynomial(text: str) -> Polynomial:
    """Parse an expression; `^` and `**` are powers, and `2a`, `ab`, `a(b+1)` are products.

    Raises:
        TaskError: an unknown symbol, a construct that is not a polynomial, unbalanced text.
    """
    if len(text) > MAX_LENGTH:
        raise TaskError(f"an expression may have {MAX_LENGTH} characters, this one has {len(text)}")
    try:
        tree = ast.parse(_with_explicit_products(text), mode="eval").body
    except SyntaxError as error:
        raise TaskError(f"{text!r} is no expression: {error.msg}; try for example 'x^2+x*y+y^2'") from None
    for node in ast.walk(tree):
        _check(node, text)
    return Polynomial(text, tree)


def _with_explicit_products(text: str) -> str:
    """Python source of the same expression: powers as `**`, products made explicit."""
    tokens = [piece for token in _tokens(text) for piece in _letters(token, text)]
    if not {"a", "b"}.isdisjoint(tokens) and not {"x", "y"}.isdisjoint(tokens):
        raise TaskError(f"{text!r}: a and x are one operand, b and y the other; use a, b or x, y, not both")
    out: list[str] = []
    for token in tokens:
        starts_factor = token == "(" or token.isalnum()
        if out and starts_factor and (out[-1] == ")" or out[-1].isalnum()):
            out.append("*")
        out.append("**" if token == "^" else token)
    # Spaces keep "/ /" and "* *" as two adjacent operators, which no expression allows.
    return " ".join(out)


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            unexpected = stripped[position:].lstrip()[0]
            raise TaskError(
                f"{text!r}: unexpected {unexpected!r}; allowed are the operands a, b (or x, y), "
                "integers, + - * / ^ and parentheses"
            )
        tokens.append(match.group(1))
        position = match.end()
    return tokens


def _letters(token: str, text: str) -> list[str]:
    """Split a word into a product of operands: `ab` is a*b."""
    if not token[0].isalpha() and token[0] != "_":
        return [token]
    unknown = [letter for letter in token if letter not in SYMBOLS]
    if unknown:
        raise TaskError(
            f"{text!r}: unknown symbol {unknown[0]!r} in {token!r}; the operands are a and b (or x and y); "
            "named operations are add, sub, mul, div"
        )
    return list(token)


def _degrees(node: ast.expr) -> tuple[int, int] | None:
    """Exponents of both operands; None if there are terms to be added."""
    match node:
        case ast.Name(id=name):
            return (1, 0) if SYMBOLS[name] == 0 else (0, 1)
        case ast.Constant():
            return (0, 0)
        case ast.UnaryOp(operand=inner):
            return _degrees(inner)
        case ast.BinOp(left=base, op=ast.Pow(), right=ast.Constant(value=int() as exponent)):
            degrees = _degrees(base)
            return degrees and (degrees[0] * exponent, degrees[1] * exponent)
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as operator, right=right):
            u, v = _degrees(left), _degrees(right)
            sign = -1 if isinstance(operator, ast.Div) else 1
            return u and v and (u[0] + sign * v[0], u[1] + sign * v[1])
    return None


def _check(node: ast.AST, text: str) -> None:
    allowed = (ast.BinOp, ast.UnaryOp, ast.Name, ast.Constant, ast.expr_context, ast.operator, ast.unaryop)
    if not isinstance(node, allowed):
        raise TaskError(f"{text!r}: {type(node).__name__} is not part of a polynomial")
    if _is_power(node):
        exponent = node.right
        if not (isinstance(exponent, ast.Constant) and isinstance(exponent.value, int)):
            raise TaskError(f"{text!r}: an exponent must be a non-negative integer")


def _is_power(node: ast.AST) -> TypeGuard[ast.BinOp]:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)


@dataclass
class _Evaluation:
    """One evaluation of a tree over all inputs; every step reduces mod p, so nothing overflows."""

    a: Tensor
    b: Tensor
    p: int

    def of(self, node: ast.expr) -> tuple[Tensor, Tensor]:
        match node:
            case ast.Name(id=name):
                return (self.a, self.b)[SYMBOLS[name]], self._everywhere()
            case ast.Constant(value=int() as value):
                return torch.full_like(self.a, value % self.p), self._everywhere()
            case ast.UnaryOp(op=sign, operand=inner):
                value, exists = self.of(inner)
                return (-value % self.p if isinstance(sign, ast.USub) else value), exists
            case ast.BinOp(left=base, op=ast.Pow(), right=ast.Constant(value=int() as exponent)):
                value, exists = self.of(base)
                return self._power(value, exponent), exists
            case ast.BinOp(left=left, op=operator, right=right):
                (u, u_exists), (v, v_exists) = self.of(left), self.of(right)
                exists = u_exists & v_exists
                if isinstance(operator, ast.Div):
                    v, invertible = self._inverse(v)
                    return u * v % self.p, exists & invertible
                return self._combine(operator, u, v), exists
        raise TaskError(f"{type(node).__name__} is not part of a polynomial")

    def _combine(self, operator: ast.operator, u: Tensor, v: Tensor) -> Tensor:
        match operator:
            case ast.Add():
                return (u + v) % self.p
            case ast.Sub():
                return (u - v) % self.p
            case ast.Mult():
                return u * v % self.p
        raise TaskError(f"{type(operator).__name__} is not part of a polynomial")

    def _power(self, value: Tensor, exponent: int) -> Tensor:
        result, square = torch.ones_like(value) % self.p, value
        while exponent:
            if exponent & 1:
                result = result * square % self.p
            square, exponent = square * square % self.p, exponent >> 1
        return result

    def _inverse(self, value: Tensor) -> tuple[Tensor, Tensor]:
        units = [u for u in range(self.p) if gcd(u, self.p) == 1]
        table = torch.zeros(self.p, dtype=torch.long)
        table[units] = torch.tensor([pow(u, -1, self.p) for u in units])
        invertible = torch.zeros(self.p, dtype=torch.bool)
        invertible[units] = True
        return table[value], invertible[value]

    def _everywhere(self) -> Tensor:
        return torch.ones_like(self.a, dtype=torch.bool)
