"""McCracken, Moisescu-Pareja et al. 2025, Uncovering a universal abstract algorithm (arXiv 2505.18266)."""

from collections.abc import Iterator
from math import ceil, log, pi

import torch
from torch import Tensor

from mechgrok.activations import ActivationGrid, cache_grid
from mechgrok.analysis.frequencies import find_key_frequencies
from mechgrok.analysis.losses import accuracy
from mechgrok.analysis.neuron_phases import NeuronPhases, neuron_phases
from mechgrok.analysis.stages import replace_stages
from mechgrok.config import MLPConfig
from mechgrok.experiments.pictures import recorded_curve
from mechgrok.experiments.reproduction import Curve, Number, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.models.protocol import HookedModel, neuron_hook, pre_activation_hook
from mechgrok.runs import load_run
from mechgrok.tasks import modular_task
from mechgrok.training.recipes import find_recipe

Bounds = tuple[Number | None, Number | None]
NONE: Bounds = (None, None)

NETWORKS: dict[str, tuple[str, Bounds, Bounds, Bounds]] = {
    "pizza59": ("attention rate 0", (0.95, 1), (0.999, 1), (0.9, 1)),
    "clock59": ("attention rate 1", (0.9, 1), NONE, NONE),
    "add113": ("transformer of Nanda et al. 2023", (0.9, 1), NONE, NONE),
}
"""Networks that come with mechgrok: bounds on R², accuracy with sines, and share on cosets."""
SINES = {
    "with products": "neurons read one block, with products",
    "without products": "neurons read one block, without products",
}
"""Stages: of each neuron what its frequency explains, all of it, or what one sine of each operand does."""
ACTIVE = 0.1
"""Share of its largest activation from which a neuron counts as active."""
DELTA, RHO = 0.5, 0.95
"""Of theorem 4.7: margin per frequency, and probability."""
DRAWS = 2000
N = 59
ONE_HOT = find_recipe("alpha").replace(
    recipe="one-hot",
    model=MLPConfig(inputs="one_hot", embeddings="separate", d_mlp=1024, mlp_bias=False, init="fan_in"),
    lr=5e-3, weight_decay=1.0, steps=2000, checkpoint_every=2000,
)  # fmt: skip
EMBEDDED = find_recipe("alpha").replace(lr=5e-3, steps=1600, checkpoint_every=1600)


def degree_one(full: bool) -> Iterator[Row | Curve]:
    """Sines of degree 1 in trained networks, frequencies by architecture, and how many random ones suffice."""
    for name, (about, *bounds) in NETWORKS.items():
        yield from _fitted(name, about, *bounds)
    for seed in range(5 if full else 2):
        for what, recipe, (low, high) in (
            ("one-hot operands", ONE_HOT, (20, N // 2)), ("trained embeddings", EMBEDDED, (None, None)),
        ):  # fmt: skip
            about = f"MLP, {what}, seed {seed}"
            network = train_kept(modular_task("add", N), recipe, seed=seed).model()
            yield Row(f"{about}: accuracy", 1, accuracy(network), 0.99, 1)
            yield from _sines(about, _grid(network), (0.85, 1), (0.99, 1))
            found = len(find_key_frequencies(network).frequencies)
            yield Row(f"{about}: key frequencies", N // 2 if recipe is ONE_HOT else 5, found, low, high)
    yield from _random_frequencies()


def _fitted(name: str, about: str, r2: Bounds, right: Bounds, cosets: Bounds) -> Iterator[Row]:
    grid = _grid(load_run(name).model())
    yield from _sines(about, grid, r2, right)
    phases = neuron_phases(grid)
    own, other = _on_cosets(grid, phases, 1), _on_cosets(grid, phases, 2)
    yield Row(f"{about}: share of the neurons' responses that are one approximate coset", 1, own, *cosets)
    yield Row(f"{about}: the same with the steps of twice the frequency", None, other, None, 0.3)


def _grid(network: HookedModel) -> ActivationGrid:
    return cache_grid(network, names=[pre_activation_hook(network), neuron_hook(network)])


def _sines(about: str, grid: ActivationGrid, r2: Bounds, right: Bounds) -> Iterator[Row]:
    share = neuron_phases(grid).share.median().item()
    yield Row(f"{about}: R² of sines of degree 1, median over the neurons", None, share, *r2)
    stages = {stage.stage: stage for stage in replace_stages(grid, find_key_frequencies(grid).frequencies)[0]}
    for how, name in SINES.items():
        bounds = right if how == "without products" else (None, None)
        published = 1 if how == "without products" else None
        row = f"{about}: accuracy with each neuron reading its own frequency alone, {how}"
        yield Row(row, published, stages[name].accuracy, *bounds)


def _on_cosets(grid: ActivationGrid, phases: NeuronPhases, factor: int) -> float:
    """Of neurons and second operands for which the neuron is active at some first operands and not at others: the
    share in which these are neighbours in steps of d, the inverse of the frequency."""
    n = grid.task.frame.order
    responses = grid.task.frame.square(grid.neurons)
    active = responses > ACTIVE * responses.amax((0, 1))
    one = mixed = 0
    for label, neurons in phases.groups.items():
        d = pow((phases.labels.index(label) + 1) * factor, -1, n)
        ordered = active[(torch.arange(n) * d) % n][:, :, neurons]
        arcs = (ordered & ~ordered.roll(1, 0)).sum(0)
        one, mixed = one + int((arcs == 1).sum()), mixed + int((arcs > 0).sum())
    return one / max(mixed, 1)


def _random_frequencies() -> Iterator[Row | Curve]:
    for n in (59, 113):
        bound = ceil((2 * log(n) - 2 * log(2 - 2 * RHO)) / (log(pi / DELTA) - 1)) + 1
        share = _with_margin(n, bound)
        yield Row(
            f"n = {n}: share of draws of {bound} frequencies with a margin of {DELTA:g} each",
            RHO,
            share,
            RHO,
            1,
        )
        enough = next(m for m in range(1, bound + 1) if _with_margin(n, m) >= RHO)
        yield Row(f"n = {n}: frequencies from which 95% of the draws have it", bound, enough, None, bound)
        counts = list(range(1, bound + 1))
        shares = [_with_margin(n, m) for m in counts]
        yield recorded_curve(
            "Random frequencies",
            f"n = {n}",
            counts,
            shares,
            x_title="frequencies",
            y_title="share with the margin",
        )


def _with_margin(n: int, m: int) -> float:
    """Share of draws of m frequencies for which sum_k (1 - cos(w_k d)) > delta m for every distance d that is not 0."""
    dice = torch.Generator().manual_seed(m)
    k = torch.randint(1, n, (DRAWS, m), generator=dice)
    distances = torch.arange(1, n)
    margins = torch.stack([_margin(k, d, n) for d in distances])
    return (margins.amin(0) > DELTA * m).double().mean().item()


def _margin(k: Tensor, d: Tensor, n: int) -> Tensor:
    return (1 - (2 * pi / n * (k * d % n)).cos()).sum(1)
