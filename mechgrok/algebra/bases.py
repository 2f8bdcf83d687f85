"""Orthonormal real bases of the functions on a finite group, in labelled blocks.

A block is a set of rows that belong together because the group mixes only these rows: the cosine and the sine of
one frequency on a cyclic group, the matrix entries of one irreducible representation in general. Analyses use
only the interface `Basis`; a cyclic group has a fast path through the FFT.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.algebra.families import cyclic_group
from mechgrok.algebra.groups import Group, check_order
from mechgrok.algebra.irrep_names import Label
from mechgrok.algebra.irreps import Irrep, real_irreps
from mechgrok.door import door
from mechgrok.errors import ConfigError, shown

COMPONENTS = ("cos", "sin", "both")
"""Components accepted by every basis; if it has no cosines and sines, these select no rows."""


@dataclass(frozen=True)
class Block:
    """Some rows of a basis under one label.

    `components` names the individual rows: ("cos", "sin"), or ("cos",) for a block of a single row.
    """

    label: Label
    start: int
    components: tuple[str, ...]

    @property
    def rows(self) -> slice:
        """The rows of the block in the basis."""
        return slice(self.start, self.start + len(self.components))

    def __len__(self) -> int:
        return len(self.components)


class Basis(ABC):
    """An orthonormal real basis of the functions on a group; rows are basis functions.

    The first block is the constant function and is called *trivial*: it is not a frequency, is never a key, and
    is left out of `labels`.
    """

    def __init__(self, group: Group, blocks: tuple[Block, ...], what: str) -> None:
        self.group = group
        self.blocks = blocks
        self.what = what
        """What a label is called in tables and messages: "frequency", "irrep" or "subset"."""
        self._by_label = {block.label: block for block in blocks}

    @property
    def order(self) -> int:
        """The number of group elements, which is the number of rows."""
        return self.group.order

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of the non-trivial blocks."""
        return tuple(block.label for block in self.blocks[1:])

    @property
    def components(self) -> tuple[str, ...]:
        """The names that rows have within their blocks."""
        return tuple(dict.fromkeys(name for block in self.blocks for name in block.components))

    @property
    @abstractmethod
    def matrix(self) -> Float[Tensor, "row order"]:
        """The basis functions as rows, in float64."""

    @abstractmethod
    def character(self, label: Label) -> Float[Tensor, " order"]:
        """The character of a block as a function on the group, scaled to unit norm, in float64."""

    def transform(self, x: Tensor, dim: int) -> Tensor:
        """Coefficients of x along `dim`, whose length must be the order of the group; same shape as x."""
        return self._contract(self.matrix, x, dim)

    def inverse(self, coefficients: Tensor, dim: int) -> Tensor:
        """The functions with the given coefficients along `dim`: undoes `transform`."""
        return self._contract(self.matrix.T, coefficients, dim)

    def block(self, label: Label) -> Block:
        """The non-trivial block with this label.

        Raises:
            ConfigError: no block has this label; the text lists the existing ones.
        """
        found = self._by_label.get(label) if isinstance(label, Hashable) else None
        if found is None or found is self.blocks[0]:
            article = "an" if self.what[0] in "aeiou" else "a"
            raise ConfigError(
                f"{shown(label)} is not {article} {self.what} of {self.group.name}; allowed: {self._allowed()}"
            )
        return found

    def check_labels(self, labels: Iterable[Label]) -> tuple[Label, ...]:
        """The labels in the order of the basis and without repetition.

        Raises:
            ConfigError: one of them does not name a block.
        """
        if isinstance(labels, str) or not isinstance(labels, Iterable):
            raise ConfigError(f"labels are a list, also of one {self.what}: [{shown(labels)}]")
        plain: list[Any] = list(labels)
        plain = [label.item() if getattr(label, "ndim", None) == 0 else label for label in plain]
        if any(not isinstance(label, Hashable) or isinstance(label, Tensor) for label in plain):
            raise ConfigError(f"labels are a list of one {self.what} or several; got {shown(labels)}")
        wanted = {self.block(label).label for label in plain}
        return tuple(label for label in self.labels if label in wanted)

    def rows_of(self, labels: Iterable[Label], component: str = "both") -> list[int]:
        """Row numbers of the blocks with the given labels, in order.

        Args:
            component: "both" for whole blocks, or the name of single rows: "cos" and "sin" for frequencies, the
                matrix entries "11", "12", ... for irreps.

        Raises:
            ConfigError: an unknown label, or a component that no block of the basis has. "cos" and "sin" are
                always accepted, and select no rows in a basis without them.
        """
        if component not in (*self.components, *COMPONENTS):
            raise ConfigError(
                f"component must be one of {', '.join(self.components)}, both; got {shown(component)}"
            )
        return [
            block.start + offset
            for block in map(self.block, self.check_labels(labels))
            for offset, name in enumerate(block.components)
            if component in (name, "both")
        ]

    def power(self, x: Tensor, dim: int) -> Tensor:
        """Squared norm of x in each block along `dim`; that axis then indexes blocks, the trivial one first."""
        squares = self.transform(x, dim).square().movedim(dim, 0)
        sums = squares.new_zeros(len(self.blocks), *squares.shape[1:])
        return sums.index_add_(0, self._block_of_row, squares).movedim(0, dim)

    def project(self, x: Tensor, labels: Iterable[Label], dim: int, component: str = "both") -> Tensor:
        """The part of x that lies in the given blocks along `dim`; same shape as x."""
        rows = torch.tensor(self.rows_of(labels, component), dtype=torch.long)
        mask = torch.zeros(self.order, dtype=x.dtype).index_fill_(0, rows, 1)
        shape = [1] * x.ndim
        shape[dim] = self.order
        return self.inverse(self.transform(x, dim) * mask.view(shape), dim)

    @cached_property
    def quotients(self) -> Int[Tensor, "order order"]:
        """The table of s∘c^-1 for all elements s and c."""
        return self.group.table[:, self.group.inverses]

    @cached_property
    def _block_of_row(self) -> Tensor:
        return torch.tensor([i for i, block in enumerate(self.blocks) for _ in range(len(block))])

    def _contract(self, matrix: Tensor, x: Tensor, dim: int) -> Tensor:
        self._check(x, dim)
        return torch.tensordot(matrix.to(x.dtype), x.movedim(dim, 0), dims=1).movedim(0, dim)

    def _check(self, x: Tensor, dim: int) -> None:
        if not x.is_floating_point():
            raise ConfigError(f"a function on {self.group.name} must be a tensor of floats, got {x.dtype}")
        if x.shape[dim] != self.order:
            raise ConfigError(
                f"axis {dim} of a tensor of shape {tuple(x.shape)} must have length {self.order}, "
                f"the order of {self.group.name}"
            )

    def _allowed(self) -> str:
        return ", ".join(map(str, self.labels))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.group.name})"


