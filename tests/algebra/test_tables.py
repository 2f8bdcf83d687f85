"""Groups from bare tables, and the constructors of the named families."""

import re

import numpy as np
import pytest
import torch

from mechgrok.algebra import (
    Group,
    alternating_group,
    cyclic_group,
    dihedral_group,
    direct_product,
    named_group,
    symmetric_group,
    units,
    units_group,
)
from mechgrok.errors import TaskError

QUATERNIONS = ["1", "-1", "i", "-i", "j", "-j", "k", "-k"]
NAMED = [
    "Z2",
    "Z12",
    "D3",
    "D4",
    "D5",
    "Q8",
    "Q12",
    "S2",
    "S3",
    "S4",
    "S5",
    "A3",
    "A4",
    "A5",
    "U3",
    "U8",
    "U15",
    "Z2xS3",
]


@pytest.mark.parametrize("name", NAMED)
def test_every_family_is_a_group_by_its_table(name):
    group = named_group(name)
    checked = Group.from_table(group.table, name)
    assert torch.equal(checked.table, group.table)
    elements = torch.arange(group.order)
    assert torch.equal(group.table[elements, group.inverses], torch.full((group.order,), group.identity))
    assert group.order % int(group.element_orders.max()) == 0


@pytest.mark.parametrize("container", [list, np.asarray, torch.tensor])
def test_tables_come_in_any_container(container):
    group = Group.from_table(container([[0, 1, 2], [1, 2, 0], [2, 0, 1]]), "turns")
    assert group.order == 3
    assert group.table.dtype == torch.int64
    assert group.name == "turns"


def test_products_of_permutations_apply_the_first_factor_first():
    from itertools import permutations

    elements = list(permutations(range(4)))
    table = symmetric_group(4).table
    for x in range(0, 24, 5):
        for y in range(24):
            product = tuple(elements[y][elements[x][i]] for i in range(4))
            assert elements[int(table[x, y])] == product


@pytest.mark.parametrize(
    ("group", "classes"),
    [
        (symmetric_group(5), [1, 10, 15, 20, 20, 24, 30]),
        (alternating_group(5), [1, 12, 12, 15, 20]),
        (dihedral_group(59), [1, *[2] * 29, 59]),
        (cyclic_group(6), [1] * 6),
    ],
    ids=repr,
)
def test_conjugacy_classes(group, classes):
    assert sorted(len(members) for members in group.classes) == classes
    for members in group.classes:
        assert len(group.element_orders[members].unique()) == 1
    assert torch.cat(group.classes).sort().values.tolist() == list(range(group.order))


def test_element_orders_and_powers():
    group = dihedral_group(7)
    assert group.element_orders.tolist() == [1, *[7] * 6, *[2] * 7]
    assert group.powers(2).tolist() == [0, 2, 4, 6, 1, 3, 5]
    assert not group.is_abelian
    assert cyclic_group(7).is_abelian


def test_quaternions_multiply_as_i_j_and_k():
    table = named_group("Q8").table
    one, i, minus, j = 0, 1, 2, 4
    k = int(table[i, j])
    assert [int(table[x, x]) for x in (i, j, k)] == [minus] * 3
    assert int(table[j, i]) == int(table[minus, k])
    assert int(table[minus, minus]) == one
    dicyclic = named_group("Q12")
    assert dicyclic.element_orders.bincount().tolist() == [0, 1, 1, 2, 6, 0, 2]


@pytest.mark.parametrize("n", [4, 10, 14])
def test_quaternions_have_a_multiple_of_four_elements(n):
    with pytest.raises(TaskError, match="order of 8, 12, 16"):
        named_group(f"Q{n}")


@pytest.mark.parametrize("n", [3, 8, 15, 21])
def test_units_multiply_mod_n(n):
    residues, table = units(n), units_group(n).table
    for x in range(len(residues)):
        for y in range(len(residues)):
            assert residues[table[x, y]] == residues[x] * residues[y] % n


def test_direct_product_multiplies_componentwise():
    product = direct_product(cyclic_group(4), symmetric_group(3))
    x, y = 2 * 6 + 3, 3 * 6 + 4
    assert int(product.table[x, y]) == ((2 + 3) % 4) * 6 + int(symmetric_group(3).table[3, 4])


def test_generators_generate():
    group = symmetric_group(5)
    reached = {group.identity}
    while True:
        more = {int(group.table[x, g]) for x in reached for g in group.generators} | reached
        if more == reached:
            break
        reached = more
    assert len(reached) == 120
    assert len(group.generators) <= 6


def corrupted(name, x, y, value):
    table = named_group(name).table.clone()
    table[x, y] = value
    return table


@pytest.mark.parametrize(
    "table",
    [
        corrupted("S5", 7, 11, 3),
        corrupted("Z12", 5, 5, 0),
        corrupted("D59", 0, 9, 8),
        corrupted("A5", 59, 1, 0),
    ],
)
def test_a_wrong_entry_is_refused_with_three_elements_that_break_associativity(table):
    with pytest.raises(TaskError, match="not associative") as error:
        Group.from_table(table)
    x, g, z, left, again_x, again_g, again_z, right = map(int, re.findall(r"\d+", str(error.value)))
    assert (x, g, z) == (again_x, again_g, again_z)
    assert int(table[table[x, g], z]) == left
    assert int(table[x, table[g, z]]) == right
    assert left != right


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[0, 1], [1, 2]], r"not closed: 1∘1 = 2.*0\.\.1"),
        ([[0, -1], [1, 0]], r"not closed: 0∘1 = -1"),
        ([[0, 1, 2], [1, 2, 0]], r"square, this one has shape \(2, 3\)"),
        ([[0, 1], [1]], "square array of integers"),
        ([], "square"),
        (torch.zeros(2, 2), "integers; this one float32"),
        ([[0, 0], [1, 1]], "no identity"),  # x∘y = x
        ([[0, 0], [0, 1]], "element 0 has no inverse.*identity 1"),  # multiplication of 0 and 1
    ],
)
def test_what_is_no_group_is_refused_with_the_reason(table, message):
    with pytest.raises(TaskError, match=message):
        Group.from_table(table)


@pytest.mark.parametrize(
    "kind", [torch.uint8, torch.uint16, torch.int32, np.uint16, np.uint64, np.dtype(">i4"), "read-only"]
)
def test_integers_of_any_kind_make_a_table(kind):
    table = torch.tensor([[0, 1], [1, 0]])
    if isinstance(kind, torch.dtype):
        table = table.to(kind)
    else:
        table = table.numpy().astype(np.int64 if kind == "read-only" else kind)
        table.flags.writeable = kind != "read-only"
    assert torch.equal(Group.from_table(table).table, torch.tensor([[0, 1], [1, 0]]))


@pytest.mark.parametrize("name", ["S", "X5", "S5x", "5", "s5", "Z2xB8", ""])
def test_unknown_names_are_refused_with_what_is_allowed(name):
    with pytest.raises(TaskError, match=f"unknown group '{name}'; allowed are S, A, D, Q .quaternions., Z"):
        named_group(name)


@pytest.mark.parametrize("name", ["S7", "S1", "A2", "D2", "Z1", "U2"])
def test_sizes_outside_a_family_are_refused(name):
    with pytest.raises(TaskError, match=name[1:]):
        named_group(name)
