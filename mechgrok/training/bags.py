"""Weighted sums of table rows, and their two gradients: the sparse products of the fast training step.

A bag is what torch's `EmbeddingBag` calls by this name: the rows of a table that are summed into one.

Row r of the result is sum_j weights[r, j] * table[index[r, j]]: the product of a sparse matrix, of which only the
values change, with the table. Results go into memory that is there: what is allocated anew for every chunk is given
back to the system in between and has to be cleared by it again, which costs more than the sums.
"""

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


class Bags:
    """A fixed choice of table rows for each of a set of rows.

    Built once, used every step; the indices follow from the inputs, only table and weights change.

    Args:
        index: [rows, terms], the table row of every term.
        weights: [rows, terms], contiguous. They are read where they are: overwrite them to change them.
        table_length: number of rows of the table.
        weighted: the first so many terms have weights that are trained.

    >>> bags = Bags(torch.tensor([[0, 2], [1, 2]]), torch.tensor([[1.0, 0.5], [3.0, 0.1]]), table_length=3)
    >>> bags.mix(torch.tensor([[1.0], [2.0], [10.0]]), out=torch.empty(2, 1)).tolist()
    [[6.0], [7.0]]
    """

    def __init__(
        self,
        index: Int[Tensor, "rows terms"],
        weights: Float[Tensor, "rows terms"],
        table_length: int,
        weighted: int = 0,
    ) -> None:
        n, terms = index.shape
        self.weights, self.matrix = weights, _in_rows(index, weights, table_length)
        # A table row that all rows have is summed by a dense product, which rounds less than one long sum.
        constant = (index == index[:1]).all(dim=0)
        self.constant_terms = constant.nonzero().flatten()
        self.constant_rows = index[0, self.constant_terms]
        # The others seen from the table: which rows each of its rows goes to; some go to none.
        place = torch.arange(n * terms, device=index.device).view(n, terms)[:, ~constant].flatten()
        target = index.flatten()[place]
        order = target.argsort(stable=True)
        starts = functional.pad(target.bincount(minlength=table_length).cumsum(0), (1, 0))
        self.place = place[order]
        self.transposed = _sparse(
            starts, self.place // terms, weights.view(-1)[self.place], (table_length, n)
        )
        trained = index[:, :weighted]
        self.pattern = _in_rows(trained, torch.zeros_like(weights[:, :weighted]), table_length)

    def mix(
        self, table: Float[Tensor, "length width"], out: Float[Tensor, "rows width"]
    ) -> Float[Tensor, "rows width"]:
        """Write the weighted sums."""
        return torch.addmm(out, self.matrix, table, beta=0, out=out)

    def weight_gradient(
        self, gradient: Float[Tensor, "rows width"], table: Float[Tensor, "length width"]
    ) -> Float[Tensor, "rows weighted"]:
        """Gradient of the trained weights from that of the sums: one inner product each."""
        products = torch.sparse.sampled_addmm(self.pattern, gradient, table.T, beta=0.0)
        return products.values().view(len(gradient), -1)

    def add_table_gradient(
        self, gradient: Float[Tensor, "rows width"], into: Float[Tensor, "length width"]
    ) -> None:
        """Add the gradient of the table from that of the sums."""
        torch.index_select(self.weights.view(-1), 0, self.place, out=self.transposed.values())
        torch.addmm(into, self.transposed, gradient, out=into)
        if len(self.constant_terms):
            columns = self.weights.index_select(1, self.constant_terms)
            into.index_add_(0, self.constant_rows, columns.T @ gradient)


class RowSums:
    """Sums rows by group: result g is the sum of all rows r with group[r] = g.

    >>> RowSums(torch.tensor([1, 0, 1]), 3)(torch.tensor([[1.0], [2.0], [3.0]])).tolist()
    [[2.0], [4.0], [0.0]]
    """

    def __init__(self, group: Int[Tensor, " rows"], n_groups: int) -> None:
        self.rows = group.argsort(stable=True).int()
        counts = group.bincount(minlength=n_groups)
        self.offsets = (counts.cumsum(0) - counts).int()

    def __call__(self, x: Float[Tensor, "rows width"]) -> Float[Tensor, "groups width"]:
        return torch.embedding_bag(x, self.rows, self.offsets)[0]


def mix(
    index: Int[Tensor, "rows terms"],
    table: Float[Tensor, "length width"],
    weights: Float[Tensor, "rows terms"],
    out: Float[Tensor, "rows width"],
) -> Float[Tensor, "rows width"]:
    """Write the weighted sums for rows that are run only once."""
    return torch.addmm(out, _in_rows(index, weights, len(table)), table, beta=0, out=out)


def _in_rows(index: Tensor, values: Tensor, n_columns: int) -> Tensor:
    """The sparse matrix with these values in these columns of each row; the values are not copied."""
    n, terms = index.shape
    starts = torch.arange(n + 1, device=index.device) * terms
    return _sparse(starts, index.flatten(), values.view(-1), (n, n_columns))


def _sparse(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        # Half the indices' memory traffic of int64, and what MKL takes without a copy.
        return torch.sparse_csr_tensor(starts.int(), columns.int(), values, shape, check_invariants=False)
