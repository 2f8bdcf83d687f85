"""Omnigrok (Liu et al. 2022) on images: a large initialisation makes digits grok, sooner the stronger the decay."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise

import numpy as np

from mechgrok.analysis.curves import curve, first_step
from mechgrok.config import DenseConfig, TrainConfig
from mechgrok.errors import ConfigError
from mechgrok.experiments.held_norm import as_linear, scaled
from mechgrok.experiments.pictures import history_curve
from mechgrok.experiments.reproduction import Curve, Number, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.runs import HistoryRow
from mechgrok.tasks import Task, array_task
from mechgrok.training.networks import build_model

IMAGES, TRAINED_ON = 1797, 200
"""Images of scikit-learn's digits, 8 by 8 pixels, and how many a network is trained on."""
SHAPE = DenseConfig(d_mlp=200, n_layers=2)
DIGITS = TrainConfig(
    recipe="omnigrok-digits",
    model=SHAPE,
    fraction=TRAINED_ON / IMAGES,
    lr=1e-3,
    betas=(0.9, 0.999),
    warmup=0,
    stop_when_settled=False,
    eval_every=50,
)
"""Three layers of matrices with hidden layers of 200 neurons, as in the paper; full batches of the train inputs."""
KNOWN = 0.8
"""Accuracy from which inputs count as known, train or test; all networks that grok reach 0.9 on the test inputs."""


@dataclass(frozen=True)
class Design:
    """The factors on the initial weights, at one decay, and the decays, at one factor, for an objective.

    Attributes:
        highest_without: the highest test accuracy that a network may have that does not decay.
    """

    objective: str
    alphas: tuple[float, ...]
    decays: tuple[float, ...]
    alpha: float
    decay: float
    highest_without: float

    @property
    def name(self) -> str:
        return self.objective.replace("_", "-")


DESIGNS = (
    Design("mse", (1.0, 3.0, 6.0, 9.0), (0.2, 0.4, 0.8), alpha=9.0, decay=0.2, highest_without=0.3),
    Design(
        "cross_entropy", (1.0, 9.0, 20.0, 30.0), (0.4, 0.8, 1.6), alpha=30.0, decay=0.4, highest_without=0.7
    ),
)
Histories = Mapping[tuple[float, float], Sequence[HistoryRow]]
"""A history for each factor and weight decay."""


def initial_scale(full: bool) -> Iterator[Row | Curve]:
    """Multiply the initial weights, and see when train and test inputs are known."""
    task = digits_task()
    steps = 30_000 if full else 6000
    for seed in range(5 if full else 1):
        known = {}
        for design in DESIGNS:
            found = _histories(task, design, steps, seed)
            known[design.objective] = delay(found[9.0, design.decay])
            yield from digits_rows(design, found, seed)
            if not seed:
                yield from _curves(design, found)
        yield from _compared(known, seed)


def digits_task() -> Task:
    """Images of digits, with pixels from 0 to 1, and their classes.

    Raises:
        ConfigError: scikit-learn, which has the images, is not installed.
    """
    try:
        images = import_module("sklearn.datasets").load_digits()
    except ImportError:
        raise ConfigError(
            "the images of digits are scikit-learn's, which is not installed: pip install 'mechgrok[digits]'"
        ) from None
    return array_task(images.data / 16, images.target, name="digits")


def _histories(task: Task, design: Design, steps: int, seed: int) -> Histories:
    """All factors, all decays, and the largest factor without decay."""
    cells = [(alpha, design.decay) for alpha in design.alphas]
    cells += [(design.alpha, decay) for decay in (*design.decays, 0.0)]
    network = as_linear(build_model(task, SHAPE), "digits", seed)
    found = {}
    for alpha, decay in dict.fromkeys(cells):
        changes = {"objective": design.objective, "weight_decay": decay}
        run = train_kept(
            task,
            DIGITS,
            seed=seed,
            start=scaled(network, alpha),
            steps=steps,
            checkpoint_every=steps,
            **changes,
        )
        found[alpha, decay] = run.history
    return found


