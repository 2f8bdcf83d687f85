"""Groups and bases as plain JSON values, and back: how a stored task records its basis."""

from typing import Any

import torch

from mechgrok.algebra.bases import Basis, FourierBasis, IrrepBasis, fourier_basis, irrep_basis
from mechgrok.algebra.families import named_group
from mechgrok.algebra.groups import Group
from mechgrok.errors import TaskError


def group_spec(group: Group) -> str | list[list[int]]:
    """The name of a group if it determines the group, otherwise its table.

    >>> from mechgrok.algebra import cyclic_group
    >>> group_spec(cyclic_group(3)), group_spec(Group("mine", cyclic_group(2).table))
    ('Z3', [[0, 1], [1, 0]])
    """
    try:
        known = torch.equal(named_group(group.name).table, group.table)
    except TaskError:
        known = False
    return group.name if known else group.table.tolist()


def basis_spec(basis: Basis) -> dict[str, Any]:
    """A specification from which `basis_from_spec` rebuilds a basis; for a user-defined class, only its name.

    >>> basis_spec(fourier_basis(12))
    {'fourier': 12}
    """
    match basis:
        case FourierBasis():
            return {"fourier": basis.order}
        case IrrepBasis():
            return {"irreps": group_spec(basis.group), "group": basis.group.name}
    return {"class": type(basis).__name__}


def basis_from_spec(spec: dict[str, Any]) -> Basis:
    """The basis with the specification written by `basis_spec`.

    Raises:
        TaskError: the basis is of a class that cannot be stored.

    >>> basis_from_spec({"irreps": "S3", "group": "S3"})
    IrrepBasis(S3)
    """
    match spec:
        case {"fourier": int() as order}:
            return fourier_basis(order)
        case {"irreps": str() as name}:
            return irrep_basis(named_group(name))
        case {"irreps": table, "group": name}:
            return irrep_basis(Group.from_table(table, name))
    raise TaskError(
        f"the basis {spec} cannot be rebuilt: a Fourier basis and one of irreps can be stored. Train and load with "
        "the task itself, and analyse with task.in_basis(...)"
    )
