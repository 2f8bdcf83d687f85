"""The usual names of the irreps of well-known groups.

A group may be given as a bare table with its elements in any order, so it is recognised by the orders of its
elements and the sizes of its classes, and its irreps by their characters at some elements. If an automorphism of
the group exchanges irreps, the names depend on the lowest-numbered element of its kind.

    Z_n    the frequency k in 1..n/2, by the character 2 cos(2 pi k/n) at a generator
    D_n    sign; freq_1, freq_2, ... by the rotation; for even n sign_r, -1 at the rotation, and sign_rs
    S_n    sign; standard, the permutation matrices less the trivial irrep; standard_sign; in S5 5d_a and
           5d_b, with characters -1 and +1 at a transposition, and 6d
    A_n    standard; in A5 3d_a, with the golden ratio at a cycle (0 1 2 3 4), 3d_b, and 5d_a
    else   sign, if a single irrep besides the trivial one has dimension 1; otherwise the real dimension,
           with a letter if it occurs more than once: 1d_a, 1d_b, 2d

The names for D_n, S_n and A_n follow Chughtai et al. 2023 (in the released code some have a prefix:
s5_5d_a). S3 = D3 uses the names of S_n.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, factorial, pi, sqrt
from string import ascii_lowercase

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.algebra.families import LARGEST_DEGREE, alternating_group, symmetric_group
from mechgrok.algebra.groups import Group

Label = int | str | tuple[int, ...]
GOLDEN = (1 + sqrt(5)) / 2


@dataclass(frozen=True)
class _Name:
    """A named irrep: its dimension and its character at the reference elements."""

    label: Label
    dim: int
    character: tuple[float | int, ...]


@dataclass(frozen=True)
class _Naming:
    """What is known about a group.

    Attributes:
        references: elements whose characters distinguish the irreps.
        names: the irreps that have a name, in their usual order.
        ascending: irreps without a name are ordered by their character at the references, ascending or
            descending.
    """

    references: tuple[int, ...]
    names: tuple[_Name, ...] = ()
    ascending: bool = False


def name_irreps(group: Group, characters: Float[Tensor, "irreps order"]) -> list[tuple[Label, int]]:
    """Labels of all irreps of a group, each with its place in `characters`, in the order to show them.

    The trivial irrep comes first, then lower dimensions before higher ones; on a cyclic group, frequencies are in
    ascending order.
    """
    naming = _recognise(group)
    entries = [_entry(group, naming, character) for character in characters]
    order = sorted(range(len(entries)), key=lambda i: entries[i][:3])
    labels = [entries[i][3] for i in order]
    return list(zip(_complete(labels, [entries[i][1] for i in order]), order, strict=True))


def _entry(
    group: Group, naming: _Naming, character: Tensor
) -> tuple[int, int, tuple[float | int, ...], Label | None]:
    """Sort key (trivial or not, dimension, rank within it) and the name, or None if it has none."""
    dim = round(character[group.identity].item())
    if bool((character > 1 - 1e-6).all()):
        return 0, dim, (), "trivial"
    at_references = character[list(naming.references)]
    for place, name in enumerate(naming.names):
        if name.dim == dim and (at_references - torch.tensor(name.character)).abs().max() < 1e-6:
            # Frequencies keep their order: for even n the last is the alternating one, of dimension 1.
            return 1, 2 if isinstance(name.label, int) else dim, (0.0, place), name.label
    by_class = torch.stack([character[members[0]] for members in group.classes])
    values = torch.cat([at_references, by_class]).round(decimals=5)
    return 1, dim, (1.0, *(values if naming.ascending else -values).tolist()), None


def _complete(labels: list[Label | None], dims: list[int]) -> Iterator[Label]:
    """The labels; irreps without a name get their dimension, with a letter if needed."""
    if dims.count(1) == 2 and labels.count(None) and labels[1] is None:
        labels = [labels[0], "sign", *labels[2:]]
    repeated = Counter(dim for dim, label in zip(dims, labels, strict=True) if label is None)
    used: defaultdict[int, int] = defaultdict(int)
    for dim, label in zip(dims, labels, strict=True):
        if label is not None:
            yield label
        elif repeated[dim] == 1:
            yield f"{dim}d"
        else:
            letters = (
                ascii_lowercase if repeated[dim] <= len(ascii_lowercase) else range(1, repeated[dim] + 1)
            )
            yield f"{dim}d_{letters[used[dim]]}"
            used[dim] += 1


def _recognise(group: Group) -> _Naming:
    if (generator := _first(group.element_orders == group.order)) is not None:
        return _cyclic(group.order, generator)
    for n in range(3, LARGEST_DEGREE + 1):
        if group.order == factorial(n) and _profile(group) == _profile(symmetric_group(n)):
            return _symmetric(group, n)
        if group.order * 2 == factorial(n) and _profile(group) == _profile(alternating_group(n)):
            return _alternating(group, n)
    return _dihedral(group) or _Naming(references=())


def _cyclic(n: int, generator: int) -> _Naming:
    names = [
        _Name(k, 1 if 2 * k == n else 2, ((1 if 2 * k == n else 2) * cos(2 * pi * k / n),))
        for k in range(1, n // 2 + 1)
    ]
    return _Naming((generator,), tuple(names))


def _symmetric(group: Group, n: int) -> _Naming:
    transposition = _first_of_class(group, order=2, size=n * (n - 1) // 2)
    return _Naming(
        (transposition,),
        (
            _Name("sign", 1, (-1,)),
            _Name("standard", n - 1, (n - 3,)),
            _Name("standard_sign", n - 1, (3 - n,)),
        ),
        ascending=n % 2 == 1,
    )


def _alternating(group: Group, n: int) -> _Naming:
    cycle = _first_of_class(group, order=3, size=4 if n == 4 else n * (n - 1) * (n - 2) // 3)
    standard = _Name("standard", n - 1, (n - 4,))
    if n != 5:
        return _Naming((cycle,), (standard,))
    return _Naming(
        (cycle, _first_of_class(group, order=5, size=12)),
        (
            _Name("3d_a", 3, (0, GOLDEN)),
            _Name("3d_b", 3, (0, 1 - GOLDEN)),
            _Name("standard", 4, (1, -1)),
            _Name("5d_a", 5, (-1, 0)),
        ),
    )


def _dihedral(group: Group) -> _Naming | None:
    n = group.order // 2
    for rotation in (group.element_orders == n).nonzero().flatten().tolist():
        reflections = torch.ones(group.order, dtype=torch.bool)
        reflections[group.powers(rotation)] = False
        if n > 2 and group.order == 2 * n and (group.element_orders[reflections] == 2).all():
            break
    else:
        return None
    frequencies = [_Name(f"freq_{k}", 2, (2 * cos(2 * pi * k / n), 0)) for k in range(1, (n + 1) // 2)]
    signs = [_Name("sign", 1, (1, -1)), _Name("sign_r", 1, (-1, 1)), _Name("sign_rs", 1, (-1, -1))]
    return _Naming((rotation, int(reflections.nonzero()[0])), (*signs, *frequencies))


def _profile(group: Group) -> list[tuple[int, int]]:
    """Order of the elements and size of each conjugacy class."""
    return sorted((int(group.element_orders[members[0]]), len(members)) for members in group.classes)


def _first_of_class(group: Group, order: int, size: int) -> int:
    sizes = torch.bincount(group.class_of)[group.class_of]
    found = _first((group.element_orders == order) & (sizes == size))
    assert found is not None, f"{group} was recognised wrongly"
    return found


def _first(mask: Tensor) -> int | None:
    found = mask.nonzero().flatten()
    return int(found[0]) if len(found) else None
