"""How a network that composes group elements uses the irreps: the measures of Chughtai et al. 2023.

On Z_p the irreps are the frequencies, so everything here also applies to modular arithmetic.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.activations import Source, as_grid
from mechgrok.algebra import Basis
from mechgrok.algebra.bases import Label
from mechgrok.analysis.by_answer import logits_by_answer, means_by_answer
from mechgrok.analysis.frequencies import find_key_frequencies
from mechgrok.analysis.key_losses import check_keys, excluded_loss, restricted_loss
from mechgrok.analysis.projections import mean_by_quotient
from mechgrok.analysis.spectrum import Matrix, Weights, weight_spectrum
from mechgrok.door import Share, door
from mechgrok.drawable import Drawable
from mechgrok.errors import UndefinedMetricError
from mechgrok.models.protocol import HookedModel, token_embedding

SIMILAR = 0.005
"""Similarity from which Chughtai et al. 2023 call an irrep a key (released code)."""

Fractions = dict[Label, float]


@dataclass(frozen=True)
class HiddenFractions(Drawable):
    """Shares of the variance of the last hidden layer over the inputs, per non-trivial irrep, 0..1.

    Attributes:
        first, second: share explained by functions rho_ij(a) of the first operand alone; by rho_ij(b) of the
            second.
        product: share explained by functions rho_ij(a∘b).
    """

    first: Fractions
    second: Fractions
    product: Fractions


@dataclass(frozen=True)
class RepresentationMeasures(Drawable):
    """How much each irrep is used, from the embedding to the logits, and what the key irreps alone achieve.

    Attributes:
        keys: the key irreps.
        similarity: cosine between the logits, centred over the classes, and chi(a∘b∘c^-1), -1..1.
        embedding, embedding_second: shares of the squared norm of the embedding of the first and the second
            operand, "trivial" included; see `operand_maps`.
        unembedding: the same for W_L = W_out @ W_U.
        hidden: shares of the variance of the last hidden layer; None if `hidden_fractions` is undefined.
        restricted_loss, excluded_loss: at the neurons and without the mean, see `mechgrok.restricted_loss`;
            over all inputs, and over the train inputs (None without them).
    """

    keys: tuple[Label, ...]
    similarity: Fractions
    embedding: Fractions
    embedding_second: Fractions
    unembedding: Fractions
    hidden: HiddenFractions | None
    restricted_loss: float
    excluded_loss: float | None

    @property
    def logits_explained(self) -> float:
        """Fraction of the logits' variance over the classes along the characters of all irreps, 0..1."""
        return sum(similarity**2 for similarity in self.similarity.values())

    @property
    def shares(self) -> dict[str, Fractions]:
        """Shares for each part of the network, from the embedding to the unembedding."""
        parts = {"embedding": self.embedding, "embedding_second": self.embedding_second}
        if self.hidden is not None:
            parts |= {f"hidden_{name}": shares for name, shares in vars(self.hidden).items()}
        return parts | {"unembedding": self.unembedding}

    def rows(self) -> list[dict[str, float | Label]]:
        """One row per irrep, for a table."""
        return [
            {
                "irrep": label,
                "key": label in self.keys,
                "similarity": self.similarity[label],
                **{part: shares[label] for part, shares in self.shares.items()},
            }
            for label in self.similarity
        ]

    def __repr__(self) -> str:
        used = ", ".join(f"{key}: {self.similarity[key]:z.3f}" for key in self.keys)
        return f"RepresentationMeasures({used}; {self.logits_explained:z.1%} of the logits explained)"


@door
def representation_measures(
    source: Source,
    keys: Iterable[Label] | None = None,
    train: Bool[Tensor, " inputs"] | None = None,
) -> RepresentationMeasures:
    """Compute all measures of this module for one network.

    Args:
        source: a network, or the grid of one with its neurons cached.
        keys: the key irreps; by default, the ones that `find_key_frequencies` finds.
        train: mask of the train inputs, for the excluded loss.

    Raises:
        UndefinedMetricError: no key irreps, or logits that do not vary.
        ActivationError: a grid without its network.

    Source: Chughtai et al. 2023 (arXiv 2302.03025), sections 5 and 6 and released code.

    >>> from mechgrok.models.constructed import cosine_network
    >>> representation_measures(cosine_network(7, {1: 3.0, 2: 4.0}))
    RepresentationMeasures(1: 0.600, 2: 0.800; 100.0% of the logits explained)
    """
    grid = as_grid(source)
    labels = check_keys(grid, find_key_frequencies(grid) if keys is None else keys)
    frame = grid.task.frame
    first, second = (
        weight_fractions(weights[frame.tokens + offset], basis=frame.basis)
        for weights, offset in zip(operand_maps(grid.model), grid.operation.operand_offsets, strict=True)
    )
    return RepresentationMeasures(
        keys=labels,
        similarity=character_similarity(grid),
        embedding=first,
        embedding_second=second,
        unembedding=weight_fractions(grid, matrix="W_L"),
        hidden=hidden_fractions(grid) if frame.is_latin_square else None,
        restricted_loss=restricted_loss(grid, labels, site="neurons"),
        excluded_loss=None if train is None else excluded_loss(grid, labels, train, site="neurons"),
    )


