"""Too much data, too little, and between: the same behaviour in modular addition and in sequence tasks."""

from collections.abc import Iterator
from math import log
from typing import Any

from mechgrok.analysis.curves import first_step
from mechgrok.experiments.milestones import best_accuracy
from mechgrok.experiments.nanda2023_sequences import digits_run, limited_rows, loss_panels, trigrams_run
from mechgrok.experiments.pictures import history_curve
from mechgrok.experiments.reproduction import Curve, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.tasks import modular_task

P = 113
LEARNED = 1e-2
"""Nats."""
PUBLISHED = {0.95: (244, 279, 4.94), 0.3: (274, 8258, 26.61)}
"""Steps of a train and of a test loss below LEARNED, and the highest test loss, by fraction, in the authors' curves."""
STEPS = {0.95: 400, 0.3: 1000, 0.1: 1000}


def data_regimes(full: bool) -> Iterator[Row | Curve]:
    """Modular addition on 95%, 30% and 10% of the pairs; digits and skip trigrams with unlimited and limited data."""
    for fraction in STEPS:
        run = _addition(full, fraction)
        yield from _addition_rows(fraction, run)
        yield from loss_panels(f"a+b mod {P}, {fraction:z.0%}", run)
    without = _addition(full, 0.3, weight_decay=0.0)
    name = f"a+b mod {P} at 30% without weight decay"
    yield Row(f"{name}: best test accuracy", None, best_accuracy(without.history), None, 0.5)
    yield from loss_panels(f"a+b mod {P}, 30%, no weight decay", without)
    for name, run_of in {"5-digit addition": digits_run, "skip trigrams": trigrams_run}.items():
        unlimited, limited = run_of(full), run_of(full, limited=True)
        fell = first_step(unlimited.history, "loss_test", below=0.5)
        yield Row(f"{name}, unlimited data: step of test loss < 0.5 nats", None, fell, 1)
        yield history_curve(f"{name}, unlimited", "test", unlimited.history, "loss_test", logarithmic=True)
        for row in limited_rows(limited):
            yield Row(f"{name}, {row.quantity}", None, row.measured, row.low, row.high)
        yield from loss_panels(f"{name}, limited", limited)


def _addition(full: bool, fraction: int | float, weight_decay: int | float = 1.0) -> Any:
    """The paper's recipe at full size; ten times its learning rate otherwise."""
    recipe, steps = ("nanda", {0.95: 1000, 0.3: 12_000, 0.1: 40_000}) if full else ("fast", STEPS)
    return train_kept(
        modular_task("add", P), recipe, fraction=fraction, steps=steps[fraction], checkpoint_every=steps[fraction],
        stop_when_settled=False, stop_test_loss=3e-6, weight_decay=weight_decay, eval_every=20,
    )  # fmt: skip


def _addition_rows(fraction: int | float, run: Any) -> Iterator[Row]:
    history = run.history
    name = f"a+b mod {P} at {fraction:z.0%}"
    train, test = (first_step(history, f"loss_{part}", below=LEARNED) for part in ("train", "test"))
    highest = max(row["loss_test"] or 0 for row in history)
    if fraction == 0.1:
        yield Row(f"{name}: step of train loss < {LEARNED} nats", None, train, 1)
        yield Row(f"{name}: best test accuracy", None, best_accuracy(history), None, 0.1)
        return
    memorised, grokked, peak = PUBLISHED[fraction]
    times = test / train if test and train else None
    low, high = (None, 1.5) if fraction == 0.95 else (1.8, None)
    yield Row(
        f"{name}: how many times later test loss < {LEARNED} nats comes",
        grokked / memorised,
        times,
        low,
        high,
    )
    # Above twice the loss of guessing, a network is sure of wrong answers: it has memorised the others.
    low, high = (None, 2 * log(P)) if fraction == 0.95 else (2 * log(P), None)
    yield Row(f"{name}: highest test loss (nats)", peak, highest, low, high)
