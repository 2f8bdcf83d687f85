"""Finite groups, given by their multiplication table."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.errors import TaskError


@dataclass(frozen=True, eq=False)
class Group:
    """A finite group on the elements 0..order-1.

    `table[x, y]` is the product x∘y, an int64 tensor of shape [order, order].
    """

    name: str
    table: Int[Tensor, "order order"]

    @property
    def order(self) -> int:
        """The number of elements."""
        return len(self.table)

    @cached_property
    def identity(self) -> int:
        """The neutral element."""
        elements = torch.arange(self.order)
        return int((self.table == elements).all(dim=1).nonzero()[0])

    @cached_property
    def inverses(self) -> Int[Tensor, " order"]:
        """`inverses[x]` is x^-1."""
        return (self.table == self.identity).int().argmax(dim=1)

    def __repr__(self) -> str:
        return f"Group({self.name}, order {self.order})"


def cyclic_group(n: int) -> Group:
    """The integers mod n under addition.

    Args:
        n: the order, at least 2.

    Raises:
        TaskError: n < 2.

    >>> cyclic_group(5).table[3, 4].item()
    2
    """
    if n < 2:
        raise TaskError(f"a cyclic group needs an order of at least 2, got {n}")
    elements = torch.arange(n)
    return Group(f"Z{n}", (elements[:, None] + elements) % n)
