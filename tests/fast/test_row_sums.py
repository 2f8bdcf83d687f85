"""Sparse products against dense ones."""

import pytest
import torch

from mechgrok.fast.row_sums import PIECE, Bags, RowSums, mix, product_over_rows

pytestmark = pytest.mark.bits

WIDTH, LENGTH = 5, 7
CHOICES = {
    "varying": torch.tensor([[0, 4], [3, 1], [2, 4], [0, 1]]),
    "a constant term": torch.tensor([[0, 4, 6], [3, 1, 6], [2, 4, 6]]),
    "nothing but constant terms": torch.tensor([[0, 4], [0, 4]]),
    "one row": torch.tensor([[2, 5, 6]]),
    "the same row twice in a bag": torch.tensor([[1, 1], [0, 2], [3, 3]]),
}


@pytest.fixture(params=CHOICES)
def index(request):
    return CHOICES[request.param]


def dense(index, weights):
    """The matrix [rows, LENGTH] that the bags stand for."""
    return torch.zeros(len(index), LENGTH, dtype=weights.dtype).scatter_add_(1, index, weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bags_are_products_with_the_matrix_of_their_weights(index, dtype):
    table, weights = torch.randn(LENGTH, WIDTH, dtype=dtype), torch.rand(index.shape, dtype=dtype)
    bags = Bags(index, weights, LENGTH, weighted=index.shape[1] - 1)
    for _ in range(2):
        # What is in the memory that is written to does not matter, and weights are read where they are.
        out = bags.mix(table, out=torch.full((len(index), WIDTH), torch.nan, dtype=dtype))
        torch.testing.assert_close(out, dense(index, weights) @ table)
        torch.testing.assert_close(mix(index, table, weights, out=torch.full_like(out, torch.nan)), out)
        gradient, into = torch.randn_like(out), torch.ones_like(table)
        bags.add_table_gradient(gradient, into)
        torch.testing.assert_close(into, 1 + dense(index, weights).T @ gradient)
        products = (gradient @ table.T).gather(1, index)
        torch.testing.assert_close(bags.weight_gradient(gradient, table), products[:, :-1])
        weights.mul_(-3)


ROWS = 20_000
PRECISION = 3 * PIECE * torch.finfo(torch.float32).eps
"""Of a sum of so many equal numbers in float32, whatever sums the pieces: three rounds of at most PIECE terms each. One
term after the other it would be off by 1.7e-4."""


@pytest.mark.parametrize("others", [0, 1])
def test_a_sum_of_many_rows_keeps_its_precision(others):
    """Of a table row that all rows have, by dense products, and of one that nearly all have, by sparse ones."""
    index = torch.zeros(ROWS, 1, dtype=torch.long)
    index[:others] = 1
    gradient, into = torch.full((ROWS, 64), 0.1), torch.zeros(2, 64)
    Bags(index, torch.ones(ROWS, 1), 2).add_table_gradient(gradient, into)
    expected = 0.1 * torch.tensor([ROWS - others, others])[:, None].expand(2, 64)
    torch.testing.assert_close(into, expected, rtol=PRECISION, atol=0)


def test_row_sums_of_many_rows_keep_their_precision():
    group = torch.arange(ROWS) % 3 // 2
    sums = RowSums(group, 2)(torch.full((ROWS, 4), 0.1))
    expected = 0.1 * group.bincount()[:, None].expand(2, 4)
    torch.testing.assert_close(sums, expected, rtol=PRECISION, atol=0)


@pytest.mark.parametrize("rows", [1, PIECE - 1, PIECE, PIECE + 1, PIECE**2 + PIECE + 1])
def test_pieces_of_any_length(rows):
    group = torch.randint(0, 3, (rows,)) * 2
    x = torch.randn(rows, WIDTH, dtype=torch.float64)
    expected = torch.zeros(6, WIDTH, dtype=torch.float64).index_add_(0, group, x)
    torch.testing.assert_close(RowSums(group, 6)(x), expected)
    torch.testing.assert_close(product_over_rows(x, x), x.T @ x)


def test_row_sums_leave_groups_without_rows_at_zero():
    x, group = torch.randn(6, WIDTH), torch.tensor([3, 0, 3, 3, 1, 0])
    expected = torch.zeros(5, WIDTH).index_add_(0, group, x)
    torch.testing.assert_close(RowSums(group, 5)(x), expected)
