"""Truong 2026, What Does the Weight Norm Control in Grokking? (arXiv 2606.18465): a temperature slides the delay."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from torch import Tensor

from mechgrok.activations import cache_grid
from mechgrok.analysis.curves import first_step
from mechgrok.analysis.losses import centred, margins
from mechgrok.config import MLPConfig, TrainConfig
from mechgrok.experiments.held_norm import held_norm
from mechgrok.experiments.pictures import history_curve
from mechgrok.experiments.reproduction import Curve, Number, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.registries import NATS, OBJECTIVES, ObjectiveEntry
from mechgrok.runs import HistoryRow
from mechgrok.tasks import modular_task
from mechgrok.training.objectives import CrossEntropy

SETUP = TrainConfig(
    recipe="norm-clamp",
    model=MLPConfig(
        combine="concat", d_embed=128, d_mlp=256, act_fn="gelu", unembed_bias=True, init="fan_in"
    ),
    fraction=0.4,
    split_rule="randperm",
    lr=1e-3,
    weight_decay=1.0,
    betas=(0.9, 0.999),
    warmup=0,
    steps=40_000,
    eval_every=25,
    checkpoint_every=40_000,
    stop_when_settled=False,
    stop_test_loss=0.3,
)
"""Two layers over learned embeddings side by side, 40% of the pairs mod 59, full batches."""
P = 59
CRITICAL_NORM = 54.49
"""Of all matrices, when a free training groks: the paper's for p = 59."""
HELD_FROM = 500
"""The step from which the norm is held: after the train inputs are known by heart, and before anything is grokked."""
GROKKED, MEMORISED = 0.9, 0.99
"""Accuracy on the test inputs, and on the train inputs, as in the paper."""


@dataclass(frozen=True)
class Clamp:
    """A training at one norm, as a multiple of the critical one, and one output temperature."""

    dose: float
    temperature: float

    @property
    def name(self) -> str:
        return f"norm {self.dose:g} w_c, temperature {self.temperature:g}"


def temperature_and_norm(full: bool) -> Iterator[Row | Curve]:
    """Hold the norm, divide the logits by a temperature in the loss, and see when the network groks."""
    dose, temperatures = (1.15, (1.0, 1.15, 1.3, 1.5, 1.7)) if full else (1.1, (1.0, 1.15, 1.3, 1.5))
    cells = [Clamp(1.0, 1.0), *(Clamp(dose, temperature) for temperature in temperatures)]
    for seed in range(12 if full else 1):
        found = {cell: _measured(cell, seed) for cell in cells}
        yield from _rows(found, seed, full)
        yield from _delays(found, seed)


@dataclass(frozen=True)
class _Delay:
    """When a training memorised and grokked, and two scales of its logits over the temperature, at its end.

    The root of their mean square, less their mean over the classes; and by how much the right one of a train input
    exceeds the largest wrong one, on average.
    """

    history: Sequence[HistoryRow]
    memorised: Number | None
    grokked: Number | None
    spread: float
    margin: float


def _measured(cell: Clamp, seed: int) -> _Delay:
    with _registered(cell) as names:
        run = train_kept(modular_task("add", P), SETUP.replace(**names), seed=seed)
        history, grid, train = run.history, cache_grid(run.model(), names=[]), run.split.train
    logits = grid.logits.double() / cell.temperature
    margin = margins(logits, grid.labels)
    return _Delay(
        history,
        first_step(history, "accuracy_train", at_least=MEMORISED),
        first_step(history, "accuracy_test", at_least=GROKKED),
        centred(logits).square().mean().sqrt().item(),
        margin[train].mean().item(),
    )


