"""All real irreducible representations of a finite group, from its multiplication table alone.

The group acts on the functions on itself. A random symmetric matrix that commutes with this action has, with
probability one, eigenspaces that the group mixes within but not among each other: irreducible
representations, every one of them at least once. The result is verified, so chance affects the running time,
never the correctness.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.algebra.groups import Group
from mechgrok.algebra.irrep_names import Label, name_irreps
from mechgrok.door import door
from mechgrok.errors import TaskError

IrrepType = Literal["real", "complex", "quaternionic"]
_TYPE: dict[int, IrrepType] = {1: "real", 2: "complex", 4: "quaternionic"}
"""Type by the dimension of the algebra of matrices that commute with the representation."""

TOLERANCE = 1e-8
"""Largest error of a product of two matrices, or of an inner product of two basis functions."""
GAP = 1e-9
"""Eigenvalues closer than this fraction of the largest count as equal."""
ATTEMPTS = 8


@dataclass(frozen=True, eq=False)
class Irrep:
    """A real irreducible representation in orthogonal matrices: matrices[x] @ matrices[y] = matrices[x∘y].

    Attributes:
        label: its name, see `mechgrok.algebra.irrep_names`.
        matrices: [order, dim, dim], in float64.
        kind: "real"; "complex", the real form of two conjugate complex irreps, which has twice their
            dimension; "quaternionic", the real form of one complex irrep, twice.
    """

    label: Label
    matrices: Float[Tensor, "order dim dim"]
    kind: IrrepType

    @property
    def dim(self) -> int:
        """The real dimension."""
        return self.matrices.shape[1]

    @cached_property
    def character(self) -> Float[Tensor, " order"]:
        """The trace of each matrix."""
        return self.matrices.diagonal(dim1=1, dim2=2).sum(1)

    @property
    def columns(self) -> range:
        """Columns with the independent entries; the other columns repeat them with changed signs."""
        repeats = {"real": 1, "complex": 2, "quaternionic": 4}[self.kind]
        return range(0, self.dim, repeats)

    @property
    def components(self) -> tuple[str, ...]:
        """Row and column, from 1, of each matrix entry in `functions`: "11", "12", ..., from 10 on "10,3"."""
        comma = "," if self.dim > 9 else ""
        return tuple(f"{i + 1}{comma}{j + 1}" for i in range(self.dim) for j in self.columns)

    @cached_property
    def functions(self) -> Float[Tensor, "row order"]:
        """The independent matrix entries as functions on the group, orthonormal."""
        entries = self.matrices[:, :, list(self.columns)].flatten(1).T
        return entries * (self.dim / len(self.matrices)) ** 0.5

    def __repr__(self) -> str:
        return f"Irrep({self.label!r}, dim {self.dim}, {self.kind})"


@door
def real_irreps(group: Group) -> tuple[Irrep, ...]:
    """All real irreps of a group, the trivial one first.

    Together their matrix entries, `Irrep.functions`, form an orthonormal basis of the functions on the group.
    Within an irrep the matrices are determined up to a rotation of its space, which is random but always the
    same.

    Raises:
        TaskError: verification failed, as it does for a table that does not define a group.

    >>> from mechgrok.algebra.families import symmetric_group
    >>> [(irrep.label, irrep.dim) for irrep in real_irreps(symmetric_group(4))]
    [('trivial', 1), ('sign', 1), ('2d', 2), ('standard', 3), ('standard_sign', 3)]
    """
    for seed in range(ATTEMPTS):
        found = list(_decompose(group, seed))
        if _is_complete(group, found):
            characters = torch.stack([matrices.diagonal(dim1=1, dim2=2).sum(1) for matrices, _ in found])
            return tuple(Irrep(label, *found[i]) for label, i in name_irreps(group, characters))
    raise TaskError(
        f"the irreps of {group} could not be computed; is its table that of a group? "
        "Group.from_table(table) checks"
    )


def homomorphism_error(group: Group, matrices: Float[Tensor, "order dim dim"]) -> float:
    """Largest entry of matrices[x] @ matrices[y] - matrices[x∘y] over all x and y."""
    errors = [(matrices[x] @ matrices - matrices[group.table[x]]).abs().max() for x in range(group.order)]
    return torch.stack(errors).max().item()


def _decompose(group: Group, seed: int) -> Iterator[tuple[Tensor, IrrepType]]:
    """One representation from each isomorphism class among the eigenspaces."""
    quotients = group.table[group.inverses]  # [x, y] -> x^-1∘y
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(group.order, generator=generator, dtype=torch.float64)
    values, vectors = torch.linalg.eigh((weights + weights[group.inverses])[quotients])
    breaks = (values.diff() > GAP * values.abs().max()).nonzero().squeeze(1) + 1
    seen = torch.zeros(0, group.order, dtype=torch.float64)
    for space in torch.tensor_split(vectors, breaks.tolist(), dim=1):
        character = _character(group, space)
        # Characters of different irreps are orthogonal; the squared norm of one is at least the order.
        if ((seen @ character) > group.order / 2).any():
            continue
        seen = torch.cat([seen, character[None]])
        matrices = torch.einsum("xi,gxj->gij", space, space[quotients])
        kind = _TYPE.get(round((character.square().sum() / group.order).item()))
        if kind is not None:
            yield _with_separate_columns(matrices, kind, generator), kind


def _character(group: Group, space: Float[Tensor, "order dim"]) -> Float[Tensor, " order"]:
    """Trace of each group element on a subspace of the functions on the group."""
    row = space @ space[group.identity]
    sums = torch.zeros(len(group.classes), dtype=row.dtype).index_add_(0, group.class_of, row)
    sizes = torch.bincount(group.class_of)
    return group.order * (sums / sizes)[group.class_of][group.inverses]


def _with_separate_columns(matrices: Tensor, kind: IrrepType, generator: torch.Generator) -> Tensor:
    """The representation in a basis v, Jv, w, Jw, ... (v, Jv, Kv, JKv, ... if it is quaternionic).

    J and K commute with all matrices. In such a basis the entries in the columns v, w, ... are orthogonal to
    each other as functions on the group, and the entries in the other columns repeat them.
    """
    if kind == "real":
        return matrices
    units = [_random_unit(matrices, [], generator)]
    if kind == "quaternionic":
        units.append(_random_unit(matrices, units, generator))
        units.append(units[0] @ units[1])
    dim = matrices.shape[1]
    basis = torch.zeros(dim, 0, dtype=matrices.dtype)
    for unit_vector in torch.eye(dim, dtype=matrices.dtype):
        rest = unit_vector - basis @ (basis.T @ unit_vector)
        if basis.shape[1] < dim and rest.norm() > 0.5 / dim:
            v = rest / rest.norm()
            basis = torch.cat([basis, torch.stack([v, *(unit @ v for unit in units)], dim=1)], dim=1)
    return basis.T @ matrices @ basis


def _random_unit(matrices: Tensor, others: list[Tensor], generator: torch.Generator) -> Tensor:
    """A matrix J with J @ J = -1 that commutes with the representation, orthogonal to the others."""
    dim = matrices.shape[1]
    x = torch.randn(dim, dim, generator=generator, dtype=matrices.dtype)
    skew = (matrices @ (x - x.T) @ matrices.mT).mean(dim=0)
    for other in others:
        skew = skew - other * (skew * other).sum() / dim
    return skew * (dim**0.5 / skew.norm())


def _is_complete(group: Group, found: list[tuple[Tensor, IrrepType]]) -> bool:
    """Whether all are homomorphisms and their entries form an orthonormal basis of the functions on the group."""
    irreps = [Irrep("", matrices, kind) for matrices, kind in found]
    if sum(len(irrep.functions) for irrep in irreps) != group.order:
        return False
    functions = torch.cat([irrep.functions for irrep in irreps])
    gram = functions @ functions.T - torch.eye(group.order, dtype=functions.dtype)
    # A map that respects products with generators respects all products.
    errors = [
        (irrep.matrices[g] @ irrep.matrices - irrep.matrices[group.table[g]]).abs().max()
        for irrep in irreps
        for g in group.generators
    ]
    return bool(max([gram.abs().max(), *errors]) < TOLERANCE)
