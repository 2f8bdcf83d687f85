"""Finite groups and orthonormal real bases of the functions on them."""

import mechgrok.vector_math  # noqa: F401 - whatever computes comes by here first
from mechgrok.algebra.bases import Basis, Block, FourierBasis, IrrepBasis, fourier_basis, irrep_basis
from mechgrok.algebra.families import (
    alternating_group,
    cyclic_group,
    dihedral_group,
    direct_product,
    named_group,
    quaternion_group,
    symmetric_group,
    units,
    units_group,
)
from mechgrok.algebra.groups import Group
from mechgrok.algebra.irreps import Irrep, real_irreps

__all__ = [
    "Basis",
    "Block",
    "FourierBasis",
    "Group",
    "Irrep",
    "IrrepBasis",
    "alternating_group",
    "cyclic_group",
    "dihedral_group",
    "direct_product",
    "fourier_basis",
    "irrep_basis",
    "named_group",
    "quaternion_group",
    "real_irreps",
    "symmetric_group",
    "units",
    "units_group",
]