def _rows(found: Mapping[Clamp, _Delay], seed: int, full: bool) -> Iterator[Row]:
    (base, *_), raised = found.values(), list(found.values())[1:]
    for cell, delay in found.items():
        published = {1.0: 3675, 1.15: 12_600}.get(cell.dose) if cell.temperature == 1 else None
        bounds = (2500, 5500) if cell.dose == 1 else (None, None)
        yield Row(f"{cell.name}: step of 90% test accuracy, seed {seed}", published, delay.grokked, *bounds)
    times = [delay.grokked for delay in raised]
    known = [time for time in times if time is not None]
    rises = sum(later >= earlier for earlier, later in pairwise(known))
    ratio = None if base.grokked is None or times[0] is None else times[0] / base.grokked
    yield Row(
        f"delay at the raised norm over that at the critical one, seed {seed}",
        3.43 if full else None,
        ratio,
        1.5,
    )
    yield Row(f"temperatures at which the delay is not shorter than before, seed {seed}", 0, rises, None, 0)
    last = None if base.grokked is None or times[-1] is None else times[-1] / base.grokked
    yield Row(
        f"delay at the highest temperature over that at the critical norm, seed {seed}", None, last, None, 1.1
    )
    for scale, name in (("margin", "margin on train inputs"), ("spread", "spread of the logits")):
        recovered = _recovered(base, raised, scale)
        yield Row(f"share of the delay that the same {name} recovers, seed {seed}", 0.83, recovered, 0.5, 1.1)
    memorised = [delay.memorised for delay in found.values()]
    yield Row(
        f"latest step of 99% train accuracy over the earliest, seed {seed}",
        None,
        None if None in memorised else max(m or 0 for m in memorised) / min(m or 0 for m in memorised),
        1,
        1.5,
    )


def _recovered(base: _Delay, raised: list[_Delay], scale: str) -> float | None:
    """(T_1 - T_2) / (T_1 - T_0), with T_2 the delay at the temperature that gives the logits the scale they have at the
    critical norm, between the temperatures that were tried."""
    points = sorted((getattr(delay, scale), delay.grokked) for delay in raised if delay.grokked is not None)
    first = raised[0].grokked
    if base.grokked is None or first is None or first == base.grokked or len(points) < 2:
        return None
    at = min(max(getattr(base, scale), points[0][0]), points[-1][0])
    above = next(i for i in range(1, len(points)) if points[i][0] >= at)
    (low, t_low), (high, t_high) = points[above - 1], points[above]
    matched = t_low + (t_high - t_low) * (at - low) / (high - low)
    return (first - matched) / (first - base.grokked)


def _delays(found: Mapping[Clamp, _Delay], seed: int) -> Iterator[Curve]:
    for cell, delay in found.items():
        if not seed:
            yield history_curve(
                "Test accuracy", cell.name, delay.history, "accuracy_test", y_title="test accuracy"
            )
    raised = [(delay.margin, delay.grokked) for cell, delay in found.items() if cell.dose != 1]
    titles: dict[str, Any] = {
        "x_title": "margin on train inputs over the temperature",
        "y_title": "step of 90%",
    }
    x, y = zip(*sorted(raised), strict=True)
    yield Curve("Delay", f"raised norm, seed {seed}", _rounded(x), _rounded(y), **titles)
    base = next(iter(found.values()))
    yield Curve(
        "Delay",
        f"critical norm, seed {seed}",
        _rounded([base.margin]),
        _rounded([base.grokked]),
        dots=True,
        **titles,
    )


def _rounded(values: Any) -> tuple[Any, ...]:
    return tuple(None if value is None else float(f"{value:z.4g}") for value in values)


@contextmanager
def _registered(cell: Clamp) -> Iterator[dict[str, str]]:
    """The objective and the optimizer of a cell under names of their own, for as long as they are needed."""
    objective = f"cross_entropy_over_{cell.temperature:g}"
    OBJECTIVES[objective] = ObjectiveEntry(partial(_tempered, cell.temperature), "cross-entropy", NATS)
    try:
        with held_norm(norm=cell.dose * CRITICAL_NORM, since=HELD_FROM, biases=False) as optimizer:
            yield {"objective": objective, "optimizer": optimizer}
    finally:
        del OBJECTIVES[objective]


class Tempered(CrossEntropy):
    """Cross-entropy of the logits divided by a temperature, which is no weight."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super().losses(outputs / self.temperature, targets)

    def loss_and_gradient(
        self, logits: Tensor, labels: Tensor, total: int | None = None
    ) -> tuple[Tensor, Tensor]:
        loss, gradient = super().loss_and_gradient(logits.div_(self.temperature), labels, total)
        return loss, gradient.div_(self.temperature)


def _tempered(temperature: float, config: TrainConfig) -> Tempered:
    return Tempered(temperature)
