"""When training reached each milestone, and which kind of learning that is."""

from dataclasses import dataclass
from typing import Literal

from mechgrok.analysis.curves import History, as_rows, curve, first_step
from mechgrok.door import Share, door
from mechgrok.errors import UndefinedMetricError
from mechgrok.readable import Readable

Kind = Literal["comprehension", "grokking", "memorisation", "confusion"]

LOSSES = (("loss_train", 1e-2), ("loss_test", 0.5), ("loss_test", 1e-2))
"""Losses in nats below which a milestone is reached."""
GROKKED = 0.99
"""Test accuracy from which a network counts as grokked."""
ACCURACIES = (0.90, 0.95, GROKKED)
"""Test accuracies from which a milestone is reached."""
LEARNED = 0.90
WITHIN, LAG = 100_000, 1000
"""Accuracy, steps and delay in steps with which Liu et al. 2022 distinguish their phases of learning (appendix,
table 1; for MNIST they use a test accuracy of 0.6)."""
LOW_LOSS, APART = 1e-5, 5e4
"""Loss in nats, and ratio of test and train loss, with which Pearce et al. 2023 tell these kinds apart."""
FLOOR = 2.0**-23
"""The lowest train loss among theirs, that of a probability which is clipped at 1e-7 in float32."""


@dataclass(frozen=True)
class Learning(Readable):
    """The kind of learning shown by a training run, after Liu et al. 2022.

    Attributes:
        kind: "comprehension": train and test inputs are learned, with a delay below `lag` steps; "grokking": with
            a longer delay; "memorisation": only the train inputs are learned; "confusion": not even these.
        train, test: first step with the accuracy; None if never.
        within: step up to which that counts; the last one seen if the training is shorter.
        lag: delay in steps from which it is grokking.
    """

    kind: Kind
    train: int | None
    test: int | None
    within: int
    lag: int


@door
def kind_of_learning(
    history: History, *, accuracy: Share = LEARNED, within: int = WITHIN, lag: int = LAG
) -> Learning:
    """Classify a training run as comprehension, grokking, memorisation or confusion.

    The published thresholds are the defaults: 90% accuracy on train and on test inputs, each within 100,000
    steps, and a delay of 1000 steps or more between the two for grokking. They were chosen for learning rates of
    about 1e-3. A run with larger steps can go through all of grokking in a few hundred steps, and counts as
    comprehension by this bound; give another `lag` in that case.

    Args:
        history: rows with `step`, `accuracy_train` and `accuracy_test` in 0..1; or a run, its name or its folder.

    Raises:
        UndefinedMetricError: one of the accuracies was never measured.

    Source: Liu et al. 2022 (arXiv 2205.10343), appendix, table 1.

    >>> rows = [{"step": s, "accuracy_train": float(s > 99), "accuracy_test": float(s > 4999)}
    ...         for s in range(0, 8000, 100)]
    >>> kind_of_learning(rows)
    Learning(kind='grokking', train=100, test=5000, within=7900, lag=1000)
    """
    history = as_rows(history)
    for name in ("accuracy_train", "accuracy_test"):
        if not len(curve(history, name)):
            raise UndefinedMetricError(
                f"no row has an {name}, and the kind of learning needs both accuracies"
            )
    within = min(within, int(history[-1]["step"]))
    seen = [row for row in history if row["step"] <= within]
    train = first_step(seen, "accuracy_train", at_least=accuracy)
    test = first_step(seen, "accuracy_test", at_least=accuracy)
    return Learning(_kind(train, test, lag), train, test, within, lag)


def _kind(train: int | None, test: int | None, lag: int) -> Kind:
    if train is None:
        return "confusion"
    if test is None:
        return "memorisation"
    return "grokking" if test - train >= lag else "comprehension"


@door
def kind_by_losses(history: History, *, learned: int | float = LOW_LOSS, ratio: int | float = APART) -> Kind:
    """The kind of learning by losses alone, after Pearce et al. 2023, who sort their sweep that way.

    "confusion": the train loss never comes down to `learned`; "memorisation": the test loss does not; "grokking": both
    do, after the test loss was more than `ratio` times the train loss; "comprehension": the two fell together.

    Args:
        history: rows with `loss_train` and `loss_test` in nats; or a run, its name or its folder.
        learned: loss in nats up to which inputs count as learned.
        ratio: of test loss and train loss, where a train loss below 2^-23, at which theirs ends, counts as that.

    Raises:
        UndefinedMetricError: one of the losses was never measured.

    Source: Pearce et al. 2023, the chart of the sweep on "1s and 0s" and its code.

    >>> rows = [{"step": 0, "loss_train": 0.7, "loss_test": 0.7}, {"step": 100, "loss_train": 1e-6, "loss_test": 0.6},
    ...         {"step": 200, "loss_train": 1e-6, "loss_test": 1e-6}]
    >>> kind_by_losses(rows), kind_by_losses(rows[:2])
    ('grokking', 'memorisation')
    """
    history = as_rows(history)
    train, test = curve(history, "loss_train"), curve(history, "loss_test")
    both = sorted(set(train.steps.tolist()) & set(test.steps.tolist()))
    if not both:
        raise UndefinedMetricError(
            "the kind of learning by losses needs rows with both a loss_train and a loss_test"
        )
    if train.values.min() > learned:
        return "confusion"
    if test.values.min() > learned:
        return "memorisation"
    apart = max(test.at(step) / max(train.at(step), FLOOR) for step in both)
    return "grokking" if apart > ratio else "comprehension"


def milestones(history: History) -> dict[str, int | None]:
    """First measured step of each milestone by its name; None if never reached, absent if not measured.

    Train loss below 0.01 nats, test loss below 0.5 and 0.01, test accuracy of 90, 95 and 99%. The step is that of
    the first such row: between it and the preceding row nothing is known. `first_step` takes any bound.

    >>> milestones([{"step": 0, "loss_train": 5.0}, {"step": 10, "loss_train": 1e-3}])
    {'loss_train < 0.01': 10}
    """
    history = as_rows(history)
    bounds = [(name, f"< {bound:g}", {"below": bound}) for name, bound in LOSSES]
    bounds += [("accuracy_test", f">= {bound:g}", {"at_least": bound}) for bound in ACCURACIES]
    measured = {name for row in history for name, value in row.items() if value is not None}
    return {
        f"{name} {rule}": first_step(history, name, **bound)
        for name, rule, bound in bounds
        if name in measured
    }
