"""Measures of the circuit at the key frequencies: what it can do alone, and what is left without it."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from mechgrok.algebra.bases import Label
from mechgrok.analysis.frequencies import rounding_power
from mechgrok.analysis.logit_surface import distance_irrelevance as irrelevance_of
from mechgrok.analysis.losses import cross_entropy, right_after_edit
from mechgrok.analysis.projections import character_power, project_on_characters, project_on_product
from mechgrok.analysis.symmetricity import gradient_symmetricity as symmetricity_of
from mechgrok.errors import UndefinedMetricError
from mechgrok.progress.answers import AnswerFrame, group_of_inputs, sum_by
from mechgrok.progress.registry import measure
from mechgrok.progress.snapshot import Snapshot

NANDA = "Nanda et al. 2023 (arXiv 2301.05217)"
ZHONG = "Zhong et al. 2023 (arXiv 2306.17844)"
PUBLISHED_TRIPLES = 100


@dataclass(frozen=True)
class Outcome:
    """How well some logits answer."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Outcomes:
    """With all keys together, and with each alone."""

    joint: Outcome
    per_key: dict[Label, Outcome]


@measure("nats", direction="down", needs=["keys"], source=NANDA)
def restricted_loss(snapshot: Snapshot) -> float:
    """Cross-entropy over all inputs of what the key blocks alone compute."""
    return snapshot.once(restricted).joint.loss


@measure("fraction", direction="up", needs=["keys"], source=NANDA)
def restricted_accuracy(snapshot: Snapshot) -> float:
    """Share of right answers of what the key blocks alone compute, over all inputs."""
    return snapshot.once(restricted).joint.accuracy


@measure("nats", direction="down", needs=["keys"], source=NANDA)
def restricted_loss_per_key(snapshot: Snapshot) -> dict[Label, float]:
    """Cross-entropy over all inputs of what one key block alone computes."""
    return {key: outcome.loss for key, outcome in snapshot.once(restricted).per_key.items()}


@measure("fraction", direction="up", needs=["keys"], source=NANDA)
def restricted_accuracy_per_key(snapshot: Snapshot) -> dict[Label, float]:
    """Share of right answers of what one key block alone computes, over all inputs."""
    return {key: outcome.accuracy for key, outcome in snapshot.once(restricted).per_key.items()}


@measure("nats", direction="up", needs=["keys", "split"], source=NANDA)
def excluded_loss(snapshot: Snapshot) -> float:
    """Cross-entropy over the train inputs without what the key blocks compute."""
    return snapshot.once(excluded).joint.loss


@measure("fraction", direction="down", needs=["keys", "split"], source=NANDA)
def excluded_accuracy(snapshot: Snapshot) -> float:
    """Share of right answers to the train inputs without what the key blocks compute."""
    return snapshot.once(excluded).joint.accuracy


@measure("nats", direction="up", needs=["keys", "split"], source=NANDA)
def excluded_loss_per_key(snapshot: Snapshot) -> dict[Label, float]:
    """Cross-entropy over the train inputs without what one key block computes."""
    return {key: outcome.loss for key, outcome in snapshot.once(excluded).per_key.items()}


@measure("fraction", direction="down", needs=["keys", "split"], source=NANDA)
def excluded_accuracy_per_key(snapshot: Snapshot) -> dict[Label, float]:
    """Share of right answers to the train inputs without what one key block computes."""
    return {key: outcome.accuracy for key, outcome in snapshot.once(excluded).per_key.items()}


@measure("fraction", direction="up", needs=["keys"], source=NANDA)
def logit_fve(snapshot: Snapshot) -> float:
    """Fraction of the variance of the logits over the classes along chi(a∘b∘c^-1) of the key blocks."""
    means, answers = snapshot.once(logits_by_answer)
    along = project_on_characters(means, answers, snapshot.keys).square().sum(1)
    return (along @ answers.counts).item() / snapshot.once(class_variance)


