"""Operations on the integers mod p: the four elementary ones and polynomials."""

from collections.abc import Sequence
from math import gcd

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.algebra import fourier_basis
from mechgrok.errors import TaskError
from mechgrok.tasks.frames import Frame
from mechgrok.tasks.polynomials import parse_polynomial
from mechgrok.tasks.task import Task

NAMED = {"add": "a+b", "sub": "a-b", "mul": "a*b", "div": "a/b"}


def modular_task(operation: str, p: int, *, sequence: Sequence[str] | None = None) -> Task:
    """A binary operation mod p, over all pairs of operands.

    Args:
        operation: "add", "sub", "mul", "div", or an expression in a, b (or x, y) such as
            "x^2+x*y+y^2"; `/` divides mod p, and inputs without an answer are left out of the grid.
        p: the modulus, at least 2; prime or not.
        sequence: what the network reads; default a b =.

    Returns:
        A task with p symbols and p classes. Its frame is Z_p with the additive Fourier basis;
        for "mul" and "div" the units mod p in the order of the discrete logarithm, where p has a
        primitive root.

    Raises:
        TaskError: p < 2, an expression that does not parse, no input with an answer.

    >>> task = modular_task("add", p=113)
    >>> task.n_inputs, task.d_vocab, task.labels[112 * 113 + 2].item()
    (12769, 114, 1)
    """
    if p < 2:
        raise TaskError(f"the modulus p must be at least 2, got {p}")
    expression = NAMED.get(operation, operation)
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    labels, exists = parse_polynomial(expression).evaluate(a, b, p)
    if not exists.any():
        raise TaskError(f"{expression!r} has no value mod {p} for any pair of operands")
    operands = torch.stack([a, b], dim=1)[exists]
    row_of_pair = torch.full((p, p), -1)
    row_of_pair[operands[:, 0], operands[:, 1]] = torch.arange(len(operands))
    answers = torch.full((p, p), -1)
    answers[operands[:, 0], operands[:, 1]] = labels[exists]

    spec = {"kind": "modular", "operation": operation, "p": p}
    return Task(
        name=f"{operation}{p}" if operation in NAMED else f"{expression.replace(' ', '')} mod {p}",
        spec=spec if sequence is None else {**spec, "sequence": list(sequence)},
        n_symbols=p,
        n_classes=p,
        operands=operands,
        labels=labels[exists],
        make_frame=lambda: _frame(expression, row_of_pair, answers),
        sequence=None if sequence is None else tuple(sequence),
    )


def _frame(expression: str, row_of_pair: Tensor, answers: Tensor) -> Frame:
    p = len(answers)
    multiplicative = expression in (NAMED["mul"], NAMED["div"])
    elements = powers_of_primitive_root(p) if multiplicative else torch.arange(p)
    if elements is None:
        elements = torch.arange(p)
    rows = row_of_pair[elements][:, elements]
    if (rows < 0).any():
        raise TaskError(
            f"{expression!r} mod {p} has no answer for some pairs, so no group contains all of its inputs; "
            "its logits cannot be analysed in a basis"
        )
    element_of = torch.full((p,), -1)
    element_of[elements] = torch.arange(len(elements))
    return Frame(
        basis=fourier_basis(len(elements)),
        rows=rows,
        results=element_of[answers[elements][:, elements]],
        classes=elements,
        tokens=elements,
        answer=expression,
    )


def powers_of_primitive_root(p: int) -> Int[Tensor, " units"] | None:
    """The units mod p as g^0, g^1, ...: position i holds the unit with discrete logarithm i.

    g is the smallest primitive root. None where p has none, as 8 or 15, or only one unit.

    >>> powers_of_primitive_root(7).tolist()
    [1, 3, 2, 6, 4, 5]
    """
    from sympy import primitive_root  # takes a fifth of a second to import, needed for products alone

    g = primitive_root(p) if p > 2 else None
    if g is None:
        return None
    n_units = sum(gcd(u, p) == 1 for u in range(p))
    return torch.tensor([pow(int(g), i, p) for i in range(n_units)])
