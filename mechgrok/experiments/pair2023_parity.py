"""Pearce et al. 2023, "1s and 0s": the weights of the bits that do not matter, and four regimes of weight decay."""

from collections.abc import Iterator, Sequence

import torch

from mechgrok.analysis.curves import curve, first_step
from mechgrok.analysis.input_weights import input_norms
from mechgrok.experiments.pair2023 import accuracy_and_loss
from mechgrok.experiments.parity_sweep import WEIGHT_DECAYS, ParitySweep, parity_sweep
from mechgrok.experiments.pictures import recorded_curve
from mechgrok.experiments.reproduction import Curve, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.runs import Run
from mechgrok.tasks import parity_task

RELEVANT = 3
N_TRAIN, N_TEST = 1200, 5000
GROKS = {"weight_decay": 0.3, "fraction": (N_TRAIN + 0.5) / (N_TRAIN + N_TEST), "checkpoint_every": 100}
"""The article's train set, with the width and one of the weight decays of the sweep."""
ENOUGH = 3e-6
"""Test loss from which a network has generalised, and its training tells nothing new."""
PUBLISHED = {"memorisation": 0.01, "grokking": 0.1, "confusion": 1.0}
"""Weight decays at which all, or nearly all, of the published networks of these widths and train sets are alike."""


def regimes(full: bool) -> Iterator[Row | Curve]:
    """One network that groks, checkpoint by checkpoint, and a sweep."""
    for seed in range(3 if full else 1):
        task = parity_task(n_samples=N_TRAIN + N_TEST)
        yield from _weights(train_kept(task, "pair-parity", seed=seed, **GROKS), seed)
    sizes = {} if full else {"widths": (32, 64), "train_sizes": (1000, 1500), "seeds": (0,)}
    if full:
        sizes = {"seeds": range(9)}
    yield from _kinds(parity_sweep(**sizes, stop_test_loss=ENOUGH, checkpoint_every=20_000))


def _weights(run: Run, seed: int) -> Iterator[Row | Curve]:
    """The weights of the distracting bits fall as the test accuracy rises."""
    history, steps = run.history, run.steps
    memorised = first_step(history, "accuracy_train", at_least=1)
    generalised = first_step(history, "accuracy_test", at_least=0.99)
    norms = torch.stack([input_norms(run.model(step)) for step in steps])
    ours, others = norms[:, :RELEVANT].mean(1), norms[:, RELEVANT:].mean(1)
    yield Row(f"seed {seed}: step of all train inputs", None, memorised, None, 1500)
    yield Row(
        f"seed {seed}: steps from there to 99% of the test inputs",
        None,
        _between(memorised, generalised),
        500,
    )
    yield Row(f"seed {seed}: test accuracy", 1, history[-1]["accuracy_test"], 0.999)
    if memorised is None or generalised is None:
        return
    at = {
        name: steps.index(100 * (step // 100))
        for name, step in (("memorised", memorised), ("knows", generalised))
    }
    share = (others / ours).tolist()
    yield Row(
        f"seed {seed}: norm of a distracting bit / of a relevant one, memorised",
        None,
        share[at["memorised"]],
        0.5,
    )
    yield Row(f"seed {seed}: the same at the end", 0, share[-1], None, 0.02)
    lowest = curve(history, "loss_train").before(generalised)
    rise = lowest.values[-1] / lowest.values.min()
    yield Row(f"seed {seed}: train loss before the jump / its lowest", None, rise.item(), 1.5)
    if not seed:
        yield from accuracy_and_loss(run)
        for name, values in (("relevant bits", ours), ("distracting bits", others)):
            yield recorded_curve("Weights of a bit", name, steps, values.tolist(), y_title="norm")


def _between(first: int | None, last: int | None) -> int | None:
    return None if first is None or last is None else last - first


def _kinds(sweep: ParitySweep) -> Iterator[Row | Curve]:
    """The kinds of learning by weight decay, in one figure."""
    shares = sweep.shares()
    for kind, decay in PUBLISHED.items():
        measured = shares[decay].get(kind, 0.0)
        yield Row(f"weight decay {decay:g}: share with {kind}", 1, measured, 0.75)
    together = [row for row in sweep.table if row["kind"] == "comprehension"]
    yield Row("networks whose train and test loss fall together", None, len(together), 1)
    decays = [WEIGHT_DECAYS.index(row["weight_decay"]) for row in together]
    yield Row("their lowest weight decay", None, WEIGHT_DECAYS[min(decays)] if decays else None, 0.03, 0.3)
    yield from _marks(sweep.table)


def _marks(table: Sequence[dict]) -> Iterator[Curve]:
    """A panel for each weight decay; seeds of a setting side by side."""
    for decay in dict.fromkeys(row["weight_decay"] for row in table):
        for kind in ("memorisation", "grokking", "comprehension", "confusion"):
            mine = [row for row in table if row["weight_decay"] == decay and row["kind"] == kind]
            yield Curve(
                f"Weight decay {decay:g}", kind,
                tuple(row["d_mlp"] * 1.06 ** row["seed"] for row in mine), tuple(row["n_train"] for row in mine),
                x_title="neurons", y_title="train inputs", dots=True,
            )  # fmt: skip
