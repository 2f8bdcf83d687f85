"""Real irreps of all kinds of groups, some known only by their table."""

from itertools import permutations

import pytest
import torch

from mechgrok.algebra import (
    FourierBasis,
    Group,
    IrrepBasis,
    cyclic_group,
    direct_product,
    named_group,
    real_irreps,
    symmetric_group,
)
from mechgrok.algebra.irreps import homomorphism_error
from mechgrok.errors import ConfigError, TaskError

GOLDEN = (1 + 5**0.5) / 2


def quaternions() -> Group:
    """The quaternion group as a bare table, from the multiplication of 1, i, j, k with signs."""
    units = {(0, u): (0, u) for u in range(4)} | {(u, 0): (0, u) for u in range(4)}
    units |= {(u, u): (1, 0) for u in range(1, 4)}
    for u, v, w in [(1, 2, 3), (2, 3, 1), (3, 1, 2)]:
        units[u, v], units[v, u] = (0, w), (1, w)
    elements = [(sign, unit) for unit in range(4) for sign in range(2)]
    table = [
        [elements.index(((s + t + units[u, v][0]) % 2, units[u, v][1])) for t, v in elements]
        for s, u in elements
    ]
    return Group.from_table(table, "Q8")


def shuffled(group: Group, seed: int) -> Group:
    """The same group with its elements in another order, and without its name."""
    order = torch.randperm(group.order, generator=torch.Generator().manual_seed(seed))
    place = order.argsort()
    return Group.from_table(place[group.table[order][:, order]], "bare")


GROUPS = {
    "S5": (named_group("S5"), [1, 1, 4, 4, 5, 5, 6]),
    "A5": (named_group("A5"), [1, 3, 3, 4, 5]),
    "S4": (named_group("S4"), [1, 1, 2, 3, 3]),
    "S3": (named_group("S3"), [1, 1, 2]),
    "D59": (named_group("D59"), [1, 1] + [2] * 29),
    "D4": (named_group("D4"), [1, 1, 1, 1, 2]),
    "C12": (named_group("C12"), [1, 2, 2, 2, 2, 2, 1]),
    "Z2": (named_group("Z2"), [1, 1]),
    "A4": (named_group("A4"), [1, 2, 3]),
    "U15": (named_group("U15"), [1, 1, 1, 1, 2, 2]),
    "Q8": (quaternions(), [1, 1, 1, 1, 4]),
    "named Q8": (named_group("Q8"), [1, 1, 1, 1, 4]),
    "Q12": (named_group("Q12"), [1, 1, 2, 2, 4]),
    # Quaternionic type of two complex dimensions times a complex character: complex type.
    "Q8xZ3": (direct_product(quaternions(), cyclic_group(3)), [1, 1, 1, 1, 2, 2, 2, 2, 4, 4]),
    "Z2xA5": (named_group("Z2xA5"), [1, 1, 3, 3, 3, 3, 4, 4, 5, 5]),
    "bare S4": (shuffled(named_group("S4"), 3), [1, 1, 2, 3, 3]),
    "A6": (named_group("A6"), [1, 5, 5, 8, 8, 9, 10]),
}


@pytest.mark.parametrize(("group", "dims"), GROUPS.values(), ids=GROUPS)
def test_irreps_are_orthogonal_homomorphisms_of_the_right_dimensions(group, dims):
    irreps = real_irreps(group)
    assert [irrep.dim for irrep in irreps] == dims
    for irrep in irreps:
        assert homomorphism_error(group, irrep.matrices) < 1e-8
        identity = torch.eye(irrep.dim, dtype=torch.float64)
        assert (irrep.matrices @ irrep.matrices.mT - identity).abs().max() < 1e-8


@pytest.mark.parametrize(("group", "dims"), GROUPS.values(), ids=GROUPS)
def test_matrix_entries_tile_the_functions_on_the_group(group, dims):
    basis = IrrepBasis(group)
    assert basis.matrix.shape == (group.order, group.order)
    identity = torch.eye(group.order, dtype=torch.float64)
    assert (basis.matrix @ basis.matrix.T - identity).abs().max() < 1e-8
    assert (basis.matrix[0] - group.order**-0.5).abs().max() < 1e-12
    assert sum(len(block) for block in basis.blocks) == group.order


@pytest.mark.parametrize(("group", "dims"), GROUPS.values(), ids=GROUPS)
def test_characters_are_class_functions_and_orthogonal(group, dims):
    irreps = real_irreps(group)
    characters = torch.stack([irrep.character for irrep in irreps])
    norm = {"real": 1, "complex": 2, "quaternionic": 4}
    expected = torch.diag(torch.tensor([norm[irrep.kind] for irrep in irreps]).double())
    assert (characters @ characters.T / group.order - expected).abs().max() < 1e-8
    for members in group.classes:
        assert (characters[:, members] - characters[:, members[:1]]).abs().max() < 1e-8
    # Complex and real irreps together are as many as there are classes.
    assert sum(2 if irrep.kind == "complex" else 1 for irrep in irreps) == len(group.classes)


def test_types():
    kinds = {irrep.label: irrep.kind for irrep in real_irreps(quaternions())}
    assert kinds == {"trivial": "real", "1d_a": "real", "1d_b": "real", "1d_c": "real", "4d": "quaternionic"}
    assert {irrep.kind for irrep in real_irreps(cyclic_group(5))[1:]} == {"complex"}


