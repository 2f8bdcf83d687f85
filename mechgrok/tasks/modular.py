"""Operations on the integers mod p: the four elementary ones and polynomials."""

from collections.abc import Sequence
from math import gcd
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.algebra import Basis, fourier_basis, irrep_basis, units, units_group
from mechgrok.algebra.groups import MOST_ELEMENTS
from mechgrok.door import door
from mechgrok.errors import TaskError, shown
from mechgrok.spelling import closest
from mechgrok.tasks.frames import Frame, build_frame
from mechgrok.tasks.operation_task import Operation
from mechgrok.tasks.operations import ByParity, parse_operation
from mechgrok.tasks.polynomials import SYMBOLS, Polynomial

NAMED = {"add": "a+b", "sub": "a-b", "mul": "a*b", "div": "a/b"}


@door
def modular_task(
    operation: str, p: int, *, sequence: Sequence[str] | None = None, specials: Sequence[str] = ()
) -> Operation:
    """A binary operation mod p, over all pairs of operands.

    Args:
        operation: "add", "sub", "mul", "div", or an expression in a, b (or x, y) such as
            "x^2+x*y+y^2" or "x/y if y odd else x-y"; `/` divides mod p, and inputs without an answer are omitted
            from the grid.
        p: the modulus, 2 to 4096; prime or not.
        sequence: what the network reads; default a b =. Operation tokens are named in it: ("a", "+", "b").
        specials: special symbols with fixed tokens, see `Task`.

    Returns:
        A task with p symbols and p classes. Its frame is Z_p with the additive Fourier basis; for products
        and quotients of powers ("mul", "div", "x*y^2") it is the units mod p, in the order of the discrete
        logarithm or, if p has no primitive root, in the basis of the irreps of the group of units.

    Raises:
        TaskError: an invalid p; an operation that is not a string or does not parse; no input with an answer.

    >>> task = modular_task("add", p=113)
    >>> task.n_inputs, task.d_vocab, task.labels[112 * 113 + 2].item()
    (12769, 114, 1)
    """
    if not isinstance(operation, str):
        raise TaskError(
            f"an operation is {', '.join(map(repr, NAMED))} or an expression such as 'x^2+x*y', got {shown(operation)}"
        )
    if not isinstance(p, Integral) or isinstance(p, bool) or not 2 <= p <= MOST_ELEMENTS:
        raise TaskError(
            f"the modulus p must be a whole number from 2 to {MOST_ELEMENTS}, since a task holds all p^2 inputs; "
            f"got {shown(p)}"
        )
    if near := close_names(operation):
        raise TaskError(
            f"unknown operation {operation!r}; did you mean {' or '.join(near)}? Others are {', '.join(NAMED)}, and "
            "expressions in a and b such as 'x^2+x*y'"
        )
    p, expression = int(p), NAMED.get(operation, operation)
    formula = expression if " if " in expression else expression.replace(" ", "")
    parsed = parse_operation(expression)
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    values, exists = parsed.evaluate(a, b, p)
    if not exists.any():
        raise TaskError(f"{expression!r} has no value mod {p} for any pair of operands")
    operands, labels = torch.stack([a, b], dim=1)[exists], values[exists]

    def make_frame() -> Frame:
        basis, elements = _natural_basis(_multiplies_units(parsed, p), p)
        return build_frame(basis, elements, operands, labels, formula)

    spec: dict[str, Any] = {"kind": "modular", "operation": operation, "p": p}
    if sequence is not None:
        spec["sequence"] = list(sequence)
    if specials:
        spec["specials"] = list(specials)
    return Operation(
        name=f"{operation}{p}" if operation in NAMED else f"{formula} mod {p}",
        spec=spec,
        n_symbols=p,
        n_answers=p,
        operands=operands,
        results=labels,
        answer=formula,
        framed=make_frame,
        sequence=None if sequence is None else tuple(sequence),
        specials=tuple(specials),
    )


def close_names(operation: str) -> list[str]:
    """The named operations that a word may be a misspelling of; none for a name or an expression.

    >>> close_names("ad"), close_names("add"), close_names("ab")
    (['add'], [], [])
    """
    is_expression = set(operation) <= SYMBOLS.keys()
    if operation in NAMED or is_expression or not operation.isalpha():
        return []
    return closest(operation, NAMED, n=2, likeness=0.5)


def _multiplies_units(parsed: Polynomial | ByParity, p: int) -> bool:
    """Whether an operation maps units to units by multiplication: its constant factor is itself a unit."""
    number, exists = parsed.evaluate(torch.ones(1, dtype=torch.long), torch.ones(1, dtype=torch.long), p)
    return parsed.is_monomial and bool(exists) and gcd(int(number), p) == 1


def _natural_basis(multiplicative: bool, p: int) -> tuple[Basis, Int[Tensor, " order"]]:
    """The basis in which an operation is a product of group elements, and the residue that each element represents."""
    if not multiplicative or p == 2:
        return fourier_basis(p), torch.arange(p)
    powers = powers_of_primitive_root(p)
    if powers is None:
        return irrep_basis(units_group(p)), units(p)
    return fourier_basis(len(powers)), powers


def powers_of_primitive_root(p: int) -> Int[Tensor, " units"] | None:
    """The units mod p as g^0, g^1, ...: position i holds the unit with discrete logarithm i.

    g is the smallest primitive root. None if p has no primitive root, like 8 or 15, or only one unit.

    >>> powers_of_primitive_root(7).tolist()
    [1, 3, 2, 6, 4, 5]
    """
    from sympy import primitive_root  # takes a fifth of a second to import, needed only for products

    g = primitive_root(p) if p > 2 else None
    if g is None:
        return None
    n_units = sum(gcd(u, p) == 1 for u in range(p))
    return torch.tensor([pow(int(g), i, p) for i in range(n_units)])
