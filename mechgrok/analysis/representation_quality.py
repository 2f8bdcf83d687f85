"""How close an embedding is to one in which equal answers are equal sums: the quality index of Liu et al. 2022."""

from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.activations.sources import as_network
from mechgrok.analysis.embeddings import embeddings_of, operand_embeddings
from mechgrok.analysis.parallelograms import Kind, OperandPairs, close_pairs, pairs_of_table, results_of
from mechgrok.door import Between, door
from mechgrok.drawable import Drawable
from mechgrok.errors import UndefinedMetricError, shown
from mechgrok.tasks import Task

DELTA = 0.01
"""The tolerance of the paper's appendix E."""
Unit = Literal["deviation", "variance", "absolute"]
ROUNDING = 1e-10
"""A spread that is this fraction of the size of an embedding, or less, is rounding."""


@dataclass(frozen=True, eq=False)
class RepresentationQuality(Drawable):
    """The parallelograms of an embedding.

    Attributes:
        rqi: |P(R)| / |P_0|, the share of the possible parallelograms that are there, 0..1.
        n_realised, n_possible: |P(R)| and |P_0|.
        tolerance: the largest distance of two sums that count as equal, in the unit of the embedding.
        defect: mean squared distance of two sums that should be equal, over four times the mean squared distance of a
            symbol from the mean of all: 0 for a perfect embedding, about 1 for a random one.
        effective_dimension: exponential of the entropy of the shares of the variance along the principal components,
            from 1 to the number of dimensions.
        pairs: the pairs of operands.
        sums: [pairs, d_model], the sums of their embeddings, in float64.
        task: the task that masks of inputs belong to, if known.
    """

    rqi: float
    n_realised: int
    n_possible: int
    tolerance: float
    defect: float
    effective_dimension: float
    pairs: OperandPairs
    sums: Float[Tensor, "pairs d_model"]
    task: Task | None = None

    @door
    def predicted_accuracy(self, train_mask: Bool[Tensor, " inputs"] | Bool[Tensor, "n n"]) -> float:
        """The accuracy that the embedding allows over all pairs: |D̄| / |D_0|.

        D̄ are the train pairs, and every pair that a parallelogram of the embedding connects with one. The decoder sees
        the same sum for both, so that what it has learned of one holds for the other.

        Args:
            train_mask: the inputs of the task, as `split.train` has them; or [n, n], over both operands; or one boolean
                for each of the `pairs`. Where (i, j) and (j, i) are one pair, one of them is enough.

        Raises:
            UndefinedMetricError: a mask of another shape, or one that selects nothing.

        >>> quality = representation_quality(torch.arange(4.0))
        >>> train = torch.zeros(4, 4, dtype=torch.bool)
        >>> train[0, 2] = train[0, 3] = True  # of ten pairs; the sums 2 and 3 have two each
        >>> quality.predicted_accuracy(train)
        0.4
        """
        if self.task is not None and getattr(train_mask, "shape", None) == (self.task.n_inputs,):
            train_mask = train_mask[self.task.frame.rows]
        known = self.pairs.selected(train_mask).clone()
        given = known.clone()
        for same, close, _ in close_pairs(self.pairs, self.sums, self.tolerance):
            known[same] |= close[:, given[same]].any(1)
        return known.double().mean().item()

    def records(self) -> list[dict[str, Any]]:
        """The numbers, one per row."""
        hidden = ("pairs", "sums", "task")
        return [row for row in super().records() if row["name"] not in hidden]

    def __repr__(self) -> str:
        return (
            f"RepresentationQuality({self.n_realised} of {self.n_possible} parallelograms, RQI {self.rqi:z.3f}, "
            f"effective dimension {self.effective_dimension:z.2f})"
        )


