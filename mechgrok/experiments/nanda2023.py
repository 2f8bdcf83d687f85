"""Nanda, Chan, Lieberum, Smith and Steinhardt 2023, Progress measures for grokking (arXiv 2301.05217)."""

from collections.abc import Iterator
from itertools import pairwise

from mechgrok.analysis.curves import first_step
from mechgrok.analysis.frequencies import find_key_frequencies
from mechgrok.analysis.key_losses import excluded_loss, restricted_loss
from mechgrok.analysis.losses import full_loss
from mechgrok.experiments.milestones import median_step
from mechgrok.experiments.reproduction import Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.runs import Run
from mechgrok.tasks import modular_task

P = 113
CHANCE = 4.727  # ln 113
PUBLISHED_STEPS = {0.3: 8258, 0.4: 3324, 0.5: 1109, 0.8: 439}
"""First step with a test loss below 1e-2, by fraction, in the authors' published loss curves."""


def _run(fraction: float, seed: int, steps: int) -> Run:
    return train_kept(
        modular_task("add", P), "nanda", fraction=fraction, seed=seed, steps=steps, stop_test_loss=3e-6,
        stop_when_settled=False, checkpoint_every=steps,
    )  # fmt: skip


def mainline(full: bool) -> Iterator[Row]:
    """Train with the paper's recipe over seeds (3, or 5 at full size) and analyse the networks."""
    runs = [_run(0.3, seed, 40_000) for seed in range(5 if full else 3)]
    memorised = median_step([first_step(run.history, "loss_train", below=1e-2) for run in runs])
    grokked = median_step([first_step(run.history, "loss_test", below=1e-2) for run in runs])
    yield Row("median step of train loss < 1e-2", 274, memorised, 0.8 * 270, 1.2 * 270)
    yield Row("median step of test loss < 1e-2", PUBLISHED_STEPS[0.3], grokked, 5000, 12_000)
    for run in runs:
        grid = run.grid()
        keys = find_key_frequencies(grid)
        seed = run.config.seed
        yield Row(f"key frequencies, seed {seed}", 5, len(keys), 3, 6)
        ratio = restricted_loss(grid, keys) / full_loss(grid)
        yield Row(f"restricted loss / full loss, seed {seed}", 0.23, ratio, None, 1)
        excluded = excluded_loss(grid, keys, run.split.train)
        yield Row(f"excluded loss on train inputs (nats), seed {seed}", None, excluded, CHANCE)


def fractions(full: bool) -> Iterator[Row]:
    """Steps to a test loss below 1e-2 for four fractions of the data."""
    measured: dict[float, float | None] = {}
    for fraction, published in PUBLISHED_STEPS.items():
        runs = [_run(fraction, seed, 3 * published + 2000) for seed in range(3 if full else 1)]
        measured[fraction] = median_step([first_step(run.history, "loss_test", below=1e-2) for run in runs])
        yield Row(
            f"step of test loss < 1e-2 at {fraction:z.0%}",
            published,
            measured[fraction],
            published / 2,
            published * 2,
        )
    order = [steps if steps is not None else float("inf") for steps in measured.values()]
    in_order = sum(later < earlier for earlier, later in pairwise(order))
    yield Row("neighbouring fractions in the published order", len(order) - 1, in_order, len(order) - 1)
