"""All subgroups of a finite group, and their cosets."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.algebra.groups import Group, generated_by
from mechgrok.errors import TaskError

LARGEST_ORDER = 200
"""S5 takes a second; a group like Z2^7, with tens of thousands of subgroups, would take hours."""

Side = Literal["left", "right"]


@dataclass(frozen=True, eq=False)
class Subgroup:
    """A subgroup of a group.

    Attributes:
        elements: its elements, in ascending order.
        family: number of its conjugacy class, shared by conjugate subgroups.
    """

    group: Group
    elements: Int[Tensor, " size"]
    family: int

    @property
    def order(self) -> int:
        """The number of its elements."""
        return len(self.elements)

    def cosets(self, side: Side) -> Int[Tensor, " order"]:
        """The coset of each group element, represented by its lowest element: xH for "left", Hx for "right".

        >>> from mechgrok.algebra import cyclic_group
        >>> Subgroup(cyclic_group(6), torch.tensor([0, 3]), 0).cosets("left").tolist()
        [0, 1, 2, 0, 1, 2]
        """
        table = self.group.table if side == "left" else self.group.table.T
        return table[:, self.elements].amin(dim=1)

    def __repr__(self) -> str:
        return f"Subgroup(order {self.order} in {self.group.name}, family {self.family})"


@lru_cache(maxsize=8)
def all_subgroups(group: Group) -> tuple[Subgroup, ...]:
    """All subgroups, smallest first, with conjugate ones adjacent.

    Raises:
        TaskError: the group is too large.

    >>> from mechgrok.algebra import symmetric_group
    >>> [subgroup.order for subgroup in all_subgroups(symmetric_group(3))]
    [1, 2, 2, 2, 3, 6]
    """
    if group.order > LARGEST_ORDER:
        raise TaskError(
            f"subgroups are listed for groups of up to {LARGEST_ORDER} elements; {group} is larger"
        )
    families: list[list[tuple[int, ...]]] = []
    known: set[tuple[int, ...]] = set()
    queue: list[tuple[int, ...]] = [(group.identity,)]
    while queue:
        subgroup = queue.pop()
        if subgroup in known:
            continue
        families.append(_conjugates(group, subgroup))
        known.update(families[-1])
        # Extending other members of the family by one element gives conjugates of the extensions of this one.
        others = set(range(group.order)) - set(subgroup)
        queue.extend({generated_by(group, (*subgroup, g)) for g in others})
    families.sort(key=lambda family: (len(family[0]), family[0]))
    return tuple(
        Subgroup(group, torch.tensor(elements), number)
        for number, family in enumerate(families)
        for elements in family
    )


def _conjugates(group: Group, subgroup: tuple[int, ...]) -> list[tuple[int, ...]]:
    conjugates = group.table[group.table[:, list(subgroup)], group.inverses[:, None]].sort(dim=1).values
    return sorted({tuple(row) for row in conjugates.tolist()})
