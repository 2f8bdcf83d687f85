"""Finite groups, given by their multiplication table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mechgrok.errors import TaskError
from mechgrok.readable import Readable

Table = Tensor | np.ndarray | Sequence[Sequence[int]]

MOST_ELEMENTS = 4096
"""The largest order: the table of a group, and the tasks on it, hold all order^2 pairs of elements."""


@dataclass(frozen=True, eq=False)
class Group(Readable):
    """A finite group on the elements 0..order-1.

    `table[x, y]` is the product x∘y, an int64 tensor of shape [order, order]. `Group(name, table)` trusts
    the table; `Group.from_table` checks it.
    """

    name: str
    table: Int[Tensor, "order order"]

    @classmethod
    def from_table(cls, table: Table, name: str = "group") -> "Group":
        """The group with this multiplication table, after checking that it is one.

        Args:
            table: [order, order] integers; row x, column y holds x∘y.

        Raises:
            TaskError: the table is not square, contains numbers outside 0..order-1, is not associative (the
                text names three elements), has no identity, an element without an inverse, or more than 4096
                elements.

        >>> Group.from_table([[0, 1], [1, 0]], name="flip")
        Group(flip, order 2)
        """
        checked = _as_square(table)
        _check_associative(checked)
        _check_identity_and_inverses(checked)
        return cls(name, checked)

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

    @cached_property
    def is_abelian(self) -> bool:
        """Whether x∘y = y∘x for all elements."""
        return torch.equal(self.table, self.table.T)

    @cached_property
    def element_orders(self) -> Int[Tensor, " order"]:
        """`element_orders[x]` is the smallest m >= 1 with x^m = 1."""
        elements = torch.arange(self.order)
        power, orders = elements, torch.ones_like(elements)
        while (unfinished := power != self.identity).any():
            orders += unfinished
            power = torch.where(unfinished, self.table[power, elements], power)
        return orders

    @cached_property
    def class_of(self) -> Int[Tensor, " order"]:
        """The conjugacy class of each element; classes are numbered by their lowest element."""
        conjugates = self.table[self.table, self.inverses[:, None]]
        return conjugates.amin(dim=0).unique(return_inverse=True)[1]

    @cached_property
    def classes(self) -> tuple[Int[Tensor, " size"], ...]:
        """The elements of each conjugacy class, in ascending order."""
        return tuple((self.class_of == c).nonzero().squeeze(1) for c in range(int(self.class_of.max()) + 1))

    @cached_property
    def generators(self) -> tuple[int, ...]:
        """A few elements whose products reach all others; at most log2(order) of them."""
        return tuple(g for g in _generating_set(self.table) if g != self.identity)

    def powers(self, x: int) -> Int[Tensor, " exponent"]:
        """x^0, x^1, ... up to the last power before they repeat."""
        out = [self.identity]
        while (following := int(self.table[out[-1], x])) != self.identity:
            out.append(following)
        return torch.tensor(out)

    def __repr__(self) -> str:
        return f"Group({self.name}, order {self.order})"


def check_order(order: int, name: str) -> None:
    """Refuse a group that is too large before its table takes up memory.

    Raises:
        TaskError: it has more than 4096 elements.
    """
    if order > MOST_ELEMENTS:
        raise TaskError(
            f"{name} has {order:,} elements; a group may have {MOST_ELEMENTS:,}, since its table and the tasks on it "
            "hold all pairs of elements"
        )


def generated_by(group: Group, elements: Iterable[int]) -> tuple[int, ...]:
    """The subgroup that some elements generate, in ascending order.

    >>> generated_by(Group.from_table([[0, 1], [1, 0]]), [1])
    (0, 1)
    """
    reached = torch.zeros(group.order, dtype=torch.bool)
    reached[list(elements)] = True
    return tuple(_closure(group.table, reached).nonzero().flatten().tolist())


def _as_square(table: Table) -> Int[Tensor, "order order"]:
    try:
        array = table.numpy(force=True) if isinstance(table, Tensor) else np.asarray(table)
    except (TypeError, ValueError) as error:
        raise TaskError(
            f"a multiplication table is a square array of integers; this is none: {error}"
        ) from None
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not len(array):
        raise TaskError(f"a multiplication table is square, this one has shape {tuple(array.shape)}")
    if array.dtype.kind not in "iu":
        raise TaskError(f"a multiplication table holds element numbers, integers; this one {array.dtype}")
    order = len(array)
    check_order(order, "the group of this table")
    outside = (array < 0) | (array >= order)
    if outside.any():
        x, y = np.argwhere(outside)[0].tolist()
        raise TaskError(
            f"the table of order {order} is not closed: {x}∘{y} = {int(array[x, y])}, "
            f"which is no element; elements are numbered 0..{order - 1}"
        )
    return torch.from_numpy(array.astype(np.int64))


def _check_associative(table: Tensor) -> None:
    """Light's test: (x∘g)∘z = x∘(g∘z) for generators g and all x, z implies it for all triples."""
    for g in _generating_set(table):
        left, right = table[table[:, g]], table[:, table[g]]
        if not torch.equal(left, right):
            x, z = (left != right).nonzero()[0].tolist()
            raise TaskError(
                f"the table is not associative: ({x}∘{g})∘{z} = {int(left[x, z])}, "
                f"but {x}∘({g}∘{z}) = {int(right[x, z])}; so it is not the table of a group"
            )


def _check_identity_and_inverses(table: Tensor) -> None:
    elements = torch.arange(len(table))
    neutral = (table == elements).all(dim=1) & (table == elements[:, None]).all(dim=0)
    if not neutral.any():
        raise TaskError("the table has no identity: no element e has e∘x = x∘e = x for all x")
    without = ~(table == int(neutral.nonzero()[0])).any(dim=1)
    if without.any():
        raise TaskError(
            f"element {int(without.nonzero()[0])} has no inverse: the identity {int(neutral.nonzero()[0])} "
            "does not occur in its row of the table"
        )


def _generating_set(table: Tensor) -> list[int]:
    reached = torch.zeros(len(table), dtype=torch.bool)
    generators = []
    while not reached.all():
        generators.append(int((~reached).nonzero()[0]))
        reached[generators[-1]] = True
        reached = _closure(table, reached)
    return generators


def _closure(table: Tensor, reached: Bool[Tensor, " order"]) -> Bool[Tensor, " order"]:
    """All elements that products of the reached elements reach."""
    while True:
        members = reached.nonzero().squeeze(1)
        larger = reached.clone()
        larger[table[members][:, members].flatten()] = True
        if torch.equal(larger, reached):
            return reached
        reached = larger
