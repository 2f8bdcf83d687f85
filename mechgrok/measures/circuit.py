"""Measures of the circuit at the key frequencies: what it achieves alone, and what is left without it."""

from mechgrok.algebra.bases import Label
from mechgrok.analysis.explained import LogitFVE, logit_fve as fve_of
from mechgrok.analysis.key_losses import EditedAnswers, exclude, restrict
from mechgrok.analysis.logit_surface import distance_irrelevance as irrelevance_of
from mechgrok.analysis.symmetricity import gradient_symmetricity as symmetricity_of
from mechgrok.measures.invariances import CONFIDENCE, all_but
from mechgrok.measures.references import ALL, GUESSING, SYMMETRIC
from mechgrok.measures.registry import measure
from mechgrok.measures.snapshot import Snapshot

NANDA = "Nanda et al. 2023 (arXiv 2301.05217)"
ZHONG = "Zhong et al. 2023 (arXiv 2306.17844)"
PUBLISHED_TRIPLES = 100


@measure(
    "nats",
    direction="down",
    needs=["keys"],
    citation=NANDA,
    reference=GUESSING,
    invariances=CONFIDENCE,
)
def restricted_loss(snapshot: Snapshot) -> float:
    """Cross-entropy of the key blocks alone, over all inputs."""
    return snapshot.once(restricted).loss


@measure("fraction", direction="up", needs=["keys"], citation=NANDA, reference=ALL, invariances=all_but())
def restricted_accuracy(snapshot: Snapshot) -> float:
    """Share of right answers from the key blocks alone, over all inputs."""
    return snapshot.once(restricted).accuracy


@measure(
    "nats",
    direction="down",
    needs=["keys"],
    citation=NANDA,
    title="Restricted loss, one key alone",
    reference=GUESSING,
    invariances=CONFIDENCE,
)
def restricted_loss_per_key(snapshot: Snapshot) -> dict[Label, float]:
    """Cross-entropy of one key block alone, over all inputs."""
    return {key: answers.loss for key, answers in snapshot.once(restricted_per_key).items()}


@measure(
    "fraction",
    direction="up",
    needs=["keys"],
    citation=NANDA,
    title="Restricted accuracy, one key alone",
    invariances=all_but(),
)
def restricted_accuracy_per_key(snapshot: Snapshot) -> dict[Label, float]:
    """Share of right answers from one key block alone, over all inputs."""
    return {key: answers.accuracy for key, answers in snapshot.once(restricted_per_key).items()}


@measure(
    "nats",
    direction="up",
    needs=["keys", "split"],
    citation=NANDA,
    reference=GUESSING,
    invariances=CONFIDENCE,
)
def excluded_loss(snapshot: Snapshot) -> float:
    """Cross-entropy without the key blocks, over the train inputs."""
    return snapshot.once(excluded).loss


@measure("fraction", direction="down", needs=["keys", "split"], citation=NANDA, invariances=all_but())
def excluded_accuracy(snapshot: Snapshot) -> float:
    """Share of right answers without the key blocks, over the train inputs."""
    return snapshot.once(excluded).accuracy


@measure(
    "nats",
    direction="up",
    needs=["keys", "split"],
    citation=NANDA,
    title="Excluded loss, one key removed",
    reference=GUESSING,
    invariances=CONFIDENCE,
)
def excluded_loss_per_key(snapshot: Snapshot) -> dict[Label, float]:
    """Cross-entropy without one key block, over the train inputs."""
    return {key: answers.loss for key, answers in snapshot.once(excluded_per_key).items()}


@measure(
    "fraction",
    direction="down",
    needs=["keys", "split"],
    citation=NANDA,
    title="Excluded accuracy, one key removed",
    invariances=all_but(),
)
def excluded_accuracy_per_key(snapshot: Snapshot) -> dict[Label, float]:
    """Share of right answers without one key block, over the train inputs."""
    return {key: answers.accuracy for key, answers in snapshot.once(excluded_per_key).items()}


@measure(
    "fraction",
    direction="up",
    needs=["keys"],
    citation=NANDA,
    title="Logits explained",
    reference=ALL,
    invariances=all_but(),
)
def logit_fve(snapshot: Snapshot) -> float:
    """Fraction of the variance of the logits over the classes along chi(a∘b∘c^-1) of the key blocks."""
    return snapshot.once(explained).fraction


@measure(
    "fraction",
    direction="up",
    needs=["keys"],
    citation=NANDA,
    title="Logits explained by each key",
    invariances=all_but(),
)
def logit_fve_per_key(snapshot: Snapshot) -> dict[Label, float]:
    """Fraction of the variance of the logits over the classes along chi(a∘b∘c^-1) of each key block."""
    return snapshot.once(explained).per_key


@measure("fraction", citation=ZHONG, reference=ALL, invariances=all_but("shift of logits"))
def distance_irrelevance(snapshot: Snapshot) -> float:
    """How little the right logit depends on the distance a-b: low in a pizza, high in a clock."""
    return irrelevance_of(snapshot.grid)


@measure(
    "cosine",
    citation=ZHONG,
    default=False,
    reference=SYMMETRIC,
    invariances=all_but("shift of logits", "relabelled frequencies", "shifted operands"),
)
def gradient_symmetricity(snapshot: Snapshot) -> float:
    """Mean cosine between the gradients at the two operands, over the 100 published triples (a, b, c)."""
    n_triples = snapshot.task.n_inputs * snapshot.task.n_classes
    return symmetricity_of(snapshot.grid, min(PUBLISHED_TRIPLES, n_triples)).value


def explained(snapshot: Snapshot) -> LogitFVE:
    """Share of the logits explained by the key blocks."""
    return fve_of(snapshot.grid, snapshot.keys)


def restricted(snapshot: Snapshot) -> EditedAnswers:
    """Answers of the key blocks alone, over all inputs in the frame."""
    return restrict(snapshot.grid, snapshot.keys)


def restricted_per_key(snapshot: Snapshot) -> dict[Label, EditedAnswers]:
    """Answers of each key block alone."""
    return {key: restrict(snapshot.grid, [key]) for key in snapshot.keys}


def excluded(snapshot: Snapshot) -> EditedAnswers:
    """Answers without the key blocks, over the train inputs in the frame."""
    return exclude(snapshot.grid, snapshot.keys, snapshot.train)


def excluded_per_key(snapshot: Snapshot) -> dict[Label, EditedAnswers]:
    """Answers without each key block."""
    return {key: exclude(snapshot.grid, [key], snapshot.train) for key in snapshot.keys}
