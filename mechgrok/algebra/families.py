"""The groups with names: cyclic, dihedral, quaternion, symmetric, alternating, units mod n, and products of these.

All of up to 4096 elements; a `TaskError` refuses larger ones.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import permutations
from math import gcd

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.algebra.groups import Group, check_order
from mechgrok.door import door
from mechgrok.errors import TaskError, shown

LARGEST_DEGREE = 6
"""Largest n of S_n and A_n: the table of S_7 would have 25 million entries."""


@door
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
    check_order(n, f"Z{n}")
    elements = torch.arange(n)
    return Group(f"Z{n}", (elements[:, None] + elements) % n)


@lru_cache(maxsize=16)
def dihedral_group(n: int) -> Group:
    """The symmetries of a regular n-gon, of order 2n: rotations r^0 .. r^(n-1), then reflections r^i s.

    Raises:
        TaskError: n < 3.

    >>> dihedral_group(5).table[6, 1].item()  # (r s) r = s
    5
    """
    if n < 3:
        raise TaskError(f"a dihedral group needs a polygon with at least 3 corners, got {n}")
    check_order(2 * n, f"D{n}")
    turn, flip = torch.arange(2 * n) % n, torch.arange(2 * n) // n
    sign = 1 - 2 * flip
    turns = (turn[:, None] + sign[:, None] * turn) % n
    return Group(f"D{n}", turns + n * (flip[:, None] ^ flip))


@lru_cache(maxsize=16)
def quaternion_group(n: int) -> Group:
    """The generalised quaternions of order n, also called dicyclic: r^0 .. r^(n/2-1), then r^i s, with s^2 = r^(n/4).

    Raises:
        TaskError: n is no multiple of 4, or below 8.

    >>> quaternion_group(8).element_orders.tolist()  # one element of order 2, six of order 4
    [1, 4, 2, 4, 4, 4, 4, 4]
    """
    if n < 8 or n % 4:
        raise TaskError(f"generalised quaternions have an order of 8, 12, 16, ..., got {n}")
    check_order(n, f"Q{n}")
    half = n // 2
    turn, flip = torch.arange(n) % half, torch.arange(n) // half
    sign = 1 - 2 * flip
    turns = (turn[:, None] + sign[:, None] * turn + n // 4 * (flip[:, None] & flip)) % half
    return Group(f"Q{n}", turns + half * (flip[:, None] ^ flip))


@lru_cache(maxsize=8)
def symmetric_group(n: int) -> Group:
    """All permutations of n things, in lexicographic order; x∘y applies x first, then y.

    In array form, with p[i] the image of i, the product is c[i] = y[x[i]], as in Power et al. 2022 and
    Chughtai et al. 2023.

    Raises:
        TaskError: n outside 2..6.

    >>> symmetric_group(3)
    Group(S3, order 6)
    """
    return Group(f"S{n}", _permutation_table(_permutations(n)))


@lru_cache(maxsize=8)
def alternating_group(n: int) -> Group:
    """The even permutations of n things, in lexicographic order; products as in `symmetric_group`.

    Raises:
        TaskError: n outside 3..6.

    >>> alternating_group(5)
    Group(A5, order 60)
    """
    if n < 3:
        raise TaskError(f"an alternating group needs at least 3 things to permute, got {n}")
    everything = _permutations(n)
    pairs = torch.combinations(torch.arange(n))
    inversions = (everything[:, pairs[:, 0]] > everything[:, pairs[:, 1]]).sum(1)
    return Group(f"A{n}", _permutation_table(everything[inversions % 2 == 0]))


@lru_cache(maxsize=16)
def units_group(n: int) -> Group:
    """The residues mod n that have an inverse, under multiplication, in ascending order as in `units`.

    Raises:
        TaskError: n < 3, where 1 is the only unit.

    >>> units_group(8).table.tolist()
    [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
    """
    if n < 3:
        raise TaskError(f"the units mod {n} are 1 alone; a group of units needs n >= 3")
    residues = units(n)
    check_order(len(residues), f"U{n}")
    return Group(f"U{n}", torch.searchsorted(residues, residues[:, None] * residues % n))


def units(n: int) -> Int[Tensor, " units"]:
    """The residues mod n that have an inverse, in ascending order.

    >>> units(8).tolist()
    [1, 3, 5, 7]
    """
    return torch.tensor([u for u in range(n) if gcd(u, n) == 1])


def direct_product(first: Group, second: Group) -> Group:
    """Pairs (x, y) under componentwise products; the pair has the number x * second.order + y.

    >>> direct_product(cyclic_group(2), cyclic_group(3))
    Group(Z2xZ3, order 6)
    """
    name, n = f"{first.name}x{second.name}", second.order
    check_order(first.order * n, name)
    x, y = torch.arange(first.order * n) // n, torch.arange(first.order * n) % n
    return Group(name, first.table[x][:, x] * n + second.table[y][:, y])


FAMILIES: dict[str, Callable[[int], Group]] = {
    "S": symmetric_group,
    "A": alternating_group,
    "D": dihedral_group,
    "Q": quaternion_group,
    "Z": cyclic_group,
    "C": cyclic_group,
    "U": units_group,
}

LETTERS = "".join(FAMILIES)


@door
def named_group(name: str) -> Group:
    """The group with the given name: "S5", "A5", "D59", "Q8", "Z12" (or "C12"), "U15", "Z2xS3".

    Raises:
        TaskError: an unknown form of name, a size that the family does not have, or more than 4096 elements.

    >>> named_group("D4")
    Group(D4, order 8)
    """
    factors = [re.fullmatch(rf"([{LETTERS}])(\d{{1,6}})", part) for part in str(name).split("x")]
    groups = [FAMILIES[match[1]](int(match[2])) for match in factors if match]
    if len(groups) < len(factors):
        raise TaskError(
            f"unknown group {shown(name)}; allowed are S, A, D, Q (quaternions), Z and U (units) with a number, such "
            "as S5, A5, D59, Q8, Z12, U15, and products such as Z2xS3; any other group is given by its multiplication "
            "table"
        )
    product = groups[0]
    for group in groups[1:]:
        product = direct_product(product, group)
    return product


def _permutations(n: int) -> Int[Tensor, "order n"]:
    if not 2 <= n <= LARGEST_DEGREE:
        raise TaskError(f"permutations of 2..{LARGEST_DEGREE} things are supported, got {n}")
    return torch.tensor(list(permutations(range(n))))


def _permutation_table(elements: Int[Tensor, "order n"]) -> Int[Tensor, "order order"]:
    n = elements.shape[1]
    digits = n ** torch.arange(n - 1, -1, -1)
    products = elements[:, elements].transpose(0, 1)
    return torch.searchsorted((elements * digits).sum(-1), (products * digits).sum(-1))
