"""Weighted sums of table rows, and their two gradients: the sparse products of the fast training step.

Row r of the result is sum_j weights[r, j] * table[index[r, j]]. A dense product would need a gathered copy or
a one-hot matrix; here rows of the table are read straight from the cache.
"""

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Bags:
    """A fixed choice of table rows for each of a set of rows.

    Built once, used every step; the indices follow from the inputs, only table and weights change.

    Args:
        index: [rows, terms], the table row of every term.
        table_length: number of rows of the table.
        weighted: the first so many terms have weights that are trained.

    >>> bags = Bags(torch.tensor([[0, 2], [1, 2]]), table_length=3, weighted=2)
    >>> bags.mix(torch.tensor([[1.0], [2.0], [10.0]]), torch.tensor([[1.0, 0.5], [3.0, 0.1]])).tolist()
    [[6.0], [7.0]]
    """

    def __init__(self, index: Int[Tensor, "rows terms"], table_length: int, weighted: int) -> None:
        # Half the indices' memory traffic of int64; FBGEMM's and MKL's kernels take both.
        self.index, self.table_length = index.int().contiguous(), table_length
        self.pattern = _csr_pattern(index[:, :weighted], table_length) if weighted else None
        constant = (index == index[:1]).all(dim=0)
        self.constant_terms = constant.nonzero().flatten()
        self.constant_rows = index[0, self.constant_terms]
        varying = (~constant).nonzero().flatten()
        self.varying = _Transposed(index, varying, table_length) if len(varying) else None

    def mix(
        self, table: Float[Tensor, "length width"], weights: Float[Tensor, "rows terms"]
    ) -> Float[Tensor, "rows width"]:
        """The weighted sums, in new memory."""
        return mix(self.index, table, weights)

    def weight_gradient(
        self, gradient: Float[Tensor, "rows width"], table: Float[Tensor, "length width"]
    ) -> Float[Tensor, "rows weighted"]:
        """Gradient of the trained weights from that of the sums: one inner product each."""
        assert self.pattern is not None, "none of the weights is trained"
        pattern = self.pattern.to(gradient.dtype)
        products = torch.sparse.sampled_addmm(pattern, gradient, table.T, beta=0.0)
        return products.values().view(len(gradient), -1)

    def table_gradient(
        self, gradient: Float[Tensor, "rows width"], weights: Float[Tensor, "rows terms"]
    ) -> Float[Tensor, "length width"]:
        """Gradient of the table from that of the sums, in new memory."""
        if self.varying is None:
            result = gradient.new_zeros(self.table_length, gradient.shape[1])
        else:
            result = self.varying(gradient, weights)
        if len(self.constant_terms):
            columns = weights.index_select(1, self.constant_terms)
            result.index_add_(0, self.constant_rows, columns.T @ gradient)
        return result


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


class _Transposed:
    """The bags seen from the table: which rows each table row goes to; some go to none."""

    def __init__(
        self, index: Int[Tensor, "rows terms"], terms: Int[Tensor, " some"], table_length: int
    ) -> None:
        n_rows, n_terms = index.shape
        target = index[:, terms].T.flatten()
        row = torch.arange(n_rows, device=index.device).repeat(len(terms))
        weight = row * n_terms + terms.repeat_interleave(n_rows)
        order = target.argsort(stable=True)
        counts = target.bincount(minlength=table_length)
        self.offsets = (counts.cumsum(0) - counts).int()
        self.rows, self.weight = row[order].int(), weight[order]

    def __call__(self, gradient: Tensor, weights: Tensor) -> Tensor:
        selected = weights.flatten().index_select(0, self.weight)
        return _weighted_sums(gradient, self.rows, self.offsets, selected)


def mix(
    index: Int[Tensor, "rows terms"],
    table: Float[Tensor, "length width"],
    weights: Float[Tensor, "rows terms"],
) -> Float[Tensor, "rows width"]:
    """The weighted sums for rows that are run only once."""
    n, terms = index.shape
    offsets = torch.arange(0, n * terms, terms, dtype=index.dtype, device=index.device)
    return _weighted_sums(table, index.flatten(), offsets, weights.flatten())


def _weighted_sums(table: Tensor, index: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
    return torch.embedding_bag(table, index, offsets, False, 0, False, weights)[0]


def _csr_pattern(index: Tensor, table_length: int) -> Tensor:
    n, terms = index.shape
    starts = torch.arange(0, n * terms + 1, terms, dtype=torch.int32, device=index.device)
    columns, values = index.int().flatten(), torch.zeros(n * terms, device=index.device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, columns, values, (n, table_length), check_invariants=False)