class FourierBasis(Basis):
    """Cosines and sines on Z_n, orthonormal, through the FFT.

    Rows: constant, cos 1, sin 1, cos 2, sin 2, ..., with w_k = 2 pi k / n. The frequencies k and n-k are the
    same. For even n the last block, n/2, is the single row cos(pi x), the alternating function.

    >>> basis = FourierBasis(6)
    >>> basis.labels
    (1, 2, 3)
    >>> [block.components for block in basis.blocks]
    [('cos',), ('cos', 'sin'), ('cos', 'sin'), ('cos',)]
    """

    def __init__(self, n: int) -> None:
        pairs = [Block(k, 2 * k - 1, ("cos", "sin")) for k in range(1, (n + 1) // 2)]
        alternating = [Block(n // 2, n - 1, ("cos",))] if n % 2 == 0 else []
        super().__init__(cyclic_group(n), (Block(0, 0, ("cos",)), *pairs, *alternating), what="frequency")

    @cached_property
    def matrix(self) -> Float[Tensor, "row order"]:
        return self.transform(torch.eye(self.order, dtype=torch.float64), dim=0)

    def character(self, label: Label) -> Float[Tensor, " order"]:
        return self.matrix[self.block(label).start]

    def transform(self, x: Tensor, dim: int) -> Tensor:
        self._check(x, dim)
        spectrum = torch.fft.rfft(x.movedim(dim, 0), dim=0, norm="ortho")
        # Under norm="ortho" a real frequency pair carries half of its energy in the bin k and half in
        # the bin n-k that rfft leaves out, hence the factor sqrt(2); constant and alternating have no twin.
        out = torch.empty_like(x.movedim(dim, 0))
        pairs = (self.order - 1) // 2
        out[0] = spectrum[0].real
        out[1 : 2 * pairs + 1 : 2] = spectrum[1 : pairs + 1].real * math.sqrt(2)
        out[2 : 2 * pairs + 2 : 2] = spectrum[1 : pairs + 1].imag * -math.sqrt(2)
        if self.order % 2 == 0:
            out[-1] = spectrum[-1].real
        return out.movedim(0, dim)

    def power(self, x: Tensor, dim: int) -> Tensor:
        self._check(x, dim)
        spectrum = torch.view_as_real(torch.fft.rfft(x.movedim(dim, -1), norm="ortho"))
        power = spectrum.square_().sum(-1)
        power[..., 1 : (self.order + 1) // 2] *= 2  # the bins n-k, which rfft leaves out
        return power.movedim(-1, dim)

    def inverse(self, coefficients: Tensor, dim: int) -> Tensor:
        self._check(coefficients, dim)
        rows = coefficients.movedim(dim, 0)
        pairs = (self.order - 1) // 2
        cos, sin = rows[1 : 2 * pairs + 1 : 2], rows[2 : 2 * pairs + 2 : 2]
        bins = [rows[:1] + 0j, torch.complex(cos, -sin) / math.sqrt(2)]
        if self.order % 2 == 0:
            bins.append(rows[-1:] + 0j)
        return torch.fft.irfft(torch.cat(bins), n=self.order, dim=0, norm="ortho").movedim(0, dim)

    def _allowed(self) -> str:
        return f"1..{self.order // 2}"


@door
@lru_cache(maxsize=64)
def fourier_basis(n: int) -> FourierBasis:
    """The Fourier basis of Z_n; one object per n.

    Raises:
        TaskError: n is too large.
    """
    check_order(n, f"Z{n}")
    return FourierBasis(n)


class IrrepBasis(Basis):
    """The matrix entries of all real irreps of any finite group, orthonormal.

    The rows of a block are the independent entries of one irrep, d^2 of them if it is of real type, named by row
    and column: "11", "12", .... On a cyclic group the blocks span the same functions as those of `FourierBasis`,
    under the same labels.

    Raises:
        TaskError: the table does not define a group.

    >>> from mechgrok.algebra import symmetric_group
    >>> basis = IrrepBasis(symmetric_group(3))
    >>> basis.labels, [len(block) for block in basis.blocks]
    (('sign', 'standard'), [1, 1, 4])
    """

    def __init__(self, group: Group) -> None:
        self.irreps = real_irreps(group)
        blocks, start = [], 0
        for irrep in self.irreps:
            blocks.append(Block(irrep.label, start, irrep.components))
            start += len(irrep.components)
        super().__init__(group, tuple(blocks), what="irrep")
        self._matrix = torch.cat([irrep.functions for irrep in self.irreps])

    @property
    def matrix(self) -> Float[Tensor, "row order"]:
        return self._matrix

    def irrep(self, label: Label) -> Irrep:
        """The irrep behind a block.

        Raises:
            ConfigError: there is no non-trivial irrep with this label.
        """
        return self.irreps[self.blocks.index(self.block(label))]

    def character(self, label: Label) -> Float[Tensor, " order"]:
        character = self.irrep(label).character
        return character / character.norm()


@lru_cache(maxsize=16)
def irrep_basis(group: Group) -> IrrepBasis:
    """The irrep basis of a group; one object per `Group` object."""
    return IrrepBasis(group)
