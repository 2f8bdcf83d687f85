"""Pairs of operands whose embeddings add up to the same vector: the parallelograms of Liu et al. 2022."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.errors import UndefinedMetricError, shown

Kind = Literal["linear", "modular"]
"""Results of i and j: i + j, or i + j modulo the number of symbols."""


@dataclass(frozen=True, eq=False)
class OperandPairs:
    """Pairs of operands and their results; two different pairs with one result are a parallelogram of P_0.

    Attributes:
        first, second: [pairs], the symbols of each pair.
        result: [pairs], what the task makes of them.
        n: the number of symbols.
        ordered: whether (i, j) and (j, i) are two pairs; otherwise i <= j.
    """

    first: Int[Tensor, " pairs"]
    second: Int[Tensor, " pairs"]
    result: Int[Tensor, " pairs"]
    n: int
    ordered: bool

    def __len__(self) -> int:
        return len(self.result)

    @cached_property
    def counts(self) -> Int[Tensor, " results"]:
        """How many pairs have each result."""
        return torch.bincount(self.result)

    @property
    def n_parallelograms(self) -> int:
        """|P_0|, the number of sets of two different pairs with one result."""
        return int((self.counts * (self.counts - 1) // 2).sum())

    def by_result(self) -> Iterator[Int[Tensor, " same"]]:
        """The numbers of the pairs with one result, for one result after the other."""
        order = self.result.argsort(stable=True)
        yield from order.split(self.counts.tolist())

    def sums(self, first: Float[Tensor, "n d"], second: Float[Tensor, "n d"]) -> Float[Tensor, "pairs d"]:
        """The sum of the embeddings of both operands, for each pair."""
        return first[self.first] + second[self.second]

    def selected(self, mask: Bool[Tensor, "n n"] | Bool[Tensor, " pairs"]) -> Bool[Tensor, " pairs"]:
        """Which pairs a mask has: one boolean for each pair, or a table over both operands.

        Where (i, j) and (j, i) are one pair, it is there as soon as one of them is.

        Raises:
            UndefinedMetricError: another shape, or no booleans; no pair is selected.
        """
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape not in self._shapes:
            allowed = " or ".join(str(list(shape)) for shape in self._shapes)
            raise UndefinedMetricError(
                f"the train mask holds booleans, {allowed}: a table over both operands, or one for each pair; "
                f"got {shown(mask)}"
            )
        if mask.ndim == 2:
            mask = (mask if self.ordered else mask | mask.T)[self.first, self.second]
        if not mask.any():
            raise UndefinedMetricError("the train mask selects no pair")
        return mask

    @property
    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.n, self.n), (len(self),)


def pairs_of_table(results: Int[Tensor, "n n"], ordered: bool = False) -> OperandPairs:
    """The pairs of a table of results, each unordered one once where the table is symmetric, or all if `ordered`.

    >>> [pairs_of_table(results_of(3, kind)).n_parallelograms for kind in ("linear", "modular")]
    [1, 3]
    """
    ordered = ordered or not torch.equal(results, results.T)
    n = len(results)
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n))
    first, second = (pairs if ordered else pairs[pairs[:, 0] <= pairs[:, 1]]).T
    return OperandPairs(first, second, results[first, second], n, ordered)


def results_of(n: int, kind: Kind) -> Int[Tensor, "n n"]:
    """The table of i + j, or of i + j modulo n."""
    symbols = torch.arange(n)
    table = symbols[:, None] + symbols
    return table % n if kind == "modular" else table


def close_pairs(
    pairs: OperandPairs, sums: Float[Tensor, "pairs d"], tolerance: float
) -> Iterator[tuple[Int[Tensor, " same"], Bool[Tensor, "same same"], Float[Tensor, "same same"]]]:
    """For each result its pairs, which of them have sums within a distance of each other, and the distances."""
    for same in pairs.by_result():
        own = sums[same]
        distance = torch.zeros(len(same), len(same), dtype=own.dtype)
        upper = torch.triu_indices(len(same), len(same), 1)
        distance[upper[0], upper[1]] = torch.pdist(own)
        distance = distance + distance.T
        yield same, distance <= tolerance, distance
