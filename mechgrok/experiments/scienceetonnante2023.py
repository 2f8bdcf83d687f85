"""scienceetonnante 2023, grokking with an embedding and a feed-forward layer: circles in the principal components."""

from collections.abc import Iterator, Sequence
from statistics import mean, median
from typing import Any

from mechgrok.analysis.curves import first_step
from mechgrok.experiments.milestones import median_step
from mechgrok.experiments.pictures import recorded_curve
from mechgrok.experiments.reproduction import Curve, Number, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.progress.embedding_course import EmbeddingCourse, embedding_course
from mechgrok.tasks import modular_task
from mechgrok.training.recipes import SCIENCEETONNANTE

P = 53
STEPS_PER_EPOCH = 22
"""Batches of 64 of its 1404 train inputs."""
EPOCHS = 2000
"""The epoch at which the published network's loss is 0.0; nothing visibly changes from there to epoch 20,000."""
TEST_EPOCHS: dict[float, tuple[Number, Number | None, Number | None]] = {
    0.05: (620, 400, 1000), 0.5: (780, 550, 1200), 0.9: (900, None, None), 0.99: (1040, 700, 1500),
}  # fmt: skip
"""Epoch from which this share of test inputs is right: published, and our bounds."""


PUBLISHED_CURVE = {
    620: 0.05,
    660: 0.1,
    700: 0.25,
    780: 0.5,
    840: 0.75,
    900: 0.9,
    940: 0.95,
    1040: 0.99,
    1100: 0.999,
}
"""Test accuracy by epoch."""
SHOWN_EPOCHS = (250, 750)
"""Checkpoints whose embedding the figure shows, in addition to the last one."""


def circles(full: bool) -> Iterator[Row | Curve]:
    """Train over seeds, and examine the embedding along its final principal components."""
    steps = STEPS_PER_EPOCH * (20_000 if full else EPOCHS)
    task = modular_task("add", P)
    runs = [train_kept(task, SCIENCEETONNANTE, seed=seed, steps=steps) for seed in range(5 if full else 3)]
    yield Row("median epoch of 100% train accuracy", 240, _epoch(runs, "accuracy_train", 1), 120, 360)
    for share, (published, low, high) in TEST_EPOCHS.items():
        epoch = _epoch(runs, "accuracy_test", share)
        yield Row(f"median epoch of {share:z.0%} test accuracy", published, epoch, low, high)
    peaks = [max(run.history, key=lambda row: row["loss_test"] or 0.0) for run in runs]
    yield Row(
        "highest test loss, median (nats)", 6.83, median(peak["loss_test"] or 0.0 for peak in peaks), 5.5, 8.5
    )
    yield Row(
        "its epoch, median", 220, median((peak["step"] or 0) / STEPS_PER_EPOCH for peak in peaks), 120, 360
    )
    courses = [embedding_course(run) for run in runs]
    clean = median(len(course.final.clean_circles()) for course in courses)
    yield Row("clean circles among the pairs of components, median", None, clean, 2)
    for run, course in zip(runs, courses, strict=True):
        yield from _embedding(run, course)
    yield from _figure(runs[0], courses[0])


def _embedding(run: Any, course: EmbeddingCourse) -> Iterator[Row]:
    seed = run.config.seed
    yield Row(
        f"accuracy on the test inputs at the end, seed {seed}", 1, run.history[-1]["accuracy_test"], 0.999
    )
    yield Row(
        f"clean circles among the pairs of components, seed {seed}", None, len(course.final.clean_circles())
    )
    last = _purity(course, course.steps[-1])
    yield Row(
        f"share of the two strongest clean circles in their frequencies at the end, seed {seed}",
        None,
        last,
        0.95,
    )
    memorised = first_step(run.history, "accuracy_train", at_least=1)
    gained = None if last is None or memorised is None else last - (_purity(course, memorised) or 0.0)
    yield Row(f"gain of this share since all train inputs are right, seed {seed}", None, gained, 0.08)


def _purity(course: EmbeddingCourse, step: int) -> int | float | None:
    """Mean share of power in their own frequency, for the components of the two strongest clean circles.

    At the checkpoint closest before a step; None without a clean circle.
    """
    at = max(i for i, kept in enumerate(course.steps) if kept <= step)
    pairs = [row["components"] for row in course.final.clean_circles()][:2]
    return mean(course.purity[at, [i - 1, j - 1]].mean().item() for i, j in pairs) if pairs else None


def _figure(run: Any, course: EmbeddingCourse) -> Iterator[Curve]:
    """Both accuracies, and the tokens along the first two components that finally form a circle."""
    axes: dict[str, Any] = {"x_title": "epoch", "y_title": "accuracy"}
    steps = [(row["step"] or 0) / STEPS_PER_EPOCH for row in run.history]
    for name in ("train", "test"):
        values = [row[f"accuracy_{name}"] for row in run.history]
        kept = [i for i, step in enumerate(steps) if step <= EPOCHS]
        yield recorded_curve("Accuracy", name, [steps[i] for i in kept], [values[i] for i in kept], **axes)
    epochs, shares = zip(*PUBLISHED_CURVE.items(), strict=True)
    yield Curve("Accuracy", "test, published", epochs, shares, dots=True, **axes)
    pairs = [row["components"] for row in course.final.clean_circles()]
    for i, j in pairs[:1]:
        for epoch in (*SHOWN_EPOCHS, course.steps[-1] // STEPS_PER_EPOCH):
            at = course.steps.index(epoch * STEPS_PER_EPOCH)
            x, y = (tuple(round(v, 3) for v in course.scores[at, :, n - 1].tolist()) for n in (i, j))
            titles: dict[str, Any] = {
                "x_title": f"component {i} of the last epoch",
                "y_title": f"component {j}",
            }
            yield Curve(f"Tokens at epoch {epoch}", "token", x, y, dots=True, **titles)


def _epoch(runs: Sequence[Any], name: str, share: Number) -> Number | None:
    step = median_step([first_step(run.history, name, at_least=share) for run in runs])
    return None if step is None else step / STEPS_PER_EPOCH
