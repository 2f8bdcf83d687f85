"""The cyclic groups."""

import pytest
import torch

from mechgrok.algebra import cyclic_group
from mechgrok.errors import TaskError


@pytest.mark.parametrize("n", [2, 3, 4, 12, 113])
def test_table_is_addition_mod_n(n):
    group = cyclic_group(n)
    assert group.order == n
    assert group.table.dtype == torch.int64
    assert group.table.tolist() == [[(x + y) % n for y in range(n)] for x in range(n)]


@pytest.mark.parametrize("n", [2, 3, 4, 12, 113])
def test_identity_and_inverses(n):
    group = cyclic_group(n)
    assert group.identity == 0
    assert group.inverses.tolist() == [-x % n for x in range(n)]


@pytest.mark.parametrize("n", [1, 0, -5])
def test_order_below_two_is_refused(n):
    with pytest.raises(TaskError, match=rf"order of at least 2, got {n}$"):
        cyclic_group(n)


def test_repr_names_group_and_order():
    assert "Z7" in repr(cyclic_group(7))
    assert "7" in repr(cyclic_group(7))
