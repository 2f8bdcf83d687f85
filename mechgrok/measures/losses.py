"""Measures of the network's performance: losses, accuracies, margins."""

from jaxtyping import Float
from torch import Tensor

from mechgrok.analysis.losses import accuracy, full_loss, margins, r2
from mechgrok.analysis.position_losses import PositionLosses, losses_by_position
from mechgrok.analysis.softmax_collapse import SoftmaxCollapse, softmax_collapse
from mechgrok.errors import UndefinedMetricError
from mechgrok.measures.invariances import CONFIDENCE, all_but
from mechgrok.measures.references import ALL, GUESSING, NO_MARGIN
from mechgrok.measures.registry import measure
from mechgrok.measures.snapshot import Snapshot

PRIETO = "Prieto et al. 2025 (arXiv 2501.04697)"


@measure(
    "nats",
    direction="down",
    needs=["split"],
    title="Train loss",
    reference=GUESSING,
    invariances=CONFIDENCE,
)
def loss_train(snapshot: Snapshot) -> float:
    """Cross-entropy over the train inputs."""
    return full_loss(snapshot.grid, snapshot.train)


@measure(
    "nats",
    direction="down",
    needs=["split"],
    title="Test loss",
    reference=GUESSING,
    invariances=CONFIDENCE,
)
def loss_test(snapshot: Snapshot) -> float:
    """Cross-entropy over the test inputs."""
    return full_loss(snapshot.grid, snapshot.test)


@measure(
    "fraction", direction="up", needs=["split"], title="Train accuracy", reference=ALL, invariances=all_but()
)
def accuracy_train(snapshot: Snapshot) -> float:
    """Share of right answers to the train inputs."""
    return accuracy(snapshot.grid, snapshot.train)


@measure(
    "fraction", direction="up", needs=["split"], title="Test accuracy", reference=ALL, invariances=all_but()
)
def accuracy_test(snapshot: Snapshot) -> float:
    """Share of right answers to the test inputs."""
    return accuracy(snapshot.grid, snapshot.test)


@measure(
    "fraction", direction="up", needs=["split", "values"], title="Train R2", invariances=("order of neurons",)
)
def r2_train(snapshot: Snapshot) -> float:
    """Share of the variance of the values that the outputs explain, over the train inputs."""
    return r2(snapshot.grid, snapshot.train)


@measure(
    "fraction", direction="up", needs=["split", "values"], title="Test R2", invariances=("order of neurons",)
)
def r2_test(snapshot: Snapshot) -> float:
    """Share of the variance of the values that the outputs explain, over the test inputs."""
    return r2(snapshot.grid, snapshot.test)


@measure(
    "nats",
    direction="down",
    needs=["split", "positions"],
    citation="Nanda et al. 2023 (arXiv 2301.05217)",
    title="Test loss of each position",
    reference=GUESSING,
    invariances=CONFIDENCE,
)
def loss_per_position(snapshot: Snapshot) -> dict[str, float]:
    """Cross-entropy of each scored position over the test inputs."""
    found = snapshot.once(positions_of_test)
    return dict(zip(found.labels, found.losses.tolist(), strict=True))


@measure(
    "fraction",
    direction="up",
    needs=["split", "positions"],
    title="All positions right",
    reference=ALL,
    invariances=all_but(),
)
def exact_match(snapshot: Snapshot) -> float:
    """Share of the test inputs that are answered rightly at all positions."""
    return snapshot.once(positions_of_test).exact_match


@measure(
    "logits",
    direction="up",
    needs=["split"],
    citation="Morwani et al. 2023 (arXiv 2311.07568)",
    title="Smallest margin",
    reference=NO_MARGIN,
    invariances=CONFIDENCE,
)
def margin_min(snapshot: Snapshot) -> float:
    """Smallest margin over the train inputs: the right logit minus the largest wrong one."""
    return snapshot.once(train_margins).min().item()


@measure(
    "logits",
    direction="up",
    needs=["split"],
    title="Median margin",
    reference=NO_MARGIN,
    invariances=CONFIDENCE,
)
def margin_median(snapshot: Snapshot) -> float:
    """Median margin over the train inputs; for an even number of inputs, the lower of the two middle values."""
    return snapshot.once(train_margins).median().item()


@measure(
    "fraction",
    needs=["split"],
    citation=PRIETO,
    title="Train answers without loss",
    invariances=CONFIDENCE,
)
def zero_loss(snapshot: Snapshot) -> dict[str, float]:
    """Share of the answers to train inputs whose loss is exactly 0 in float16, float32 and float64."""
    return snapshot.once(collapse).no_loss


@measure(
    "fraction",
    needs=["split"],
    citation=PRIETO,
    title="Train answers without gradient",
    invariances=CONFIDENCE,
)
def zero_gradient(snapshot: Snapshot) -> dict[str, float]:
    """Share of the answers to train inputs whose gradient is exactly 0 in float16, float32 and float64."""
    return snapshot.once(collapse).no_gradient


@measure("nats", direction="down", title="Loss", reference=GUESSING, invariances=CONFIDENCE, default=False)
def loss_all(snapshot: Snapshot) -> float:
    """Cross-entropy over all inputs."""
    return full_loss(snapshot.grid)


@measure("fraction", direction="up", title="Accuracy", reference=ALL, invariances=all_but(), default=False)
def accuracy_all(snapshot: Snapshot) -> float:
    """Share of right answers to all inputs."""
    return accuracy(snapshot.grid)


def collapse(snapshot: Snapshot) -> SoftmaxCollapse:
    """For which share of the train answers the loss, or its gradient, is exactly 0."""
    return softmax_collapse(snapshot.grid, snapshot.train)


def positions_of_test(snapshot: Snapshot) -> PositionLosses:
    """Losses and right answers of the test inputs at each scored position.

    Raises:
        UndefinedMetricError: there is one position alone, which needs no telling apart; answers are values.
    """
    task, test = snapshot.task, snapshot.test
    if task.signature.n_scored == 1:
        raise UndefinedMetricError(f"{task.name} has answers at one position alone")
    return losses_by_position(snapshot.grid.logits[test], task.examples.targets[test], task)


def train_margins(snapshot: Snapshot) -> Float[Tensor, " answers"]:
    """The right logit minus the largest wrong one, for each answer to a train input.

    Raises:
        UndefinedMetricError: answers are values.
    """
    targets = snapshot.task.examples.targets[snapshot.train]
    if targets.is_floating_point():
        raise UndefinedMetricError("answers are values, and no logits compete")
    return margins(snapshot.logits[snapshot.train].flatten(0, -2), targets.flatten())