@measure("fraction", direction="up", needs=["keys"], source=NANDA)
def logit_fve_per_key(snapshot: Snapshot) -> dict[Label, float]:
    """Fraction of the variance of the logits over the classes along chi(a∘b∘c^-1) of each key block."""
    shares = character_power(*snapshot.once(logits_by_answer)) / snapshot.once(class_variance)
    labels = snapshot.frame.basis.labels
    return {key: shares[labels.index(key)].item() for key in snapshot.keys}


@measure("fraction", source=ZHONG)
def distance_irrelevance(snapshot: Snapshot) -> float:
    """How little the right logit depends on the answer at each distance a-b: low in a pizza, high in a clock."""
    return irrelevance_of(snapshot.grid)


@measure("cosine", source=ZHONG, default=False)
def gradient_symmetricity(snapshot: Snapshot) -> float:
    """Mean cosine between the gradients at both operands, over the 100 published triples (a, b, c)."""
    n_triples = snapshot.task.n_inputs * snapshot.task.n_classes
    return symmetricity_of(snapshot.grid, min(PUBLISHED_TRIPLES, n_triples)).value


def logits_by_answer(snapshot: Snapshot) -> tuple[Float[Tensor, "order classes"], AnswerFrame]:
    """Mean logits over the inputs with the same answer, and the frame that reads them."""
    frame = snapshot.frame
    sums = sum_by(snapshot.logits, frame, frame.results)
    return sums / frame.counts.clamp(min=1)[:, None], AnswerFrame.of(frame)


def class_variance(snapshot: Snapshot) -> float:
    """Sum over the inputs in the frame of the squared logits, centred over the classes.

    Raises:
        UndefinedMetricError: the logits do not vary.
    """
    centred = snapshot.logits - snapshot.logits.mean(1, keepdim=True)
    squares = (centred * centred).sum(1)
    total = squares[snapshot.frame.covers(len(squares))].sum().item()
    if total <= rounding_power(snapshot.grid.logits):
        raise UndefinedMetricError("the logits do not vary, so there is no variance to explain")
    return total


def restricted(snapshot: Snapshot) -> Outcomes:
    """What the key blocks alone answer, over all inputs in the frame.

    It depends on the input through its answer alone, so one row for each answer, weighted by its inputs, is
    enough.
    """
    means, answers = snapshot.once(logits_by_answer)
    weights = answers.counts / answers.counts.sum()

    def outcome(part: Tensor) -> Outcome:
        logits = part + weights @ (means - part)
        right = (logits.argmax(1) == answers.classes).double()
        return Outcome((weights @ cross_entropy(logits, answers.classes)).item(), (weights @ right).item())

    return _outcomes(snapshot, outcome)


def excluded(snapshot: Snapshot) -> Outcomes:
    """What is answered without the key blocks, over the train inputs in the frame.

    Raises:
        UndefinedMetricError: no train input lies in the frame.
    """
    n_inputs = snapshot.task.n_inputs
    rows = (snapshot.train & snapshot.frame.covers(n_inputs)).nonzero().flatten()
    if not len(rows):
        raise UndefinedMetricError("no train input has a place in the group of the task")
    logits, labels = snapshot.logits[rows], snapshot.task.labels[rows]
    answers = group_of_inputs(snapshot.frame, snapshot.frame.results, n_inputs)[rows]

    def outcome(part: Tensor) -> Outcome:
        rest = logits - part[answers]
        right = right_after_edit(rest, labels, snapshot.grid.logits)
        return Outcome(cross_entropy(rest, labels).mean().item(), right.mean().item())

    return _outcomes(snapshot, outcome)


def _outcomes(snapshot: Snapshot, outcome: Callable[[Tensor], Outcome]) -> Outcomes:
    """An outcome for the part of the logits in all key blocks, and for that in each, [order, classes]."""
    means, answers = snapshot.once(logits_by_answer)
    joint, *single = (
        outcome(project_on_product(means, answers, labels))
        for labels in (snapshot.keys, *([key] for key in snapshot.keys))
    )
    return Outcomes(joint, dict(zip(snapshot.keys, single, strict=True)))
