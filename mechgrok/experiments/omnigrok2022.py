"""Liu, Michaud and Tegmark 2022, Omnigrok (arXiv 2210.01117): losses over the norm of the weights, an L and a U."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from mechgrok.analysis.curves import curve
from mechgrok.config import DenseConfig, ModelConfig, TrainConfig
from mechgrok.experiments.held_norm import as_linear, history_at_norm
from mechgrok.experiments.reproduction import Curve, Number, Row
from mechgrok.models.networks import make_network
from mechgrok.runs import HistoryRow
from mechgrok.tasks import Task, array_task, modular_task
from mechgrok.tasks.data import seeded
from mechgrok.training.networks import build_model
from mechgrok.training.recipes import FAST

SHAPE = DenseConfig(d_mlp=100, n_layers=2, act_fn="tanh")
STUDENT = TrainConfig(
    recipe="omnigrok-student",
    model=SHAPE,
    fraction=0.5,
    objective="mse",
    lr=3e-4,
    weight_decay=0.0,
    betas=(0.9, 0.999),
    warmup=0,
    steps=10_000,
    stop_when_settled=False,
    eval_every=100,
    checkpoint_every=10_000,
)
"""A student of the teacher's shape, two hidden layers of 100 neurons, on 100 of 200 inputs."""
STUDENT_ALPHAS = tuple(round(10 ** (power / 5), 3) for power in range(-5, 6))
"""From 0.1 to 10, as in the authors' notebook."""
D_TEACHER = 5
"""Inputs, and outputs, of the teacher."""

