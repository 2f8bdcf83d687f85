"""Functions of n bits as sums of products of signs: the Walsh basis."""

from functools import cached_property, lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.algebra.bases import Basis, Block
from mechgrok.algebra.families import named_group
from mechgrok.algebra.groups import MOST_ELEMENTS
from mechgrok.algebra.irrep_names import Label
from mechgrok.door import door
from mechgrok.errors import ConfigError, shown


class WalshBasis(Basis):
    """The Walsh functions on Z_2^n, orthonormal, through the fast Walsh-Hadamard transform.

    Element number x has the bits of its binary form, the first bit being the highest. The function of a subset S
    of the bits is (-1)^(sum of the bits in S), scaled to norm 1; its label is the tuple of the positions in S.
    Every block is a single function; the trivial block is the empty subset. The transform is its own inverse.

    Raises:
        ConfigError: n is not an integer from 1 to 12.

    >>> basis = WalshBasis(3)
    >>> basis.labels
    ((2,), (1,), (1, 2), (0,), (0, 2), (0, 1), (0, 1, 2))
    >>> basis.character((0, 1)).sign().int().tolist()
    [1, 1, -1, -1, -1, -1, 1, 1]
    """

    def __init__(self, n: int) -> None:
        most = MOST_ELEMENTS.bit_length() - 1
        if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= most:
            raise ConfigError(f"the functions of n bits have a basis for n from 1 to {most}; got {shown(n)}")
        self.n_bits = n
        blocks = tuple(Block(subset_of(mask, n), mask, ("sign",)) for mask in range(2**n))
        super().__init__(named_group("x".join(["Z2"] * n)), blocks, what="subset")

    @cached_property
    def matrix(self) -> Float[Tensor, "row order"]:
        return self.transform(torch.eye(self.order, dtype=torch.float64), dim=0)

    @cached_property
    def quotients(self) -> Int[Tensor, "order order"]:
        elements = torch.arange(self.order)
        return elements[:, None] ^ elements

    def character(self, label: Label) -> Float[Tensor, " order"]:
        return self.matrix[self.block(label).start]

    def transform(self, x: Tensor, dim: int) -> Tensor:
        self._check(x, dim)
        out = x.movedim(dim, 0).unflatten(0, (2,) * self.n_bits)
        for bit in range(self.n_bits):
            zero, one = out.unbind(bit)
            out = torch.stack([zero + one, zero - one], dim=bit)
        return (out.flatten(0, self.n_bits - 1) * self.order**-0.5).movedim(0, dim)

    def inverse(self, coefficients: Tensor, dim: int) -> Tensor:
        return self.transform(coefficients, dim)

    def _allowed(self) -> str:
        return f"tuples of ascending places in 0..{self.n_bits - 1}, such as {self.labels[-1]}"


def subset_of(mask: int, n: int) -> tuple[int, ...]:
    """The positions of the set bits in an n-bit number, highest first.

    >>> subset_of(0b1010, 4)
    (0, 2)
    """
    return tuple(place for place in range(n) if mask >> (n - 1 - place) & 1)


@door
def walsh_basis(n: int) -> WalshBasis:
    """The Walsh basis of n bits; one object per n."""
    return _walsh_basis(n)


_walsh_basis = lru_cache(maxsize=16)(WalshBasis)