def test_blocks_of_each_type_have_as_many_rows_as_independent_entries():
    sizes = {block.label: len(block) for block in IrrepBasis(GROUPS["Q8xZ3"][0]).blocks}
    assert sorted(sizes.values()) == [1, 1, 1, 1, 2, 2, 2, 2, 4, 8]


def at(group_name: str, n: int, images: tuple[int, ...]) -> int:
    """The number of a permutation in S_n or A_n."""
    table = [p for p in permutations(range(n)) if group_name == "S" or _is_even(p)]
    return table.index(images)


def _is_even(images: tuple[int, ...]) -> bool:
    return sum(images[i] > images[j] for i in range(len(images)) for j in range(i, len(images))) % 2 == 0


def test_names_of_s5_follow_their_characters():
    irreps = {irrep.label: irrep.character for irrep in real_irreps(named_group("S5"))}
    transposition, five_cycle = at("S", 5, (1, 0, 2, 3, 4)), at("S", 5, (1, 2, 3, 4, 0))
    seen = {
        name: (round(chi[transposition].item(), 6) + 0, round(chi[five_cycle].item(), 6) + 0)
        for name, chi in irreps.items()
    }
    assert seen == {
        "trivial": (1, 1),
        "sign": (-1, 1),
        "standard": (2, -1),
        "standard_sign": (-2, -1),
        "5d_a": (-1, 0),
        "5d_b": (1, 0),
        "6d": (0, 1),
    }


def test_names_of_a5_follow_the_golden_ratio():
    irreps = {irrep.label: irrep.character for irrep in real_irreps(named_group("A5"))}
    cycle = at("A", 5, (1, 2, 3, 4, 0))
    assert list(irreps) == ["trivial", "3d_a", "3d_b", "standard", "5d_a"]
    assert irreps["3d_a"][cycle].item() == pytest.approx(GOLDEN)
    assert irreps["3d_b"][cycle].item() == pytest.approx(1 - GOLDEN)


@pytest.mark.parametrize("n", [5, 6])
def test_names_of_dihedral_groups_follow_the_rotation(n):
    irreps = {irrep.label: irrep.character for irrep in real_irreps(named_group(f"D{n}"))}
    signs = ["sign"] if n % 2 else ["sign", "sign_r", "sign_rs"]
    assert list(irreps) == ["trivial", *signs, *[f"freq_{k}" for k in range(1, (n + 1) // 2)]]
    angle = torch.tensor(2 * torch.pi / n, dtype=torch.float64)
    assert irreps["freq_2"][1].item() == pytest.approx(2 * (2 * angle).cos().item())
    assert irreps["sign"].tolist() == pytest.approx([1] * n + [-1] * n)


@pytest.mark.parametrize("name", ["S4", "S5", "A5", "D7", "Z9"])
def test_names_do_not_depend_on_the_order_of_the_elements(name):
    named, bare = named_group(name), shuffled(named_group(name), 1)
    assert [(i.label, i.dim) for i in real_irreps(bare)] == [(i.label, i.dim) for i in real_irreps(named)]


def test_a_group_with_many_irreps_of_one_dimension_numbers_them():
    labels = IrrepBasis(named_group("Z2xZ2xZ2xZ2xZ2")).labels
    assert labels == tuple(f"1d_{i}" for i in range(1, 32))
    assert IrrepBasis(named_group("Z2xZ2")).labels == ("1d_a", "1d_b", "1d_c")


@pytest.mark.parametrize("n", [2, 3, 5, 12, 13])
def test_the_fourier_basis_and_the_general_one_agree(n):
    fourier, general = FourierBasis(n), IrrepBasis(cyclic_group(n))
    assert general.labels == fourier.labels
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    assert torch.allclose(general.power(x, 0), fourier.power(x, 0))
    for label in fourier.labels:
        assert torch.allclose(general.project(x, [label], 0), fourier.project(x, [label], 0))
        assert torch.allclose(general.character(label), fourier.character(label))


def test_the_basis_answers_like_any_other():
    basis = IrrepBasis(symmetric_group(4))
    assert basis.check_labels(["standard", "sign"]) == ("sign", "standard")
    assert basis.irrep("standard").dim == 3
    assert basis.character("standard").norm().item() == pytest.approx(1)
    assert basis.block("standard").components == ("11", "12", "13", "21", "22", "23", "31", "32", "33")
    x = torch.randn(24, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(basis.inverse(basis.transform(x, 0), 0), x)
    with pytest.raises(ConfigError, match="'5d' is not an irrep of S4; allowed: sign, 2d, standard"):
        basis.block("5d")
    with pytest.raises(ConfigError, match="'trivial'"):
        basis.irrep("trivial")
    assert basis.rows_of(["standard"], "cos") == []


def test_the_same_group_has_the_same_matrices_every_time():
    first, second = real_irreps(symmetric_group(4)), real_irreps(symmetric_group(4))
    assert all(torch.equal(a.matrices, b.matrices) for a, b in zip(first, second, strict=True))


def test_a_table_of_no_group_has_no_irreps():
    x = torch.arange(5)
    subtraction = Group("subtraction", (x - x[:, None]) % 5)  # has a left identity, is not associative
    with pytest.raises(TaskError, match=r"irreps of Group\(subtraction.*from_table"):
        real_irreps(subtraction)


def test_s6_within_reason():
    irreps = real_irreps(named_group("S6"))
    dims = [irrep.dim for irrep in irreps]
    assert dims == [1, 1, 5, 5, 5, 5, 9, 9, 10, 10, 16]
    assert sum(d * d for d in dims) == 720
