"""All subgroups and their cosets."""

import pytest
import torch

from mechgrok.algebra import Group, named_group
from mechgrok.algebra.groups import generated_by
from mechgrok.algebra.subgroups import Subgroup, all_subgroups
from mechgrok.errors import TaskError


@pytest.mark.parametrize(
    ("name", "subgroups", "families"),
    [
        ("S3", 6, 4),
        ("S4", 30, 11),
        ("A5", 59, 9),
        ("S5", 156, 19),
        ("D59", 62, 4),
        ("Z12", 6, 6),
        ("Z2xZ2xZ2", 16, 16),
    ],
)
def test_numbers_of_subgroups(name, subgroups, families):
    group = named_group(name)
    found = all_subgroups(group)
    assert len(found) == subgroups
    assert len({subgroup.family for subgroup in found}) == families
    assert [s.order for s in found] == sorted(s.order for s in found)
    assert found[0].elements.tolist() == [group.identity]
    assert found[-1].order == group.order
    assert all(group.order % subgroup.order == 0 for subgroup in found)


def test_every_subgroup_is_a_group_and_conjugates_share_a_family():
    group = named_group("S4")
    families: dict[int, set[tuple[int, ...]]] = {}
    for subgroup in all_subgroups(group):
        place = {int(x): i for i, x in enumerate(subgroup.elements)}
        inner = group.table[subgroup.elements][:, subgroup.elements]
        Group.from_table([[place[x] for x in row] for row in inner.tolist()])
        families.setdefault(subgroup.family, set()).add(tuple(subgroup.elements.tolist()))
    for members in families.values():
        some = torch.tensor(sorted(members)[0])
        conjugates = {
            tuple(group.table[group.table[g, some], group.inverses[g]].sort().values.tolist())
            for g in range(24)
        }
        assert conjugates == members


def test_cosets_divide_the_group_on_the_right_side():
    group = named_group("S3")
    flip = Subgroup(group, torch.tensor(generated_by(group, [1])), 0)
    for side in ("left", "right"):
        cosets = flip.cosets(side)
        assert torch.bincount(cosets).tolist().count(2) == 3
        for x in range(6):
            for h in flip.elements.tolist():
                moved = group.table[x, h] if side == "left" else group.table[h, x]
                assert cosets[moved] == cosets[x]
    assert flip.cosets("left").tolist() != flip.cosets("right").tolist()


def test_large_groups_are_refused():
    with pytest.raises(TaskError, match=r"up to 200 elements; Group\(S6, order 720\) is larger"):
        all_subgroups(named_group("S6"))
