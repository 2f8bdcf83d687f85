"""What a set of train pairs demands of an embedding, and how fast: the effective theory of Liu et al. 2022."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.analysis.parallelograms import Kind, OperandPairs, pairs_of_table, results_of
from mechgrok.analysis.representation_quality import RepresentationQuality, quality_of
from mechgrok.door import door
from mechgrok.errors import ConfigError, UndefinedMetricError, shown
from mechgrok.readable import Readable

ZERO = 1e-9
"""Eigenvalues below this fraction of the largest are zero."""
FREE = {"linear": 2, "modular": 1}
"""Zero eigenvalues that no data removes: a shift of all embeddings and, without a modulus, a line of any slope."""
EQUAL = 1e-7
"""Distance within which sums along the zero modes, of norm 1, are equal."""


MOST_SYMBOLS = 512
"""Where few pairs leave most of the embedding free, its zero modes take half a gigabyte."""


@dataclass(frozen=True, eq=False)
class EffectiveTheory(Readable):
    """The effective loss of some train pairs as a quadratic form of the embedding.

    Attributes:
        n: the number of symbols.
        n_train: the number of train pairs.
        n_parallelograms: |P_0(D)|, those of two train pairs.
        eigenvalues: [n], of the quadratic form H, ascending; the loss of a centred embedding with a variance of 1 in
            each dimension is half of R^T H R, summed over dimensions.
        n_free: how many of them are zero: directions in which the train pairs leave the embedding free.
        rate: the first eigenvalue that is not zero where the train pairs determine the embedding: the third, or the
            second for modular addition. 0 if they do not.
        ideal: the quality of the ideal embedding, which has those parallelograms alone that the train pairs imply.
        ideal_accuracy: the accuracy that it allows over all pairs.
    """

    n: int
    kind: Kind
    n_train: int
    n_parallelograms: int
    eigenvalues: Float[Tensor, " n"]
    n_free: int
    rate: float
    ideal: RepresentationQuality
    ideal_accuracy: float
    form: Float[Tensor, "n n"]

    @property
    def is_determined(self) -> bool:
        """Whether the train pairs leave nothing free but what no data removes."""
        return self.n_free == FREE[self.kind]

    @door
    def steps(self, lr: float) -> float:
        """n_h = 1 / (rate lr), by which the paper measures the steps until the representation is there.

        Raises:
            UndefinedMetricError: the train pairs do not determine the embedding.
        """
        if not self.rate:
            raise UndefinedMetricError(
                f"{self.n_train} train pairs leave {self.n_free} directions of the embedding free: the rate is 0"
            )
        return 1 / (self.rate * lr)

    @door
    def loss(self, embedding: Float[Tensor, "n d"] | Float[Tensor, " n"]) -> float:
        """The effective loss l_0 / Z_0 of an embedding, which hangs on neither its mean nor its scale.

        l_0 is the sum of |E_i + E_j - E_m - E_n|^2 over P_0(D), and Z_0 that of |E_k|^2 over the symbols, with the
        embedding centred.

        Raises:
            UndefinedMetricError: another number of symbols, or all have one embedding.
        """
        table = embedding[:, None] if embedding.ndim == 1 else embedding
        if table.ndim != 2 or len(table) != self.n:
            raise UndefinedMetricError(
                f"an embedding has one row for each of {self.n} symbols; got {shown(embedding)}"
            )
        table = table.detach().cpu().double()
        table = table - table.mean(0)
        size = table.square().sum()
        if not size > 0:
            raise UndefinedMetricError("all symbols have the same embedding, so that the loss is 0 / 0")
        return ((table.T @ self.form @ table).trace() / size).item()

    def records(self) -> list[dict[str, Any]]:
        """The numbers, one per row."""
        return [row for row in super().records() if row["name"] not in ("ideal", "form")]

    def __repr__(self) -> str:
        return (
            f"EffectiveTheory({self.n_train} train pairs of {self.n} symbols, {self.n_parallelograms} parallelograms, "
            f"{self.n_free} free directions, rate {self.rate:z.4g})"
        )


@door
def effective_theory(
    n: int,
    train_mask: Bool[Tensor, "n n"] | Bool[Tensor, " pairs"] | None = None,
    *,
    kind: Kind = "linear",
    mean: bool = False,
) -> EffectiveTheory:
    """What train pairs (i, j) demand of the embeddings of n symbols, if pairs with one result get equal sums.

    The loss is the squared length by which train pairs with one result miss being a parallelogram. With the norm of the
    embedding held, it is a quadratic form H whose zero modes are the embeddings that fit; everything else decays at a
    rate that is its eigenvalue. The smallest rate, the third eigenvalue, is that of grokking.

    Args:
        n: the number of symbols, at least 3.
        train_mask: [n, n] over both operands, or one boolean for each pair i <= j in the order (0, 0), (0, 1), ...;
            None takes all pairs.
        kind: "linear" for the results i + j, "modular" for i + j modulo n. Modulo n no embedding but the constant one
            has every parallelogram, so that the theory says nothing of a network that adds on circles.
        mean: whether to divide by |P_0(D)|, as the paper prints l_0. The released code does not, and only then
            1 / (rate lr) is of the order of the steps that the paper and we measure.

    Raises:
        ConfigError: fewer than three symbols.
        UndefinedMetricError: a mask of another shape, or one that selects nothing.

    Source: Liu et al. 2022 (arXiv 2205.10343), sections 3.1 and 3.2; zero modes by their appendix's rank test.

    >>> effective_theory(10)
    EffectiveTheory(55 train pairs of 10 symbols, 70 parallelograms, 2 free directions, rate 6)
    """
    if not 3 <= n <= MOST_SYMBOLS:
        raise ConfigError(f"n is a number of symbols from 3 to {MOST_SYMBOLS}; got {shown(n)}")
    pairs = pairs_of_table(results_of(n, kind))
    given = torch.ones(len(pairs), dtype=torch.bool) if train_mask is None else pairs.selected(train_mask)
    train = OperandPairs(pairs.first[given], pairs.second[given], pairs.result[given], n, ordered=False)
    form = parallelogram_form(train)
    if mean:
        form = form / max(train.n_parallelograms, 1)
    values, modes = torch.linalg.eigh(2 * form / n)
    n_free = int((values <= ZERO * values[-1].clamp(min=1e-300)).sum())
    zero_modes = modes[:, :n_free]
    ideal = quality_of(pairs, pairs.sums(zero_modes, zero_modes), EQUAL, (n_free / n) ** 0.5, zero_modes)
    return EffectiveTheory(
        n=n,
        kind=kind,
        n_train=len(train),
        n_parallelograms=train.n_parallelograms,
        eigenvalues=values.clamp(min=0),
        n_free=n_free,
        rate=values[FREE[kind]].item() if n_free == FREE[kind] else 0.0,
        ideal=ideal,
        ideal_accuracy=ideal.predicted_accuracy(given),
        form=form,
    )


def parallelogram_form(pairs: OperandPairs) -> Float[Tensor, "n n"]:
    """The form M with R^T M R the sum of (R_i + R_j - R_m - R_n)^2 over all parallelograms.

    With u = e_i + e_j it is, for the pairs of one result, their number times the sum of u u^T, less (sum u)(sum u)^T.
    """
    weights = pairs.counts[pairs.result].double()
    operands = (pairs.first, pairs.second)
    form = torch.zeros(pairs.n, pairs.n, dtype=torch.float64)
    totals = torch.zeros(len(pairs.counts), pairs.n, dtype=torch.float64)
    for one in operands:
        totals.index_put_((pairs.result, one), torch.ones_like(weights), accumulate=True)
        for other in operands:
            form.index_put_((one, other), weights, accumulate=True)
    return form - totals.T @ totals
