"""Pearce et al. 2023, "1s and 0s": the weights of the irrelevant bits, and four regimes of weight decay."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from mechgrok.analysis.curves import curve, first_step
from mechgrok.analysis.input_weights import input_norms
from mechgrok.experiments.pair2023 import accuracy_and_loss
from mechgrok.experiments.parity_sweep import ParitySweep, parity_sweep
from mechgrok.experiments.pictures import recorded_curve
from mechgrok.experiments.reproduction import Curve, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.runs import Run
from mechgrok.tasks import parity_task

RELEVANT = 3
N_TRAIN, N_TEST = 1200, 5000
GROKS: dict[str, Any] = {
    "weight_decay": 0.3,
    "fraction": (N_TRAIN + 0.5) / (N_TRAIN + N_TEST),
    "checkpoint_every": 100,
}
"""The article's train set, with the width and one of the weight decays of the sweep."""
QUICK: dict[str, Any] = {"widths": (32, 64), "train_sizes": (1000, 1500), "seeds": (0,), "steps": 10_000}
ENOUGH = 3e-6
"""Test loss from which a network has generalised, and further training shows nothing new."""
PUBLISHED = {"memorisation": 0.01, "grokking": 0.1, "confusion": 1.0}
"""Weight decays at which (nearly) all published networks with these widths and train sets behave alike."""
NARROW = 32
"""Neurons up to which a weight decay of 1 lets a network learn nothing; 64 in the published table."""


def regimes(full: bool) -> Iterator[Row | Curve]:
    """One network that groks, checkpoint by checkpoint, and a sweep."""
    for seed in range(3 if full else 1):
        task = parity_task(n_samples=N_TRAIN + N_TEST)
        yield from _weights(train_kept(task, "pair-parity", seed=seed, **GROKS), seed)
    sizes: dict[str, Any] = {"seeds": range(9)} if full else QUICK
    yield from _kinds(parity_sweep(**sizes, stop_test_loss=ENOUGH, checkpoint_every=20_000))


def _weights(run: Run, seed: int) -> Iterator[Row | Curve]:
    """The weights of the distracting bits fall as the test accuracy rises."""
    history, name = run.history, f"seed {seed}"
    memorised = first_step(history, "accuracy_train", at_least=1)
    generalised = first_step(history, "accuracy_test", at_least=0.99)
    yield Row(f"{name}: step of all train inputs", None, memorised, None, 1500)
    yield Row(
        f"{name}: steps from there to 99% of the test inputs", None, _between(memorised, generalised), 500
    )
    yield Row(f"{name}: test accuracy", 1, history[-1]["accuracy_test"], 0.999)
    if memorised is None or generalised is None:
        return
    norms = torch.stack([input_norms(run.model(step)) for step in run.steps])
    ours, others = norms[:, :RELEVANT].mean(1), norms[:, RELEVANT:].mean(1)
    share = dict(zip(run.steps, (others / ours).tolist(), strict=True))
    what = "norm of a distracting bit / of a relevant one"
    yield Row(f"{name}: {what}, memorised", None, share[memorised], 0.4)
    yield Row(f"{name}: {what}, 99% of the test inputs", None, share[generalised])
    yield Row(f"{name}: {what}, at the end", 0, share[run.steps[-1]], None, 0.05)
    before = curve(history, "loss_train").before(generalised).values
    rise = (before[-1] / before.min()).item()
    yield Row(f"{name}: train loss before the jump / its lowest until then", None, rise, 1.5)
    if not seed:
        yield from accuracy_and_loss(run)
        for bits, values in (("relevant bits", ours), ("distracting bits", others)):
            yield recorded_curve("Weights of a bit", bits, run.steps, values.tolist(), y_title="norm")


def _between(first: int | None, last: int | None) -> int | None:
    return None if first is None or last is None else last - first


def _kinds(sweep: ParitySweep) -> Iterator[Row | Curve]:
    """The kinds of learning by weight decay, in one figure."""
    shares = sweep.shares()
    for kind, decay in PUBLISHED.items():
        if kind == "confusion":
            narrow = tuple(row for row in sweep.table if row["d_mlp"] <= NARROW)
            share = ParitySweep(narrow, {}).shares()[decay].get(kind, 0.0)
            yield Row(f"weight decay {decay:g}, up to {NARROW} neurons: share with {kind}", 1, share, 0.75)
        else:
            yield Row(f"weight decay {decay:g}: share with {kind}", 1, shares[decay].get(kind, 0.0), 0.75)
    together = [row["weight_decay"] for row in sweep.table if row["kind"] == "comprehension"]
    yield Row("networks whose train and test loss fall together", None, len(together), 1)
    yield Row("their lowest weight decay", None, min(together, default=None), 0.03, 0.3)
    yield from _marks(sweep.table)


def _marks(table: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    """A panel for each weight decay, with the seeds of a setting next to each other."""
    for decay in dict.fromkeys(row["weight_decay"] for row in table):
        found = [row for row in table if row["weight_decay"] == decay]
        for kind in dict.fromkeys(row["kind"] for row in found):
            mine = [row for row in found if row["kind"] == kind]
            yield Curve(
                f"Weight decay {decay:g}", kind,
                tuple(row["d_mlp"] * 1.06 ** row["seed"] for row in mine), tuple(row["n_train"] for row in mine),
                x_title="neurons", y_title="train inputs", dots=True,
            )  # fmt: skip
