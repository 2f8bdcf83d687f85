"""Moisescu-Pareja, McCracken et al. 2025, On the Geometry and Topology of Representations (arXiv 2512.25060)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mechgrok.activations import cache_grid
from mechgrok.analysis.additive import additive_only
from mechgrok.analysis.logit_surface import distance_irrelevance
from mechgrok.analysis.losses import accuracy
from mechgrok.analysis.neuron_phases import NeuronPhases, neuron_phases
from mechgrok.experiments.reproduction import Curve, Number, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.experiments.zhong2023 import FASTER, FULL, P
from mechgrok.models.constructed import cosine_network, pizza_network
from mechgrok.models.protocol import HookedModel, pre_activation_hook
from mechgrok.tasks import modular_task

Bounds = tuple[Number | None, Number | None]


@dataclass(frozen=True)
class Manifold:
    """What the neurons of one frequency see of all pairs of operands."""

    alignment: Bounds
    dimensions: int


DISC = Manifold((0.98, 1), 2)
"""Phases of both operands are alike: exp(iwa) + exp(iwb), which is a vector in a plane."""
TORUS = Manifold((None, 0.3), 4)
"""They are independent: exp(iwa) and exp(iwb) beside each other."""
NETWORKS = {
    "pizza": ("attention rate 0", DISC),
    "clock": ("attention rate 1", DISC),
    "alpha": ("MLP, embeddings added", DISC),
    "delta": ("MLP, embeddings side by side", TORUS),
}
"""By recipe of Zhong et al. 2023."""
VARIANCE = 0.95
"""Share of the variance that counts for the dimensions."""


def phase_alignment(full: bool) -> Iterator[Row | Curve]:
    """Which manifold the first layer sees, in constructed networks and in trained ones of four architectures."""
    for name, network, manifold in (
        ("constructed pizza", pizza_network(P, {5: 9.0, 17: 9.0}), DISC),
        ("constructed waves of all phases", cosine_network(P, {5: 9.0, 17: 9.0}), TORUS),
    ):
        yield from _manifold(name, network, neuron_phases(network), manifold)
    distances: dict[str, list[float]] = {}
    for recipe, (name, manifold) in NETWORKS.items():
        for seed in range(10 if full else 2):
            run = train_kept(modular_task("add", P), recipe, seed=seed, **(FULL if full else FASTER))
            network, about = run.model(), f"{name}, seed {seed}"
            phases = neuron_phases(network)
            yield Row(f"{about}: accuracy", 1, accuracy(network), 0.99, 1)
            yield from _manifold(about, network, phases, manifold)
            distance = distance_irrelevance(network)
            distances.setdefault(recipe, []).append(distance)
            yield Row(f"{about}: distance irrelevance", None, distance)
            yield Row(
                f"{about}: accuracy without products before the neurons",
                None,
                additive_only(network).accuracy,
            )
            if not seed:
                yield from _scatter(name, phases)
    apart = min(distances["clock"]) - max(distances["pizza"])
    yield Row("least distance irrelevance at rate 1 less the largest at rate 0", None, apart)


def _manifold(name: str, network: HookedModel, phases: NeuronPhases, manifold: Manifold) -> Iterator[Row]:
    published = 1 if manifold is DISC else 0
    yield Row(f"{name}: phase alignment", published, phases.alignment(), *manifold.alignment)
    label, neurons = next(iter(phases.groups.items()))
    read = cache_grid(network, names=[pre_activation_hook(network)])[pre_activation_hook(network)]
    n = manifold.dimensions
    yield Row(
        f"{name}: dimensions of the neurons of frequency {label}", n, _dimensions(read[:, neurons]), n, n
    )


def _dimensions(x: Tensor) -> int:
    """How many principal components hold 95% of the variance over the inputs."""
    strength = torch.linalg.svdvals(x.double() - x.double().mean(0)).square()
    return int((strength.cumsum(0) < VARIANCE * strength.sum()).sum()) + 1


def _scatter(name: str, phases: NeuronPhases) -> Iterator[Curve]:
    x, y = (
        tuple(round(v, 2) for v in phase[phases.waves].tolist()) for phase in (phases.phase_a, phases.phase_b)
    )
    yield Curve(name, "neuron", x, y, dots=True, plane=True, x_title="phase of a", y_title="phase of b")
