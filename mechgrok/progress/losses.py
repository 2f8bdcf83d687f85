"""Measures of how well the network answers: losses, accuracies, margins."""

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.analysis.losses import accuracy, full_loss, r2
from mechgrok.errors import UndefinedMetricError
from mechgrok.progress.registry import measure
from mechgrok.progress.snapshot import Snapshot


@measure("nats", direction="down", needs=["split"])
def loss_train(snapshot: Snapshot) -> float:
    """Cross-entropy over the train inputs."""
    return full_loss(snapshot.grid, snapshot.train)


@measure("nats", direction="down", needs=["split"])
def loss_test(snapshot: Snapshot) -> float:
    """Cross-entropy over the test inputs."""
    return full_loss(snapshot.grid, snapshot.test)


@measure("fraction", direction="up", needs=["split"])
def accuracy_train(snapshot: Snapshot) -> float:
    """Share of right answers to the train inputs."""
    return accuracy(snapshot.grid, snapshot.train)


@measure("fraction", direction="up", needs=["split"])
def accuracy_test(snapshot: Snapshot) -> float:
    """Share of right answers to the test inputs."""
    return accuracy(snapshot.grid, snapshot.test)


@measure("fraction", direction="up", needs=["split", "values"])
def r2_train(snapshot: Snapshot) -> float:
    """Share of the variance of values that the outputs explain, over the train inputs."""
    return r2(snapshot.grid, snapshot.train)


@measure("fraction", direction="up", needs=["split", "values"])
def r2_test(snapshot: Snapshot) -> float:
    """Share of the variance of values that the outputs explain, over the test inputs."""
    return r2(snapshot.grid, snapshot.test)


@measure("logits", direction="up", needs=["split"], source="Morwani et al. 2023 (arXiv 2311.07568)")
def margin_min(snapshot: Snapshot) -> float:
    """Smallest margin over the train inputs: the right logit less the largest wrong one."""
    return snapshot.once(train_margins).min().item()


@measure("logits", direction="up", needs=["split"])
def margin_median(snapshot: Snapshot) -> float:
    """Median margin over the train inputs; of an even number the lower of the two in the middle."""
    return snapshot.once(train_margins).median().item()


def train_margins(snapshot: Snapshot) -> Float[Tensor, " train"]:
    """The right logit less the largest wrong one, for each answer to a train input.

    Raises:
        UndefinedMetricError: answers are values.
    """
    targets = snapshot.task.examples.targets[snapshot.train]
    if targets.is_floating_point():
        raise UndefinedMetricError("answers are values, and no logits compete")
    logits, labels = snapshot.logits[snapshot.train].flatten(0, -2), targets.flatten()[:, None]
    return logits.gather(1, labels).squeeze(1) - logits.scatter(1, labels, -torch.inf).amax(1)
