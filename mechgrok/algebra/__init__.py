"""Finite groups and orthonormal real bases of the functions on them."""

from mechgrok.algebra.bases import Basis, Block, FourierBasis, fourier_basis
from mechgrok.algebra.groups import Group, cyclic_group

__all__ = ["Basis", "Block", "FourierBasis", "Group", "cyclic_group", "fourier_basis"]
