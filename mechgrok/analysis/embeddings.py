"""The operands' token embeddings as the network reads them: their principal components and circles."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.algebra import Basis, FourierBasis
from mechgrok.algebra.bases import Label
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import UndefinedMetricError
from mechgrok.models.protocol import HookedModel, check_hook_names
from mechgrok.models.readout import run_at_readout
from mechgrok.tasks import Task, as_operation

PUBLISHED_COMPONENTS = 4
"""Number of principal components that circularity averages over."""
CLEAN = 0.9
"""Share of its power in one frequency from which a principal component counts as a clean wave."""
RANK = 1e-10
"""A component with less than this fraction of the variance is rounding error."""


@dataclass(frozen=True, eq=False)
class EmbeddingComponents(Drawable):
    """Principal components of the first operand's token embedding, strongest first.

    Attributes:
        mean: [d_model], the mean embedding.
        directions: [components, d_model], orthonormal.
        scores: [order, components], the tokens along the directions, in the order of the group.
        variance: [components], share of the embedding's variance over the tokens.
        frequency: the block that holds most of each component's power.
        purity: [components], the share of its power there, 0..1; 1 for a pure wave.
    """

    mean: Float[Tensor, " d_model"]
    directions: Float[Tensor, "components d_model"]
    scores: Float[Tensor, "order components"]
    variance: Float[Tensor, " components"]
    frequency: tuple[Label, ...]
    purity: Float[Tensor, " components"]

    def rows(self) -> list[dict[str, Any]]:
        """One row per pair of components, as in the paper's figures: each pair is one circle."""
        return [
            {
                "components": (i + 1, i + 2),
                "frequencies": self.frequency[i : i + 2],
                "purity": tuple(round(p, 4) for p in self.purity[i : i + 2].tolist()),
                "variance": self.variance[i : i + 2].sum().item(),
            }
            for i in range(0, len(self.frequency) - 1, 2)
        ]

    def clean_circles(self, purity: float = CLEAN) -> list[dict[str, Any]]:
        """Those of the `rows` whose two components are waves of one frequency, the strongest first.

        Args:
            purity: the share of its power that each component has at least in this frequency.

        >>> from mechgrok.models.constructed import cosine_network
        >>> [row["frequencies"] for row in embedding_components(cosine_network(13, {2: 5.0})).clean_circles()]
        [(2, 2)]
        """
        return [
            row for row in self.rows() if len(set(row["frequencies"])) == 1 and min(row["purity"]) >= purity
        ]

    def project(self, embedding: Float[Tensor, "order d_model"]) -> Float[Tensor, "order components"]:
        """Another embedding of the same tokens along these directions, about its own mean."""
        embedding = embedding.to(self.directions)
        return (embedding - embedding.mean(0)) @ self.directions.T


@door
def embedding_components(source: Source, operand: Literal[0, 1] = 0) -> EmbeddingComponents:
    """Principal components of an operand's token embedding, with the frequency of each.

    Args:
        source: a network, or the grid of one.
        operand: 0 or 1; they differ if the operands have separate embeddings or vocabularies.

    Raises:
        UndefinedMetricError: the embedding is the same for all tokens; a task without two operands.

    Source: Zhong et al. 2023 (arXiv 2306.17844).

    >>> from mechgrok.models.constructed import cosine_network
    >>> embedding_components(cosine_network(7, {2: 5.0})).frequency
    (2, 2)
    """
    grid = as_grid(source, names=[])
    embedding = operand_embeddings(grid)[operand].double()
    mean = embedding.mean(0)
    left, strength, directions = torch.linalg.svd(embedding - mean, full_matrices=False)
    variance = strength.square() / strength.square().sum().clamp(min=1e-300)
    kept = strength.square() > RANK * embedding.square().sum()
    if not kept.any():
        raise UndefinedMetricError("the embedding is the same for all tokens: it has no components")
    scores = (left * strength)[:, kept]
    basis = grid.task.frame.basis
    power = basis.power(scores, dim=0)[1:]
    shares = power / power.sum(0)
    best = shares.max(dim=0)
    return EmbeddingComponents(
        mean=mean,
        directions=directions[kept],
        scores=scores,
        variance=variance[kept],
        frequency=tuple(basis.labels[i] for i in best.indices.tolist()),
        purity=best.values,
    )


def circularity(source: Source) -> float:
    """How purely each of the first four principal components of the embedding is a wave of one frequency, 0..1.

    Zhong et al. call an embedding circular from 0.995. The measure misleads if two circles have the same size:
    components then mix them, and a network made only of circles falls far below that. An embedding of lower rank
    has fewer components to average over.

    Raises:
        UndefinedMetricError: a group that is not cyclic; an embedding that is the same for all tokens.

    Source: Zhong et al. 2023, appendix; the alternating wave of even p counts like any other.

    >>> from mechgrok.models.constructed import cosine_network
    >>> round(circularity(cosine_network(7, {2: 5.0})), 6)
    1.0
    """
    grid = as_grid(source, names=[])
    check_circles(grid.task.frame.basis)
    return embedding_components(grid).purity[:PUBLISHED_COMPONENTS].mean().item()


def check_circles(basis: Basis) -> None:
    """Raise `UndefinedMetricError` for a basis whose blocks are not circles."""
    if not isinstance(basis, FourierBasis):
        raise UndefinedMetricError(f"circles need the Fourier basis of a cyclic group; the task has {basis}")


def operand_embeddings(grid: ActivationGrid) -> Float[Tensor, "2 order d_model"]:
    """The token embedding of each operand, in the order of the group, as it arrives at `hook_embed`.

    For bare tensors it is their W_E, for both operands.
    """
    if grid.source is None:
        return grid.token_embedding[grid.task.frame.tokens].expand(2, -1, -1)
    return embeddings_of(grid.model, grid.task)


def embeddings_of(model: HookedModel, task: Task) -> Float[Tensor, "2 order d_model"]:
    """The same of a network on a task.

    Raises:
        UndefinedMetricError: the task has no two operands.
        ActivationError: the network has no hook on its embedding.
    """
    if not task.frame.is_operation:
        raise UndefinedMetricError(f"operands have embeddings where there are two; {task.name} has one")
    # The inputs (x, x) present every token once to both operands, whatever the network's embedding looks like.
    tokens = task.tokens[task.frame.rows.diagonal()]
    embedded: list[Tensor] = []

    def keep(embedding: Tensor, hook: Any) -> None:
        embedded.append(embedding.detach().cpu())

    check_hook_names(model, ["hook_embed"])
    run_at_readout(model, tokens, [("hook_embed", keep)])
    # A user-defined network may embed one operand after the other.
    positions = torch.cat(embedded, dim=1)
    return torch.stack([positions[:, position] for position in as_operation(task).operand_positions])