P = 53
TRANSFORMER = ModelConfig()
ADDITION = FAST.replace(
    model=TRANSFORMER,
    recipe="omnigrok-addition",
    fraction=0.4,
    weight_decay=0.0,
    steps=1000,
    stop_when_settled=False,
    eval_every=20,
    checkpoint_every=1000,
)
"""Addition on 40% of the pairs, at ten times the paper's learning rate."""
ADDITION_AT_LENGTH = ADDITION.replace(fraction=0.3, lr=1e-3, steps=20_000, checkpoint_every=20_000)
ADDITION_ALPHAS = (0.3, 0.45, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class AtNorm:
    """Both losses at one norm, alpha times the initial one, at the evaluation with the smallest train loss.

    At small norms the steps of Adam are large for the weights, and the last evaluation may be a worse one.
    """

    alpha: float
    train: float
    test: float


def landscape(full: bool) -> Iterator[Row | Curve]:
    """Minimise the train loss at several norms of the weights, and see both losses over the norm."""
    student = STUDENT if full else STUDENT.replace(steps=STUDENT.steps // 2)
    for seed in range(3 if full else 1):
        task = teacher_task(seed)
        network = as_linear(build_model(task, SHAPE), "student", seed)
        points = reduced_landscape(task, student, network, STUDENT_ALPHAS, seed=seed)
        yield from student_rows(points, seed)
        yield from _curves(f"Teacher and student, seed {seed}", points, "mean squared error")
    p, recipe = (113, ADDITION_AT_LENGTH) if full else (P, ADDITION)
    for seed in range(3 if full else 1):
        task = modular_task("add", p)
        network = build_model(task, TRANSFORMER, seed=seed)
        points = reduced_landscape(task, recipe, network, ADDITION_ALPHAS, seed=seed)
        yield from addition_rows(points, seed)
        yield from _curves(f"Addition, seed {seed}", points, "loss (nats)")


def teacher_task(seed: int) -> Task:
    """200 normal inputs with the answers of a random network of the student's shape."""
    sizes = SHAPE.for_sizes(features=(D_TEACHER,), d_vocab_out=D_TEACHER)
    teacher = as_linear(make_network(sizes, seed=0), "teacher", seed)
    inputs = torch.randn(200, D_TEACHER, generator=seeded("inputs of the teacher", seed))
    with torch.no_grad():
        return array_task(inputs, teacher(inputs)[:, 0], name="teacher")


def reduced_landscape(
    task: Task, recipe: TrainConfig, network: nn.Module, alphas: Sequence[float], *, seed: int = 0
) -> list[AtNorm]:
    """Both losses where the train loss is smallest, on the spheres with alpha times the norm of a network's weights."""
    return [
        _smallest(alpha, history_at_norm(task, recipe, network, alpha, tangent=True, seed=seed))
        for alpha in alphas
    ]


def _smallest(alpha: float, history: Sequence[HistoryRow]) -> AtNorm:
    train, test = curve(history, "loss_train"), curve(history, "loss_test")
    at = train.values.argmin()
    return AtNorm(alpha, train.values[at].item(), test.at(int(train.steps[at])))


def student_rows(points: Sequence[AtNorm], seed: int) -> Iterator[Row]:
    """The L of the train loss and the U of the test loss, beside the authors' numbers of one seed."""
    first, best, last = _ends(points)
    initial = min(points, key=lambda point: abs(point.alpha - 1))

    def row(
        quantity: str,
        published: Number | None,
        measured: Number,
        low: Number | None = None,
        high: Number | None = None,
    ) -> Row:
        return Row(f"teacher and student, {quantity}, seed {seed}", published, measured, low, high)

    yield row(f"train loss at alpha {first.alpha:g}", 0.0142, first.train, 0.007, 0.02)
    yield row("neighbouring alphas up to 1 between which the train loss rises", 0, _rises(points, 1.0), 0, 0)
    yield row("largest train loss from alpha 1 on", 1e-6, _largest_train(points, 1.0), None, 2e-5)
    yield row(f"test over train loss at alpha {first.alpha:g}", 1.15, first.test / first.train, 0.7, 1.5)
    yield row("test loss at alpha 1", 7.8e-5, initial.test, 1e-5, 4e-4)
    yield row("alpha of the smallest test loss", 1, best.alpha, 0.5, 1.6)
    yield row(f"test loss at alpha {first.alpha:g} over the smallest", 210, first.test / best.test, 40, 1000)
    yield row(f"test loss at alpha {last.alpha:g} over the smallest", 1.2e5, last.test / best.test, 1e4, 1e6)


def addition_rows(points: Sequence[AtNorm], seed: int) -> Iterator[Row]:
    """The same for modular addition, of which the paper prints curves alone."""
    first, best, last = _ends(points)
    fitted = 0.6

    def row(quantity: str, measured: Number, low: Number | None = None, high: Number | None = None) -> Row:
        return Row(f"addition, {quantity}, seed {seed}", None, measured, low, high)

    yield row(f"train loss at alpha {first.alpha:g}, in nats", first.train, 1)
    yield row(
        f"neighbouring alphas up to {fitted:g} between which the train loss rises",
        _rises(points, fitted),
        0,
        0,
    )
    yield row(f"largest train loss from alpha {fitted:g} on", _largest_train(points, fitted), None, 1e-2)
    yield row("alpha of the smallest test loss", best.alpha, 0.5, 0.9)
    yield row(f"test loss at alpha {first.alpha:g} over the smallest", first.test / best.test, 100)
    yield row(f"test loss at alpha {last.alpha:g} over the smallest", last.test / best.test, 100)
    yield row(f"test loss at alpha {last.alpha:g} over that at {first.alpha:g}", last.test / first.test, 1)


def _ends(points: Sequence[AtNorm]) -> tuple[AtNorm, AtNorm, AtNorm]:
    """The smallest norm, the one with the smallest test loss, and the largest."""
    return points[0], min(points, key=lambda point: point.test), points[-1]


def _rises(points: Sequence[AtNorm], largest: float) -> int:
    small = [point.train for point in points if point.alpha <= largest]
    return sum(later > earlier for earlier, later in pairwise(small))


def _largest_train(points: Sequence[AtNorm], smallest: float) -> float:
    return max(point.train for point in points if point.alpha >= smallest)


def _curves(panel: str, points: Sequence[AtNorm], y_title: str) -> Iterator[Curve]:
    for name in ("train", "test"):
        yield Curve(
            panel,
            name,
            tuple(point.alpha for point in points),
            tuple(float(f"{getattr(point, name):z.4g}") for point in points),
            x_title="norm of the weights over the initial one",
            y_title=y_title,
            logarithmic=True,
        )