@door
def representation_quality(
    source: Source | Float[Tensor, "n d_model"] | Float[Tensor, " n"],
    task: Task | None = None,
    *,
    delta: Annotated[int | float, Between(0, inf)] = DELTA,
    unit: Unit = "deviation",
    kind: Kind | None = None,
) -> RepresentationQuality:
    """The representation quality index (RQI) of an embedding: how many of the possible parallelograms it has.

    Two different pairs of operands with one answer, i + j = m + n, are a parallelogram if E_i + E_j and E_m + E_n are
    equal up to a tolerance. Pairs are unordered where both operands share an embedding and may be exchanged, and each
    parallelogram counts once; that of a pair with itself does not count. All of them are looked at, answer by answer:
    memory grows with the square of the symbols (20 MB at p = 113, d_model = 128), time with the cube.

    The index is 1 for equidistant points on a line and addition without a modulus. Modulo p only the constant embedding
    has every parallelogram, as Z_p has no other homomorphism into the real numbers, and a circle has none: the pairs
    with one answer add up to vectors of the same direction, but of different lengths. A low index of a network on
    modular addition therefore does not mean that its embedding has no structure; see `embedding_components` for that.

    Args:
        source: an embedding, a row per symbol, or one number per symbol; or a network or a grid, of which the
            embeddings of both operands are taken in the order of the task's group.
        task: what a network is read on, or orders the rows of an embedding by its tokens.
        delta: the tolerance, 0.01 in the paper's appendix E.
        unit: what delta is a multiple of. "deviation": the root of the mean squared distance of a symbol from the mean
            of all, so that the index does not hang on the scale of the embedding. The paper prints the mean square
            itself ("variance") under the name of a standard deviation, which makes the index grow with the scale, and
            is a slip. "absolute": delta itself is the distance. The released code compares the squared distance with
            0.01 after scaling to a standard deviation of 1, which for one dimension is a delta of 0.1 here (0.105 with
            its unbiased deviation for ten symbols).
        kind: "linear" for the results i + j, "modular" for i + j modulo the number of symbols. None is what the task
            has; for an embedding alone, "linear".

    Raises:
        UndefinedMetricError: fewer than three symbols; all have one embedding; values that are not finite; no two pairs
            have one answer; a task without two operands.
        ActivationError: a source that is none of these.

    Source: Liu et al. 2022 (arXiv 2205.10343), section 3 and appendix E; the effective dimension is that of section 4.

    >>> representation_quality(torch.arange(10.0))
    RepresentationQuality(70 of 70 parallelograms, RQI 1.000, effective dimension 1.00)
    >>> angles = 2 * torch.pi * torch.arange(10) / 10
    >>> circle = torch.stack([angles.cos(), angles.sin()], dim=1)
    >>> representation_quality(circle, kind="modular").rqi
    0.0
    """
    task, embeddings = _embeddings(source, task)
    if not embeddings.isfinite().all():
        raise UndefinedMetricError("the embedding has values that are not finite")
    first, second = embeddings
    table = _results(len(first), task, kind)
    pairs = pairs_of_table(table, ordered=not torch.equal(first, second))
    if not pairs.n_parallelograms:
        raise UndefinedMetricError(
            f"no two pairs of {len(first)} symbols have the same result: there is no parallelogram"
        )
    spread = _spread(embeddings)
    tolerance = delta * {"deviation": spread, "variance": spread**2, "absolute": 1.0}[unit]
    return quality_of(pairs, pairs.sums(first, second), tolerance, spread, first, task)


def quality_of(
    pairs: OperandPairs,
    sums: Float[Tensor, "pairs d"],
    tolerance: float,
    spread: float,
    embedding: Float[Tensor, "n d"],
    task: Task | None = None,
) -> RepresentationQuality:
    """Count the parallelograms among the sums of pairs."""
    realised, squares = 0, 0.0
    for same, close, distance in close_pairs(pairs, sums, tolerance):
        realised += (int(close.sum()) - len(same)) // 2
        squares += distance.square().sum().item() / 2
    possible = pairs.n_parallelograms
    return RepresentationQuality(
        rqi=realised / possible,
        n_realised=realised,
        n_possible=possible,
        tolerance=tolerance,
        defect=squares / possible / (4 * spread**2),
        effective_dimension=effective_dimension(embedding),
        pairs=pairs,
        sums=sums,
        task=task,
    )


def effective_dimension(embedding: Float[Tensor, "n d"]) -> float:
    """Exponential of the entropy of the shares of the variance along the principal components.

    >>> effective_dimension(torch.eye(3, dtype=torch.float64)[[0, 1]])
    1.0
    """
    variance = torch.linalg.svdvals(embedding - embedding.mean(0)).square()
    shares = variance / variance.sum()
    return torch.special.entr(shares).sum().exp().item()


def _embeddings(source: Any, task: Task | None) -> tuple[Task | None, Float[Tensor, "2 n d"]]:
    """The task, if known, and the embeddings of both operands, in float64."""
    if isinstance(source, np.ndarray):
        source = torch.from_numpy(source)
    if isinstance(source, Tensor):
        return task, _given(source, task).expand(2, -1, -1)
    if task is None or isinstance(source, ActivationGrid):
        grid = as_grid(source, names=[])
        return grid.task, operand_embeddings(grid).double()
    return task, embeddings_of(as_network(source), task).double()


def _given(embedding: Tensor, task: Task | None) -> Tensor:
    """A matrix as given, one row per symbol of the task."""
    table = embedding[:, None] if embedding.ndim == 1 else embedding
    if table.ndim != 2 or min(table.shape) < 1 or table.is_complex() or len(table) < 3:
        raise UndefinedMetricError(
            "an embedding has a row for each of at least three symbols, or one number for each; "
            f"got {shown(embedding)}"
        )
    table = table.detach().cpu().double()
    if task is None:
        return table
    tokens = task.frame.tokens
    if len(table) <= int(tokens.max()):
        raise UndefinedMetricError(
            f"{task.name} has tokens up to {int(tokens.max())}; got {shown(embedding)}"
        )
    return table[tokens]


def _results(n: int, task: Task | None, kind: Kind | None) -> Tensor:
    """The table of results: that of the kind, or of the task."""
    if kind is not None or task is None:
        return results_of(n, kind or "linear")
    if not task.frame.is_operation:
        raise UndefinedMetricError(f"parallelograms need two operands; {task.name} has one")
    return task.frame.results


def _spread(embeddings: Float[Tensor, "2 n d"]) -> float:
    """Root of the mean squared distance of a symbol from the mean of all."""
    spread = (embeddings - embeddings.mean(1, keepdim=True)).square().sum(2).mean().sqrt().item()
    if spread <= ROUNDING * embeddings.square().sum(2).mean().sqrt().item():
        raise UndefinedMetricError("all symbols have the same embedding, so that every sum is equal")
    return spread
