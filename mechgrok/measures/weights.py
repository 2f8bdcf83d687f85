"""Measures of the weights: their size, and how sparse they are in the task's basis."""

from jaxtyping import Float
from torch import Tensor

from mechgrok.analysis.centring import rounding_power
from mechgrok.analysis.embeddings import circularity as circularity_of
from mechgrok.analysis.spectrum import (
    fourier_coefficient_ratio,
    fourier_frequency_density,
    frequency_norms,
    gini,
    sum_squared_weights as sum_of,
)
from mechgrok.errors import UndefinedMetricError
from mechgrok.measures.circuit import NANDA, ZHONG
from mechgrok.measures.invariances import all_but
from mechgrok.measures.references import EVEN, ROUND, UNEVEN
from mechgrok.measures.registry import measure
from mechgrok.measures.snapshot import Snapshot
from mechgrok.models.protocol import all_weights, neuron_logit_map, token_embedding
from mechgrok.tasks import as_operation

FURUTA = "Furuta et al. 2024 (arXiv 2402.16726)"
SIZE = all_but("shift of logits", "scale of logits", "scale of neurons")


@measure(
    "fraction", direction="up", citation=NANDA, title="Gini of W_E", reference=UNEVEN, invariances=all_but()
)
def gini_W_E(snapshot: Snapshot) -> float:
    """Gini coefficient of the norms of the token embedding, one per block of the basis."""
    return gini(frequency_norms(snapshot.once(embedding), basis=snapshot.frame.basis))


@measure(
    "fraction",
    direction="up",
    needs=["neurons"],
    citation=NANDA,
    title="Gini of W_L",
    reference=UNEVEN,
    invariances=all_but("scale of neurons"),
)
def gini_W_L(snapshot: Snapshot) -> float:
    """Gini coefficient of the norms of the neuron-logit map, one per block of the basis."""
    return gini(frequency_norms(snapshot.once(logit_map), basis=snapshot.frame.basis))


@measure(
    "fraction",
    direction="down",
    citation=FURUTA,
    title="FFD of W_E",
    reference=EVEN,
    invariances=all_but("shifted operands"),
)
def fourier_frequency_density_W_E(snapshot: Snapshot) -> float:
    """FFD of the token embedding: the fraction of cosines and sines with more than half of the largest norm."""
    return fourier_frequency_density(snapshot.once(embedding), basis=snapshot.frame.basis)


@measure(
    "fraction",
    direction="down",
    needs=["neurons"],
    citation=FURUTA,
    title="FFD of W_L",
    reference=EVEN,
    invariances=all_but("scale of neurons", "shifted operands"),
)
def fourier_frequency_density_W_L(snapshot: Snapshot) -> float:
    """FFD of the neuron-logit map."""
    return fourier_frequency_density(snapshot.once(logit_map), basis=snapshot.frame.basis)


@measure(
    "fraction", citation=FURUTA, title="FCR of W_E", reference=EVEN, invariances=all_but("shifted operands")
)
def fourier_coefficient_ratio_W_E(snapshot: Snapshot) -> float:
    """FCR of the token embedding: how evenly cosine and sine share each frequency."""
    return fourier_coefficient_ratio(snapshot.once(embedding), basis=snapshot.frame.basis)


@measure(
    "fraction",
    needs=["neurons"],
    citation=FURUTA,
    title="FCR of W_L",
    reference=EVEN,
    invariances=all_but("scale of neurons", "shifted operands"),
)
def fourier_coefficient_ratio_W_L(snapshot: Snapshot) -> float:
    """FCR of the neuron-logit map."""
    return fourier_coefficient_ratio(snapshot.once(logit_map), basis=snapshot.frame.basis)


@measure("squared weight", direction="down", citation=NANDA, title="Sum of squared weights", invariances=SIZE)
def sum_squared_weights(snapshot: Snapshot) -> float:
    """Sum of the squares of all parameters, including biases and special tokens."""
    return sum_of(snapshot.model)


@measure(
    "squared weight",
    direction="down",
    citation=NANDA,
    title="Sum of squared weights by tensor",
    invariances=SIZE,
)
def sum_squared_weights_per_tensor(snapshot: Snapshot) -> dict[str, float]:
    """Sum of the squares of each parameter tensor."""
    return {name: w.double().square().sum().item() for name, w in all_weights(snapshot.model).items()}


@measure(
    "dimensions",
    direction="down",
    citation="participation ratio of the covariance spectrum",
    invariances=all_but(),
)
def effective_dimension(snapshot: Snapshot) -> float:
    """Effective dimension of the embedding of the operands' tokens: 1 for a line, d for d equal directions.

    It is (sum_i l_i)^2 / sum_i l_i^2, with l_i the eigenvalues of the covariance of the tokens' embedding
    vectors.
    """
    E = token_embedding(snapshot.model)[: as_operation(snapshot.task).n_symbols]
    centred = E.double() - E.double().mean(0)
    gram = centred @ centred.T  # has the eigenvalues of the covariance, up to a factor and zeros
    if gram.trace() <= rounding_power(E):
        raise UndefinedMetricError("the embedding is the same for all tokens: it has no dimension")
    return (gram.trace().square() / gram.square().sum()).item()


@measure("fraction", direction="up", citation=ZHONG, default=False, reference=ROUND, invariances=all_but())
def circularity(snapshot: Snapshot) -> float:
    """How purely each of the first four principal components of the embedding is a wave of one frequency."""
    return circularity_of(snapshot.grid)


def embedding(snapshot: Snapshot) -> Float[Tensor, "order d_model"]:
    """The token embedding in the order of the group."""
    return token_embedding(snapshot.model)[snapshot.frame.tokens]


def logit_map(snapshot: Snapshot) -> Float[Tensor, "order d_mlp"]:
    """The neuron-logit map, transposed, in the order of the group."""
    return neuron_logit_map(snapshot.model, snapshot.task.n_classes).T[snapshot.frame.element_classes]
