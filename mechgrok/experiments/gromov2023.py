"""Gromov 2023, Grokking modular arithmetic (arXiv 2301.02679): the analytic solution, and the trained solutions."""

from collections.abc import Iterator
from math import pi
from statistics import mean
from typing import Any

import torch

from mechgrok.analysis.curves import first_step
from mechgrok.analysis.losses import accuracy
from mechgrok.analysis.neuron_phases import NeuronPhases, neuron_phases
from mechgrok.config import TrainConfig
from mechgrok.experiments.pictures import history_curve
from mechgrok.experiments.reproduction import Curve, Number, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.models.gromov_network import gromov_network
from mechgrok.models.mlp import HookedMLP
from mechgrok.tasks import modular_task
from mechgrok.training.recipes import GROMOV

P = 97
DRAWS = 10
"""Number of constructed networks per width."""
WIDTHS: dict[int, tuple[Number | None, Number | None, Number | None]] = {
    24: (None, 0.38, 0.51), 50: (None, 0.86, 0.93), 100: (None, 0.995, 0.9995), 200: (1, 0.9999, 1), 500: (1, 1, 1),
}  # fmt: skip
"""Accuracy by width: published, and our bounds."""
FASTER = 10
"""Factor from the recipe's learning rate to the quick size's; its steps are worth that many of the recipe's."""
QUICK_STEPS = 3000
"""A third of the full size's steps."""


def analytic_solution(full: bool) -> Iterator[Row | Curve]:
    """Build the solution at several widths, then train networks and compare their neurons with it."""
    yield from _constructed()
    for seed in range(3 if full else 2):
        yield from _trained(full, seed)
    yield from _figure(_run(full, 0))


def _constructed() -> Iterator[Row]:
    for n, (published, low, high) in WIDTHS.items():
        right = mean(accuracy(gromov_network(P, n, seed)) for seed in range(DRAWS))
        yield Row(
            f"accuracy of the construction with {n} neurons, mean of {DRAWS}", published, right, low, high
        )
    network = gromov_network(P, 500)
    task = modular_task("add", P, sequence=("a", "b"))
    with torch.no_grad():
        outputs = network(task.tokens)[:, -1] * 2 * (P - 1) / (500 * P)
    right_answer = outputs.gather(1, task.labels[:, None])
    yield Row(
        "output of the right answer, 500 neurons, mean over the inputs",
        1,
        right_answer.mean().item(),
        0.95,
        1.05,
    )
    order = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    weights = network.state_dict()
    network.load_state_dict({**weights, "unembed.W_U": weights["unembed.W_U"][order]})
    yield Row(
        "accuracy with each neuron's output weights those of another", None, accuracy(network), None, 0.05
    )


def _run(full: bool, seed: int) -> Any:
    return train_kept(modular_task("add", P), _recipe(full), seed=seed)


def _trained(full: bool, seed: int) -> Iterator[Row]:
    run = _run(full, seed)
    faster = 1 if full else FASTER
    history = run.history
    for which, published, low, high in (("train", 9000, 7000, 12_500), ("test", 20_000, 9500, 20_000)):
        step = first_step(history, f"accuracy_{which}", at_least=1)
        name = f"step of 100% {which} accuracy, in steps at a learning rate of {GROMOV.lr:g}, seed {seed}"
        yield Row(name, published, None if step is None else step * faster, low, high)
    phases = neuron_phases(run.model())
    waves = phases.waves.double().mean().item()
    yield Row(f"share of the neurons that are waves of one frequency, seed {seed}", None, waves, 0.4, 1)
    yield Row(f"frequencies of these neurons, seed {seed}", P // 2, len(phases.groups), 44, P // 2)
    added = phases.doubling() if phases.groups else None
    yield Row(f"agreement of output phase and sum of input phases, seed {seed}", 1, added, 0.97, 1)
    alike = _agreement(phases) if phases.groups else None
    yield Row(f"agreement of the two input phases, seed {seed}", None, alike, None, 0.15)
    yield Row(f"norm of the weights over that of the analytic solution, seed {seed}", 1, _norm(run), 0.9, 1.2)


def _recipe(full: bool) -> TrainConfig:
    if full:
        return GROMOV
    return GROMOV.replace(
        lr=GROMOV.lr * FASTER,
        steps=QUICK_STEPS,
        checkpoint_every=QUICK_STEPS,
        eval_every=GROMOV.eval_every // FASTER,
    )


def _figure(run: Any) -> Iterator[Curve]:
    """Accuracy of the construction by width; the learning curves; the phases of the trained neurons."""
    widths = (8, 16, 24, 36, 50, 75, 100, 150, 200, 300, 500)
    right = tuple(round(_right(n), 4) for n in widths)
    yield Curve("Construction", "test", widths, right, x_title="neurons", y_title="accuracy")
    for name in ("train", "test"):
        yield history_curve("Training", name, run.history, f"accuracy_{name}", y_title="accuracy")
    phases = neuron_phases(run.model())
    first, second, output = (
        phase[phases.waves] for phase in (phases.phase_a, phases.phase_b, phases.output_phase)
    )
    added = torch.remainder(first + second + pi, 2 * pi) - pi
    for panel, x, y, titles in (
        ("Phases of both operands", first, second, ("of a", "of b")),
        ("Output phases", added, output, ("sum of both input phases", "output phase")),
    ):
        points = [tuple(round(v, 2) for v in values.tolist()) for values in (x, y)]
        yield Curve(panel, "neuron", *points, dots=True, x_title=titles[0], y_title=titles[1])


def _right(n: int) -> int | float:
    return mean(accuracy(gromov_network(P, n, seed)) for seed in range(DRAWS))


def _agreement(phases: NeuronPhases) -> int | float:
    """Resultant length of the difference between the two input phases, over all neurons that are waves, 0..1."""
    difference = (phases.phase_a - phases.phase_b)[phases.waves]
    return torch.polar(torch.ones_like(difference), difference).mean().abs().item()


def _norm(run: Any) -> int | float:
    """Ratio of the weight norm to the norm of equal-amplitude cosines that give the one-hot answers on average."""
    model = run.model()
    assert isinstance(model, HookedMLP)
    n = model.cfg.d_mlp
    height = (2 * (P - 1) / (n * P)) ** (1 / 3)
    squares = sum(w.detach().double().square().sum().item() for w in model.parameters())
    return (squares / (height**2 * 3 * n * P / 2)) ** 0.5
