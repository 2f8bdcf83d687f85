"""Operations on the elements of any finite group."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from mechgrok.algebra import Group, fourier_basis, irrep_basis, named_group
from mechgrok.algebra.groups import Table
from mechgrok.algebra.specs import group_spec
from mechgrok.door import door
from mechgrok.errors import TaskError, shown
from mechgrok.tasks.frames import Frame, build_frame
from mechgrok.tasks.operation_task import Operation

GroupOperation = Literal["xy", "xyx^-1", "xyx"]


@door
def group_task(
    group: Table | Group | str,
    *,
    op: GroupOperation = "xy",
    name: str | None = None,
    sequence: Sequence[str] | None = None,
    specials: Sequence[str] = (),
) -> Operation:
    """An operation on the elements of a finite group, over all pairs.

    Args:
        group: a multiplication table, [order, order] integers; a `Group`; or a name such as "S5", "A5",
            "D59", "Z2xS3" (see `named_group`).
        op: "xy" is the product, "xyx^-1" the conjugate of y by x.
        name: name of the group, for labels and tables.
        sequence: what the network reads; default a b =.
        specials: special symbols with fixed tokens, see `Task`.

    Returns:
        A task whose symbols and classes are the element numbers. Its frame has the basis of the group's
        irreps; for a cyclic group, whatever the order of its table, the Fourier basis.

    Raises:
        TaskError: an unknown name or operation; a table that is not a group's (the message names the elements
            that violate the axioms); a group of more than 4096 elements, since a task holds all pairs of them.

    >>> group_task([[0, 1, 2], [1, 2, 0], [2, 0, 1]], name="rotations")
    Task(rotations: a b = -> 3 classes, 9 inputs)
    >>> group_task("A5").frame.basis.labels
    ('3d_a', '3d_b', 'standard', '5d_a')
    """
    if not isinstance(op, str) or op not in _PRODUCTS:
        raise TaskError(f"unknown operation {shown(op)}; allowed: {', '.join(_PRODUCTS)}")
    resolved = _resolve(group, name)
    order = resolved.order
    operands = torch.cartesian_prod(torch.arange(order), torch.arange(order))
    labels = _PRODUCTS[op](resolved).flatten()

    spec: dict[str, Any] = {"kind": "group", "group": group_spec(resolved), "op": op}
    if not isinstance(spec["group"], str) or name is not None:
        spec["name"] = resolved.name
    if sequence is not None:
        spec["sequence"] = list(sequence)
    if specials:
        spec["specials"] = list(specials)
    return Operation(
        name=resolved.name if op == "xy" else f"{resolved.name} {op}",
        spec=spec,
        n_symbols=order,
        n_answers=order,
        operands=operands,
        results=labels,
        answer=op,
        framed=lambda: _frame(resolved, operands, labels, op),
        sequence=None if sequence is None else tuple(sequence),
        specials=tuple(specials),
    )


@door
def sn_task(
    group: str = "S5", *, op: GroupOperation = "xy", sequence: Sequence[str] | None = None
) -> Operation:
    """An operation on permutations: the three on S5 of Power et al. 2022, and the same on any S_n up to S6.

    Elements are the permutations in lexicographic order of their array form. In "xy", x is applied first, then
    y: c[i] = y[x[i]].

    Args:
        group: "S2" to "S6".
        op: "xy", "xyx^-1" or "xyx".
        sequence: what the network reads; default a b =.

    Raises:
        TaskError: a name of a different form, or an unknown operation.

    >>> sn_task("S5", op="xyx^-1")
    Task(S5 xyx^-1: a b = -> 120 classes, 14400 inputs)
    """
    if not (isinstance(group, str) and re.fullmatch(r"S\d+", group)):
        raise TaskError(
            f"sn_task takes 'S2' to 'S6', got {shown(group)}; group_task takes other groups, by name or table"
        )
    return group_task(group, op=op, sequence=sequence)


def _conjugates(group: Group) -> Tensor:
    return group.table[group.table, group.inverses[:, None]]


def _sandwiches(group: Group) -> Tensor:
    return group.table[group.table, torch.arange(group.order)[:, None]]


_PRODUCTS: dict[GroupOperation, Callable[[Group], Tensor]] = {
    "xy": lambda group: group.table,
    "xyx^-1": _conjugates,
    "xyx": _sandwiches,
}
_SUMS: dict[GroupOperation, str] = {"xy": "a+b", "xyx^-1": "b", "xyx": "2a+b"}
"""The same operations in a cyclic group."""
assert set(_PRODUCTS) == set(_SUMS) == set(get_args(GroupOperation))


def _resolve(group: Table | Group | str, name: str | None) -> Group:
    if isinstance(group, str):
        group = named_group(group)
    if not isinstance(group, Group):
        return Group.from_table(group, name or "group")
    return Group(name, group.table) if name else group


def _frame(group: Group, operands: Tensor, labels: Tensor, op: GroupOperation) -> Frame:
    generators = (group.element_orders == group.order).nonzero().flatten()
    if len(generators):
        basis, elements = fourier_basis(group.order), group.powers(int(generators[0]))
        return build_frame(basis, elements, operands, labels, _SUMS[op])
    return build_frame(irrep_basis(group), torch.arange(group.order), operands, labels, op)