def operand_maps(model: HookedModel) -> tuple[Float[Tensor, "d_vocab d"], Float[Tensor, "d_vocab d"]]:
    """The linear map applied to the tokens of each operand before any non-linearity; on the CPU.

    For an MLP this is their contribution to the first hidden layer, for a transformer the token embedding, twice.
    """
    own = getattr(model, "operand_maps", None)
    if own is None:
        return token_embedding(model), token_embedding(model)
    first, second = own()
    return first.detach().cpu(), second.detach().cpu()


def character_similarity(source: Source) -> Fractions:
    """Cosine between the logits, centred over the classes, and chi(a∘b∘c^-1), per non-trivial irrep.

    The squares add up to the fraction of the logits explained.

    Raises:
        UndefinedMetricError: the logits do not vary over the classes.

    >>> from mechgrok.models.constructed import cosine_network
    >>> similarity = character_similarity(cosine_network(7, {1: 3.0, 2: 4.0}))
    >>> {k: round(s, 6) + 0 for k, s in similarity.items()}
    {1: 0.6, 2: 0.8, 3: 0.0}
    """
    grid = as_grid(source)
    frame = grid.task.frame
    logits = grid.logits.double()
    inside = logits[frame.covers(len(logits))]
    norm = (inside - inside.mean(dim=1, keepdim=True)).norm().item()
    if norm == 0:
        raise UndefinedMetricError("the logits do not vary over the classes, so they resemble no character")
    profile = mean_by_quotient(logits_by_answer(grid), frame)
    # Each value of a character occurs once for every input.
    scale = sqrt(frame.counts.sum().item()) / norm
    return {label: (frame.basis.character(label) @ profile).item() * scale for label in frame.basis.labels}


@door
def key_irreps(source: Source, threshold: Share = SIMILAR) -> tuple[Label, ...]:
    """The irreps whose similarity exceeds a threshold: the rule of Chughtai et al. 2023 (released code).

    It is more generous than `find_key_frequencies`, which requires 1% of the strongest irrep's power: at the
    threshold of 0.005 an irrep explains 0.0025% of the logits.

    >>> from mechgrok.models.constructed import cosine_network
    >>> key_irreps(cosine_network(7, {1: 0.05, 2: 4.0}))
    (1, 2)
    """
    return tuple(label for label, s in character_similarity(source).items() if s > threshold)


def weight_fractions(source: Weights, *, matrix: Matrix = "W_E", basis: Basis | None = None) -> Fractions:
    """Share of the squared norm of a weight matrix in each irrep, the trivial one included; they add up to 1.

    Arguments and errors are as in `weight_spectrum`.

    >>> import torch
    >>> angles = 2 * torch.pi * torch.arange(7) / 7
    >>> fractions = weight_fractions(torch.stack([3 * angles.cos(), 4 * (2 * angles).sin()], dim=1))
    >>> {k: round(share, 6) for k, share in fractions.items()}
    {'trivial': 0.0, 1: 0.36, 2: 0.64, 3: 0.0}
    """
    norms, basis = weight_spectrum(source, matrix=matrix, basis=basis)
    shares = [(norms[block.rows].norm() / norms.norm()).square().item() for block in basis.blocks]
    return dict(zip(("trivial", *basis.labels), shares, strict=True))


def hidden_fractions(source: Source, *, site: str | None = None) -> HiddenFractions:
    """Shares of the variance of a hidden layer that the irreps of a, of b and of a∘b explain.

    For an operation other than a product of group elements, a∘b stands for its answer.

    Args:
        site: name of the hook; by default, the neurons of the last hidden layer.

    Raises:
        UndefinedMetricError: the activations do not vary; with one operand held fixed, the answers are not equally
            frequent.

    >>> from mechgrok.models.constructed import cosine_network
    >>> shares = hidden_fractions(cosine_network(7, {1: 1.0}))
    >>> round(shares.product[1], 3), round(shares.first[1], 3)
    (0.4, 0.0)
    """
    grid = as_grid(source, names=None if site is None else [site])
    hidden = (grid.neurons if site is None else grid[site]).double()
    frame = grid.task.frame
    if not frame.is_latin_square:
        raise UndefinedMetricError(
            f"in {grid.task.name} the answers are not equally frequent for each a and for each b, so functions of the "
            "answer, of a and of b overlap and have no shares of their own"
        )
    square = frame.square(hidden)
    total = (square - square.mean(dim=(0, 1))).square().sum()
    if total == 0:
        raise UndefinedMetricError("the activations do not vary over the inputs, so nothing explains them")

    def shares(means: Float[Tensor, "order features"]) -> Fractions:
        power = frame.basis.power(means, dim=0).sum(dim=1)[1:] * frame.order / total
        return dict(zip(frame.basis.labels, power.tolist(), strict=True))

    return HiddenFractions(
        first=shares(square.mean(dim=1)),
        second=shares(square.mean(dim=0)),
        product=shares(means_by_answer(hidden, frame)),
    )
