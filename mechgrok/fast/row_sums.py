"""Weighted sums of table rows, and their two gradients: the sparse products of the fast training step.

A bag is what torch's `EmbeddingBag` calls by this name: the rows of a table that are summed into one.

Row r of the result is sum_j weights[r, j] * table[index[r, j]]: the product of a sparse matrix, of which only the
values change, with the table. Results go into existing memory: memory allocated anew for every chunk is returned
to the system in between and must be cleared again, which costs more than the sums.

Long sums are split into pieces of at most `PIECE` terms, whose sums are then summed in the same way: a library
may add terms one after the other, as MKL's sparse products do on processors without AVX-512, and then the
rounding error of a sum grows with its length.
"""

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from mechgrok.fast.kernels import product

PIECE = 64
"""The most terms that a library is left to sum: in float32 their rounding errors add up to at most 4e-6 of the sum of
their absolute values, whatever the order of summation."""


class Bags:
    """A fixed choice of table rows for each of a set of rows.

    It is built once and used in every step: the indices depend on the inputs; only table and weights change.

    Args:
        index: [rows, terms], the table row of every term.
        weights: [rows, terms], contiguous. They are read in place: overwrite them to change them.
        table_length: number of rows of the table.
        weighted: number of leading terms whose weights are trained.
        members: the rows are those of so many networks, one after the other, each with as many.

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
        members: int = 1,
    ) -> None:
        n, terms = index.shape
        self.members = members
        self.weights, self.matrix = weights, _in_rows(index, weights, table_length)
        # A table row that all rows of a network have is summed by dense products.
        of_members = index.unflatten(0, (members, -1))
        constant = (of_members == of_members[:, :1]).all(dim=1).all(dim=0)
        self.constant_terms = constant.nonzero().flatten()
        self.constant_rows = of_members[:, 0, self.constant_terms].flatten()
        # The other terms grouped by table row: the rows that each table row goes to; some go to none.
        place = torch.arange(n * terms, device=index.device).view(n, terms)[:, ~constant].flatten()
        pieces = Pieces.of(index.flatten()[place], table_length)
        self.place = place[pieces.order]
        self.transposed = _sparse(
            pieces.starts, self.place // terms, weights.view(-1)[self.place], (len(pieces), n)
        )
        self.rest = pieces.rest(table_length)
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
        """Gradient of the trained weights, given the gradient of the sums: one inner product each."""
        products = torch.sparse.sampled_addmm(self.pattern, gradient, table.T, beta=0.0)
        return products.values().view(len(gradient), -1)

    def add_table_gradient(
        self, gradient: Float[Tensor, "rows width"], into: Float[Tensor, "length width"]
    ) -> None:
        """Add the gradient of the table, given the gradient of the sums."""
        torch.index_select(self.weights.view(-1), 0, self.place, out=self.transposed.values())
        if self.rest is None:
            torch.addmm(into, self.transposed, gradient, out=into)
        else:
            into += self.rest(self.transposed @ gradient)
        if len(self.constant_terms):
            columns = self.weights.index_select(1, self.constant_terms).unflatten(0, (self.members, -1))
            sums = product_over_rows(columns, gradient.unflatten(0, (self.members, -1)))
            into.index_add_(0, self.constant_rows, sums.flatten(0, 1))


@dataclass(frozen=True)
class Pieces:
    """Terms sorted by the group that they are summed into, and split into pieces of at most `PIECE`.

    Attributes:
        order: [terms], the terms in the order of the pieces.
        starts: [pieces + 1], the position in this order at which each piece begins, and the end.
        owner: [pieces], the group of each piece; every group has at least one, which may be empty.
    """

    order: Int[Tensor, " terms"]
    starts: Int[Tensor, " ends"]
    owner: Int[Tensor, " pieces"]

    def __len__(self) -> int:
        return len(self.owner)

    @staticmethod
    def of(group: Int[Tensor, " terms"], n_groups: int) -> "Pieces":
        """Split terms with the given groups into pieces."""
        counts = group.bincount(minlength=n_groups)
        per_group = counts.add(PIECE - 1).div(PIECE, rounding_mode="floor").clamp(min=1)
        owner = torch.arange(n_groups, device=group.device).repeat_interleave(per_group)
        within = torch.arange(len(owner), device=group.device) - (per_group.cumsum(0) - per_group)[owner]
        ends = (counts.cumsum(0) - counts)[owner] + torch.minimum(counts[owner], (within + 1) * PIECE)
        return Pieces(group.argsort(stable=True), functional.pad(ends, (1, 0)), owner)

    def rest(self, n_groups: int) -> "RowSums | None":
        """The sums that remain once each piece is summed; None if every group is one piece."""
        return None if len(self) == n_groups else RowSums(self.owner, n_groups)


class RowSums:
    """Sum rows by group: result g is the sum of all rows r with group[r] = g.

    >>> RowSums(torch.tensor([1, 0, 1]), 3)(torch.tensor([[1.0], [2.0], [3.0]])).tolist()
    [[2.0], [4.0], [0.0]]
    """

    def __init__(self, group: Int[Tensor, " rows"], n_groups: int) -> None:
        pieces = Pieces.of(group, n_groups)
        self.rows, self.offsets = pieces.order.int(), pieces.starts[:-1].int()
        self.rest = pieces.rest(n_groups)

    def __call__(self, x: Float[Tensor, "rows width"]) -> Float[Tensor, "groups width"]:
        sums = torch.embedding_bag(x, self.rows, self.offsets)[0]
        return sums if self.rest is None else self.rest(sums)


def product_over_rows(
    a: Float[Tensor, "*several rows left"], b: Float[Tensor, "*several rows right"]
) -> Float[Tensor, "*several left right"]:
    """a.mT @ b, summed over the rows piece by piece.

    >>> product_over_rows(torch.ones(1000, 1), torch.ones(1000, 2)).tolist()
    [[1000.0, 1000.0]]
    """
    whole = a.shape[-2] // PIECE * PIECE
    left, right = (x[..., :whole, :].unflatten(-2, (-1, PIECE)) for x in (a, b))
    return product(left.mT, right).sum(-3) + product(a[..., whole:, :].mT, b[..., whole:, :])


def mix(
    index: Int[Tensor, "rows terms"],
    table: Float[Tensor, "length width"],
    weights: Float[Tensor, "rows terms"],
    out: Float[Tensor, "rows width"],
) -> Float[Tensor, "rows width"]:
    """Write the weighted sums for rows that are used only once."""
    return torch.addmm(out, _in_rows(index, weights, len(table)), table, beta=0, out=out)


def _in_rows(index: Tensor, values: Tensor, n_columns: int) -> Tensor:
    """The sparse matrix with these values in these columns of each row; the values are not copied."""
    n, terms = index.shape
    starts = torch.arange(n + 1, device=index.device) * terms
    return _sparse(starts, index.flatten(), values.view(-1), (n, n_columns))


def _sparse(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        # Half the memory traffic of int64 indices, and accepted by MKL without a copy.
        return torch.sparse_csr_tensor(starts.int(), columns.int(), values, shape, check_invariants=False)
