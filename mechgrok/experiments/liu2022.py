"""Liu et al. 2022, Towards Understanding Grokking (arXiv 2205.10343): the representation of a toy model, and phases."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from math import log10
from statistics import median
from typing import Any

import torch
from torch import Tensor

from mechgrok.analysis.effective_theory import EffectiveTheory, effective_theory
from mechgrok.analysis.milestones import kind_of_learning
from mechgrok.analysis.parallelograms import pairs_of_table, results_of
from mechgrok.analysis.representation_quality import RepresentationQuality, representation_quality
from mechgrok.experiments.pictures import recorded_curve
from mechgrok.experiments.reproduction import Curve, Number, Row

P, OUTPUTS, WIDTH = 10, 30, 200
"""Symbols, entries of the random vector that stands for each sum, and neurons of both hidden layers."""
PAIRS = pairs_of_table(results_of(P, "linear"))
"""The 55 pairs i <= j."""
EMBEDDING_LR = 1e-3
CODE_DELTA = 0.1
"""The released code's tolerance: a squared distance of 0.01, in units of the variance of the embedding."""
WHOLE = 1
"""A seed whose train pairs imply all others; that of 0 leaves out the only pairs of two sums, a fifth of the test."""
RELEASED = {54: 942, 45: 887, 30: 739}
"""Median steps to an RQI above 0.95 by the number of train pairs, in the runs released with the code."""
BETAS, EPS = (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class DecoderSetting:
    """One toy model: its train pairs and initial weights come from the seed."""

    n_train: int = 45
    seed: int = 0
    lr: float = 1e-4
    decay: float = 0.0
    embedding_lr: float = EMBEDDING_LR
    width: int = WIDTH


@dataclass
class Course:
    """What became of one toy model, an entry per evaluation."""

    setting: DecoderSetting
    train: Tensor
    steps: list[int] = field(default_factory=list)
    accuracy_train: list[float] = field(default_factory=list)
    accuracy_test: list[float] = field(default_factory=list)
    embeddings: list[Tensor] = field(default_factory=list)

    @property
    def history(self) -> list[dict[str, Any]]:
        """Rows as those of a run."""
        return [
            {"step": step, "accuracy_train": train, "accuracy_test": test}
            for step, train, test in zip(self.steps, self.accuracy_train, self.accuracy_test, strict=True)
        ]

    def quality(self, at: int = -1, delta: float = CODE_DELTA) -> RepresentationQuality:
        """The parallelograms of the embedding at an evaluation."""
        return representation_quality(self.embeddings[at], delta=delta)

    @property
    def accuracy(self) -> float:
        """Over all pairs, at the end."""
        share = self.train.double().mean().item()
        return share * self.accuracy_train[-1] + (1 - share) * self.accuracy_test[-1]

    @property
    def theory(self) -> EffectiveTheory:
        """What the train pairs demand."""
        return effective_theory(P, self.train)

    def first_step(self, rqi: float) -> int | None:
        """The first evaluation with an index above this one."""
        return next((s for i, s in enumerate(self.steps) if self.quality(i).rqi > rqi), None)


def rqi(full: bool) -> Iterator[Row | Curve]:
    """Quality of the representation against accuracy, and the steps that it takes against the effective theory."""
    yield from _critical(draws=400 if full else 100)
    sizes = (54, 50, 45, 40, 35, 30, 25, 20, 15, 10, 5) if full else (54, 45, 30, 20)
    seeds = range(11 if full else 5)
    courses = {
        size: train_toys([DecoderSetting(size, seed) for seed in seeds], 10_000 if full else 5000, 25)
        for size in sizes
    }
    yield from _accuracies([course for group in courses.values() for course in group])
    yield from _steps(courses)
    yield from _rqi_curves(courses)


def phase_diagram(full: bool) -> Iterator[Row | Curve]:
    """The kind of learning over the decoder's learning rate and weight decay, and with embeddings that do not learn."""
    lrs = tuple(10 ** (-4 + i / 4.5) for i in range(10)) if full else (1e-4, 3e-4, 1e-3, 5e-3)
    decays = tuple(10 * i / 9 for i in range(10)) if full else (0.0, 1.0, 3.0, 8.0)
    steps = 100_000 if full else 8000
    cells = [DecoderSetting(seed=WHOLE, lr=lr, decay=decay) for lr, decay in product(lrs, decays)]
    frozen = [DecoderSetting(seed=WHOLE, lr=1e-4, decay=decay, embedding_lr=0.0) for decay in decays]
    courses = train_toys([*cells, *frozen], steps, 50)
    kinds = {
        (course.setting.lr, course.setting.decay): kind_of_learning(course.history).kind
        for course in courses[: len(cells)]
    }
    yield from _phases(kinds, lrs, decays)
    best = max(max(course.accuracy_test) for course in courses[len(cells) :])
    yield Row(
        "highest test accuracy at a learning rate of 1e-4 with embeddings that do not learn",
        None,
        best,
        None,
        0.8,
    )
    for kind in dict.fromkeys(kinds.values()):
        cells_of = [cell for cell, found in kinds.items() if found == kind]
        yield Curve(
            "Kind of learning",
            kind,
            tuple(round(log10(lr), 3) for lr, _ in cells_of),
            tuple(round(decay, 3) for _, decay in cells_of),
            x_title="log10 of the decoder's learning rate",
            y_title="weight decay of the decoder",
            dots=True,
        )


def _critical(draws: int) -> Iterator[Row]:
    """The smallest train set of which half determine the line."""
    for size in range(12, 40):
        determined = sum(effective_theory(P, _drawn(size, seed)).is_determined for seed in range(draws))
        if determined >= draws / 2:
            break
    yield Row("train pairs of which half of the draws leave a line alone", 22, size, 19, 25)


def _drawn(size: int, seed: int) -> Tensor:
    return _start(DecoderSetting(size, seed, width=1))[0]


def _accuracies(courses: Sequence[Course]) -> Iterator[Row]:
    found = [(course.accuracy, course.quality().predicted_accuracy(course.train)) for course in courses]
    errors = [abs(accuracy - predicted) for accuracy, predicted in found]
    yield Row(
        "mean difference of accuracy over all pairs and predicted accuracy",
        None,
        sum(errors) / len(errors),
        None,
        0.1,
    )
    known = [abs(course.accuracy - course.train.double().mean().item()) for course in courses]
    yield Row("the same with the share of train pairs as the prediction", None, sum(known) / len(known))
    strict = [
        abs(course.accuracy - course.quality(delta=0.01).predicted_accuracy(course.train))
        for course in courses
    ]
    yield Row("the same with the printed tolerance of 0.01", None, sum(strict) / len(strict))
    bound = [course.accuracy - course.theory.ideal_accuracy for course in courses]
    yield Row(
        "largest excess of the accuracy over the ideal accuracy of its train pairs", 0, max(bound), None, 0.06
    )
    ends = [(course.quality().rqi, course.accuracy_test[-1]) for course in courses]
    structured = [test for index, test in ends if index > 0.95]
    others = [test for index, test in ends if index < 0.5]
    lowest, highest = min(structured, default=None), max(others, default=None)
    yield Row("lowest test accuracy with an RQI above 0.95", None, lowest, 0.75)
    yield Row("highest test accuracy with an RQI below 0.5", None, highest, None, 0.8)


def _steps(courses: Mapping[int, Sequence[Course]]) -> Iterator[Row]:
    """Steps until the index is above 0.95, against n_h."""
    taken = {size: _most([one.first_step(0.95) for one in group]) for size, group in courses.items()}
    theory = {size: _most([_predicted_steps(one) for one in group]) for size, group in courses.items()}
    for size in [size for size in RELEASED if size in courses]:
        bounds = (450, 1800) if size == 45 else (None, None)
        yield Row(f"steps to an RQI above 0.95, {size} train pairs", RELEASED[size], taken[size], *bounds)
        yield Row(f"n_h = 1 / (third eigenvalue x 1e-3), {size} train pairs", None, theory[size])
    yield Row("steps over n_h, 45 train pairs", 3, _ratio(taken[45], theory[45]), 1.5, 6)
    if {30, 54} <= courses.keys():
        published = RELEASED[30] / RELEASED[54]
        yield Row("steps with 30 train pairs over those with 54", published, _ratio(taken[30], taken[54]))
        yield Row("n_h with 30 train pairs over that with 54", None, _ratio(theory[30], theory[54]))


def _predicted_steps(course: Course) -> float | None:
    return course.theory.steps(EMBEDDING_LR) if course.theory.rate else None


def _most(values: Sequence[Number | None]) -> Number | None:
    """The median, with None for never: None if half of them never happened."""
    known = sorted(value for value in values if value is not None)
    return median(known) if len(known) > len(values) / 2 else None


def _ratio(above: Number | None, below: Number | None) -> Number | None:
    return None if above is None or below is None else above / below


def _rqi_curves(courses: Mapping[int, Sequence[Course]]) -> Iterator[Curve]:
    first = courses[45][0]
    for name, values in (
        ("train", first.accuracy_train),
        ("test", first.accuracy_test),
        ("RQI", [first.quality(i).rqi for i in range(len(first.steps))]),
    ):
        yield recorded_curve("Learning, 45 train pairs", name, first.steps, values, y_title="accuracy, RQI")
    lines = torch.stack(first.embeddings).T
    for symbol in range(P):
        yield recorded_curve(
            "Embedding, 45 train pairs", str(symbol), first.steps, lines[symbol].tolist(), y_title="embedding"
        )
    for size, group in courses.items():
        predicted = [course.quality().predicted_accuracy(course.train) for course in group]
        yield Curve(
            "Accuracy over all pairs",
            f"{size} pairs",
            tuple(round(value, 3) for value in predicted),
            tuple(round(course.accuracy, 3) for course in group),
            x_title="predicted accuracy",
            y_title="accuracy",
            dots=True,
            plane=True,
        )


def _phases(
    kinds: Mapping[tuple[float, float], str], lrs: Sequence[float], decays: Sequence[float]
) -> Iterator[Row]:
    counts = Counter(kinds.values())
    for kind in ("comprehension", "grokking", "memorisation", "confusion"):
        yield Row(f"networks with {kind}, of {len(kinds)}", None, counts[kind], 1)
    order = ("memorisation", "grokking", "comprehension", "confusion")
    forward = sum(
        all(
            order.index(kinds[lr, before]) <= order.index(kinds[lr, after])
            for before, after in pairwise(decays)
        )
        for lr in lrs
    )
    yield Row(
        f"learning rates of {len(lrs)} at which more decay only moves from memorisation over grokking and "
        "comprehension to confusion",
        len(lrs),
        forward,
    )
    general = {cell for cell, kind in kinds.items() if kind in ("comprehension", "grokking")}
    slow, fast = (sum((lr, decay) in general for decay in decays) for lr in (lrs[0], lrs[-1]))
    yield Row(
        "networks that generalise at the slowest decoder less those at the fastest", None, slow - fast, 1
    )


def train_toys(settings: Sequence[DecoderSetting], steps: int, eval_every: int) -> list[Course]:
    """Train toy models of one width and size of the train set side by side, each as it would be alone.

    The embeddings, one number per symbol, learn by Adam at a rate of 1e-3 without decay; the decoder, tanh layers
    1-width-width-30, by AdamW at a rate and a decay of its own. Full batches, mean squared error.
    """
    starts = [_start(one) for one in settings]
    courses = [Course(one, train) for one, (train, _, _) in zip(settings, starts, strict=True)]
    chosen = torch.stack([train.nonzero()[:, 0] for train, _, _ in starts])
    templates = torch.stack([targets for _, targets, _ in starts])
    weights = {
        name: torch.stack([start[name] for _, _, start in starts]).requires_grad_() for name in starts[0][2]
    }
    optimizer = _StackedAdamW(weights, settings)
    first, second = PAIRS.first[chosen], PAIRS.second[chosen]
    answers = PAIRS.result[chosen]
    targets = templates.gather(1, answers[..., None].expand(-1, -1, OUTPUTS))
    for step in range(steps + 1):
        if step % eval_every == 0:
            _evaluate(courses, weights, templates, step)
        if step == steps:
            break
        outputs = _decode(weights, _sums(weights["embedding"], first, second))
        (outputs - targets).square().mean(dim=(1, 2)).sum().backward()
        optimizer.step()
    return courses


def _start(one: DecoderSetting) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Which pairs are trained on, the vector of each sum, and the initial weights."""
    dice = torch.Generator().manual_seed(one.seed)
    train = torch.zeros(len(PAIRS), dtype=torch.bool)
    train[torch.randperm(len(PAIRS), generator=dice)[: one.n_train]] = True
    targets = torch.randn(2 * P - 1, OUTPUTS, generator=dice)
    weights = {"embedding": torch.rand(P, generator=dice) - 0.5}
    sizes = (1, one.width, one.width, OUTPUTS)
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        for name, shape in ((f"W_{i}", (n_in, n_out)), (f"b_{i}", (1, n_out))):
            weights[name] = (2 * torch.rand(shape, generator=dice) - 1) * n_in**-0.5
    return train, targets, weights


def _sums(embedding: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return (embedding.gather(1, first) + embedding.gather(1, second))[..., None]


def _decode(weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    for i in range(3):
        x = torch.baddbmm(weights[f"b_{i}"], x, weights[f"W_{i}"])
        x = x.tanh() if i < 2 else x
    return x


@torch.no_grad()
def _evaluate(courses: Sequence[Course], weights: Mapping[str, Tensor], templates: Tensor, step: int) -> None:
    """An output is right if the vector of the right sum is the nearest."""
    embedding = weights["embedding"]
    both = (PAIRS.first.expand(len(courses), -1), PAIRS.second.expand(len(courses), -1))
    outputs = _decode(weights, _sums(embedding, *both))
    right = torch.cdist(outputs, templates).argmin(2) == PAIRS.result
    for i, course in enumerate(courses):
        course.steps.append(step)
        course.accuracy_train.append(right[i, course.train].double().mean().item())
        course.accuracy_test.append(right[i, ~course.train].double().mean().item())
        course.embeddings.append(embedding[i].clone())


class _StackedAdamW:
    """AdamW with a learning rate and a decay for each member of a stack, and Adam for the embeddings."""

    def __init__(self, weights: Mapping[str, Tensor], settings: Sequence[DecoderSetting]) -> None:
        self.weights, self.t = weights, 0
        self.moments = {name: (torch.zeros_like(w), torch.zeros_like(w)) for name, w in weights.items()}
        lr = torch.tensor([one.lr for one in settings])
        decay = torch.tensor([one.decay for one in settings])
        embedding_lr = torch.tensor([one.embedding_lr for one in settings])
        self.rates = {
            name: (embedding_lr[:, None], torch.zeros(len(settings), 1))
            if name == "embedding"
            else (lr[:, None, None], (lr * decay)[:, None, None])
            for name in weights
        }

    @torch.no_grad()
    def step(self) -> None:
        self.t += 1
        for name, weight in self.weights.items():
            assert weight.grad is not None
            (mean, square), (lr, shrink) = self.moments[name], self.rates[name]
            mean.lerp_(weight.grad, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(weight.grad, weight.grad, value=1 - BETAS[1])
            size = square.sqrt().div_((1 - BETAS[1] ** self.t) ** 0.5).add_(EPS)
            weight.mul_(1 - shrink).sub_(lr / (1 - BETAS[0] ** self.t) * mean / size)
            weight.grad = None
