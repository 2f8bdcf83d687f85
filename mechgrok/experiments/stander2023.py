"""Stander, Yu, Fan and Biderman 2023, Grokking Group Multiplication with Cosets (arXiv 2312.06581)."""

from collections.abc import Iterator

import torch

from mechgrok.activations import ActivationGrid
from mechgrok.analysis.cosets import CosetNeurons, coset_neurons
from mechgrok.analysis.performance import Performance, logits_from_neurons, performance
from mechgrok.analysis.perturbations import ABSOLUTE, BOTH, SWAPPED, NeuronPerturbations, perturb_neurons
from mechgrok.experiments.chughtai2023 import QUICK, SETUP
from mechgrok.experiments.reproduction import Curve, Number, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.tasks import sn_task

Bounds = tuple[Number | None, Number | None]

TABLE: dict[str, tuple[float, float, Bounds]] = {
    "the network": (0.9999, 1.97e-6, (0.999, 1)),
    SWAPPED: (0.01, 4.76, (None, 0.03)),
    BOTH: (1.0, 1.97e-6, (0.99, 1)),
    "sign of a flipped": (0.0, 22.39, (None, 0.002)),
    "sign of b flipped": (0.0, 22.36, (None, 0.002)),
    "noise of 0.1": (0.9999, 2.96e-6, (0.999, 1)),
    "noise of 1": (0.978, 0.0017, (0.9, 1)),
    ABSOLUTE: (1.0, 3.69e-13, (0.999, 1)),
    "noise of 1, shifted up": (0.88, 0.029, (0.75, 1)),
    "noise of 1, shifted down": (0.98, 0.0021, (0.9, 1)),
}
"""By perturbation: published mean accuracy and loss over 128 networks, and our bounds on the accuracy."""
CONCENTRATED = 0.01
"""Coset concentration below which a neuron is a function of cosets."""


def interventions(full: bool) -> Iterator[Row | Curve]:
    """Train their network on S5, break what its neurons read, and remove neurons by their coset concentration."""
    losses: dict[str, list[float]] = {}
    for seed in range(1, 5 if full else 3):
        run = train_kept(sn_task("S5"), SETUP if full else QUICK, seed=seed)
        grid = run.grid()
        broken = perturb_neurons(grid, noise=1.0)
        answers = _answers(broken)
        for name, (accuracy, loss, bounds) in TABLE.items():
            yield Row(f"{name}: accuracy, seed {seed}", accuracy, answers[name].accuracy, *bounds)
            yield Row(f"{name}: loss (nats), seed {seed}", loss, answers[name].loss)
            losses.setdefault(f"seed {seed}", []).append(answers[name].loss)
        yield from _comparisons(broken, seed)
        yield from _cosets(grid, coset_neurons(grid), seed)
    titles = {
        "x_title": "row of the published table",
        "y_title": "loss (nats)",
        "logarithmic": True,
        "dots": True,
    }
    rows = tuple(range(1, len(TABLE) + 1))
    yield Curve(
        "Loss under each intervention",
        "published",
        rows,
        tuple(loss for _, loss, _ in TABLE.values()),
        **titles,
    )
    for name, values in losses.items():
        shown = tuple(float(f"{max(value, 1e-16):z.3g}") for value in values)
        yield Curve("Loss under each intervention", name, rows, shown, **titles)


def _answers(broken: NeuronPerturbations) -> dict[str, Performance]:
    """The rows of the published table, in which noise that is shifted down is one of its own."""
    down = broken.rows["noise of 1, shifted up"].control
    assert down is not None
    return {"the network": broken.before, down.name: down, **{n: row.after for n, row in broken.rows.items()}}


def _comparisons(broken: NeuronPerturbations, seed: int) -> Iterator[Row]:
    """What the paper says of the table, and what |x| does: it doubles the logits."""
    absolute, up = broken.rows[ABSOLUTE], broken.rows["noise of 1, shifted up"]
    assert absolute.control is not None
    assert up.control is not None
    less = absolute.loss / broken.before.loss
    yield Row(f"loss with |x| over the loss, seed {seed}", 3.69e-13 / 1.97e-6, less, None, 0.5)
    doubled = absolute.loss / absolute.control.loss
    yield Row(f"loss with |x| over that of doubled logits, seed {seed}", None, doubled, 0.1, 10)
    worse = up.loss / up.control.loss
    yield Row(f"loss with noise shifted up over that shifted down, seed {seed}", 0.029 / 0.0021, worse, 1.5)
    yield Row(
        f"share of the logits that is odd in the pre-activations, seed {seed}", None, broken.odd, None, 0.02
    )


def _cosets(grid: ActivationGrid, cosets: CosetNeurons, seed: int) -> Iterator[Row]:
    on_cosets = cosets.within < CONCENTRATED
    share = on_cosets.double().mean().item()
    yield Row(f"share of the neurons that are functions of cosets, seed {seed}", None, share, 0.6, 1)
    for name, published, kept, bounds in (
        ("accuracy of these neurons alone, the others at their mean", 1, on_cosets, (0.99, 1)),
        ("accuracy with these neurons at their mean", None, ~on_cosets, (None, 0.2)),
    ):
        logits = logits_from_neurons(grid, torch.where(kept, grid.neurons, grid.neurons.mean(0)))
        right = performance(name, logits, grid.labels, grid.logits).accuracy
        yield Row(f"{name}, seed {seed}", published, right, *bounds)
