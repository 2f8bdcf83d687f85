"""Gromov 2023, Grokking modular arithmetic (arXiv 2301.02679): the analytic solution, and what training finds."""

from collections.abc import Iterator
from statistics import mean

import torch

from mechgrok.analysis.curves import first_step
from mechgrok.analysis.losses import accuracy
from mechgrok.analysis.neuron_phases import NeuronPhases, neuron_phases
from mechgrok.config import TrainConfig
from mechgrok.experiments.reproduction import Number, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.models.gromov_network import gromov_network
from mechgrok.models.mlp import HookedMLP
from mechgrok.runs import Run
from mechgrok.tasks import modular_task
from mechgrok.training.recipes import GROMOV

P = 97
DRAWS = 10
"""Constructed networks of each width."""
WIDTHS: dict[int, tuple[Number | None, Number | None, Number | None]] = {
    24: (None, 0.55, 0.7), 50: (None, 0.86, 0.93), 100: (None, 0.99, 0.9995), 200: (1, 0.9999, 1), 500: (1, 1, 1),
}  # fmt: skip
"""Accuracy by width: published, and our bounds."""
FASTER = 10
"""How many times the learning rate of the recipe the quick size has; its steps are worth as many of the recipe's."""
QUICK_STEPS = 3000
"""A third of what the full size goes."""


def analytic_solution(full: bool) -> Iterator[Row]:
    """Build the solution at several widths, then train networks and compare their neurons with it."""
    yield from _constructed()
    for seed in range(3 if full else 2):
        yield from _trained(full, seed)


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
    weights = {**network.state_dict(), "unembed.W_U": network.unembed.W_U[order]}
    network.load_state_dict(weights)
    yield Row(
        "accuracy with each neuron's output weights those of another", None, accuracy(network), None, 0.05
    )


def _trained(full: bool, seed: int) -> Iterator[Row]:
    run = train_kept(modular_task("add", P), _recipe(full), seed=seed)
    faster = 1 if full else FASTER
    history = run.history
    for which, published, low, high in (("train", 9000, 6000, 13_000), ("test", 20_000, 9000, 25_000)):
        step = first_step(history, f"accuracy_{which}", at_least=1)
        name = f"step of 100% {which} accuracy, in steps at a learning rate of {GROMOV.lr:g}, seed {seed}"
        yield Row(name, published, None if step is None else step * faster, low, high)
    phases = neuron_phases(run.model())
    waves = phases.waves.double().mean().item()
    yield Row(f"share of the neurons that are waves of one frequency, seed {seed}", 1, waves, 0.8, 1)
    yield Row(f"frequencies of these neurons, seed {seed}", P // 2, len(phases.groups), 44, P // 2)
    yield Row(
        f"agreement of output phase and sum of input phases, seed {seed}", 1, phases.doubling(), 0.95, 1
    )
    yield Row(f"agreement of the two input phases, seed {seed}", None, _agreement(phases), None, 0.2)
    yield Row(
        f"norm of the weights over that of the analytic solution, seed {seed}", 1, _norm(run), 0.85, 1.15
    )


def _recipe(full: bool) -> TrainConfig:
    if full:
        return GROMOV
    return GROMOV.replace(
        lr=GROMOV.lr * FASTER,
        steps=QUICK_STEPS,
        checkpoint_every=QUICK_STEPS,
        eval_every=GROMOV.eval_every // FASTER,
    )


def _agreement(phases: NeuronPhases) -> float:
    """Resultant length of the difference of both input phases over all neurons that are waves, 0..1."""
    difference = (phases.phase_a - phases.phase_b)[phases.waves]
    return torch.polar(torch.ones_like(difference), difference).mean().abs().item()


def _norm(run: Run) -> float:
    """Norm of the weights over that of cosines of one height which give the one-hot answers on average."""
    model = run.model()
    assert isinstance(model, HookedMLP)
    n = model.cfg.d_mlp
    height = (2 * (P - 1) / (n * P)) ** (1 / 3)
    squares = sum(w.detach().double().square().sum().item() for w in model.parameters())
    return (squares / (height**2 * 3 * n * P / 2)) ** 0.5