def when_known(history: Sequence[HistoryRow], which: str) -> int | None:
    """The step from which the train or the test inputs count as known; None for never."""
    return first_step(history, f"accuracy_{which}", at_least=KNOWN)


def delay(history: Sequence[HistoryRow]) -> int | None:
    """Steps from the train inputs known to the test inputs known; None if one of them never is."""
    train, test = when_known(history, "train"), when_known(history, "test")
    return None if train is None or test is None else test - train


def digits_rows(design: Design, found: Histories, seed: int) -> Iterator[Row]:
    """What the factor does to the delay, and the decay to the time."""

    def row(
        quantity: str, measured: Number | None, low: Number | None = None, high: Number | None = None
    ) -> Row:
        return Row(f"{design.name}, {quantity}, seed {seed}", None, measured, low, high)

    delays = [delay(found[alpha, design.decay]) for alpha in design.alphas]
    for alpha, steps in zip(design.alphas, delays, strict=True):
        bounds = (None, 100) if alpha == 1 else (1000, None) if alpha == design.alpha else (None, None)
        yield row(f"steps from train to test inputs known, alpha {alpha:g}", steps, *bounds)
    as_numbers = [float("inf") if steps is None else steps for steps in delays]
    shorter = sum(later < earlier for earlier, later in pairwise(as_numbers))
    yield row("larger alphas with a shorter delay", shorter, 0, 0)
    for decay in design.decays:
        known = when_known(found[design.alpha, decay], "test")
        yield row(f"step of test inputs known, alpha {design.alpha:g}, weight decay {decay:g}", known)
    power = exponent({decay: when_known(found[design.alpha, decay], "test") for decay in design.decays})
    yield Row(f"{design.name}, power of the decay in that step, seed {seed}", -1, power, -1.2, -0.8)
    fitted = [when_known(found[design.alpha, decay], "train") for decay in design.decays]
    slowest, fastest = fitted[0], fitted[-1]
    ratio = slowest / fastest if slowest and fastest else None
    yield row("step of train inputs known at the smallest decay over that at the largest", ratio, 0.5, 1.6)
    without = found[design.alpha, 0.0]
    yield row(f"train accuracy without decay at the end, alpha {design.alpha:g}", _last(without, "train"), 1)
    highest = design.highest_without
    yield row(
        f"test accuracy without decay at the end, alpha {design.alpha:g}",
        _last(without, "test"),
        None,
        highest,
    )


def exponent(times: Mapping[float, int | None]) -> float | None:
    """The power of the decay that the times follow, by least squares of their logarithms; None if one never comes.

    >>> exponent({0.1: 1000, 0.2: 500, 0.4: 250})
    -1.0
    """
    known = [(decay, time) for decay, time in times.items() if time]
    if len(known) < len(times):
        return None
    x, y = np.log(np.array(known, dtype=np.float64)).T
    return round(float(np.polyfit(x, y, 1)[0]), 6)


def _last(history: Sequence[HistoryRow], which: str) -> float:
    return curve(history, f"accuracy_{which}").values[-1].item()


def _compared(known: Mapping[str, int | None], seed: int) -> Iterator[Row]:
    squares, entropy = known["mse"], known["cross_entropy"]
    ratio = None if not squares or entropy is None else entropy / squares
    yield Row(
        f"delay with cross-entropy over that with mse, alpha 9, each at its decay, seed {seed}",
        None,
        ratio,
        None,
        0.2,
    )


def _curves(design: Design, found: Histories) -> Iterator[Curve]:
    for alpha in design.alphas:
        name = f"alpha {alpha:g}"
        history = found[alpha, design.decay]
        yield history_curve(f"Test, {design.name}", name, history, "accuracy_test", y_title="test accuracy")
    for decay in design.decays:
        history = found[design.alpha, decay]
        name = f"weight decay {decay:g}"
        panel = f"Test, {design.name}, alpha {design.alpha:g}"
        yield history_curve(panel, name, history, "accuracy_test", y_title="test accuracy")
