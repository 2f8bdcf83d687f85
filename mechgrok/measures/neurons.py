"""Measures of the neurons: how many follow one frequency, how purely, and whether they agree on a few."""

from statistics import median

import torch

from mechgrok.algebra.bases import Label
from mechgrok.analysis.by_answer import means_by_answer
from mechgrok.analysis.class_distances import class_distance_ratio as ratio_of
from mechgrok.analysis.neurons import PURITY, VARIES, NeuronFrequencies, neuron_frequencies
from mechgrok.errors import UndefinedMetricError
from mechgrok.measures.circuit import NANDA
from mechgrok.measures.invariances import all_but
from mechgrok.measures.references import ALL
from mechgrok.measures.registry import measure
from mechgrok.measures.snapshot import Snapshot

TIED = 1e-6
"""Powers of two blocks that differ by less than this share are equal up to rounding."""


@measure(
    "fraction",
    direction="up",
    needs=["neurons"],
    citation=NANDA,
    title="Median FVE of neurons",
    invariances=all_but(),
)
def neuron_fve(snapshot: Snapshot) -> float:
    """Median share of a decided neuron's variance that its own frequency explains."""
    tuned = snapshot.once(tuning)
    if not tuned.decided.any():
        raise UndefinedMetricError(f"no neuron is explained to {PURITY:z.0%} by one block")
    return median(tuned.fve[tuned.decided].tolist())


@measure(
    "fraction",
    direction="up",
    needs=["neurons"],
    citation=NANDA,
    title="Tuned neurons",
    invariances=all_but(),
)
def neurons_decided(snapshot: Snapshot) -> float:
    """Share of all neurons that one frequency explains to 85% or more."""
    return snapshot.once(tuning).decided.double().mean().item()


@measure(
    "neurons",
    direction="up",
    needs=["neurons", "keys"],
    citation=NANDA,
    title="Neurons per key",
    invariances=all_but(),
)
def neuron_clusters(snapshot: Snapshot) -> dict[Label, int]:
    """Number of decided neurons that follow each key frequency."""
    sizes = snapshot.once(tuning).clusters
    return {key: sizes.get(key, 0) for key in snapshot.keys}


@measure(
    "fraction",
    direction="up",
    needs=["neurons", "keys"],
    citation="Sivasankar 2026 (arXiv 2606.12966)",
    reference=ALL,
    invariances=all_but(),
)
def frequency_synchronisation(snapshot: Snapshot) -> float:
    """How far the neurons agree on as few dominant frequencies as there are keys; 0 is chance, 1 is all of them.

    The dominant block of a neuron is the one in which its mean activation over the inputs with the same answer
    has the most power per row of the basis; blocks with equal power, as for a neuron that responds to a single
    answer, share it. With K keys, S the share of the living neurons that have one of the K most common dominant
    blocks, and c = K / number of blocks, the value is (S - c) / (1 - c). These blocks need not be the keys.
    """
    basis, n_keys = snapshot.frame.basis, len(snapshot.keys)
    chance = n_keys / len(basis.labels)
    if chance == 1:
        raise UndefinedMetricError(f"every {basis.what} is a key: there is nothing to agree on")
    frame = snapshot.frame
    if not frame.counts.all():
        raise UndefinedMetricError(
            f"some answers of {snapshot.task.name} never occur, so there is no response to them"
        )
    response = means_by_answer(snapshot.grid.neurons, frame)
    power = basis.power(response - response.mean(0), dim=0)[1:]
    alive = power.sum(0) > VARIES * response.square().sum(0).clamp(min=1e-300)
    if not alive.any():
        raise UndefinedMetricError("no neuron responds to the answer")
    rows = torch.tensor([len(block) for block in basis.blocks[1:]])
    per_row = power[:, alive] / rows[:, None]
    dominant = (per_row >= (1 - TIED) * per_row.amax(0)).double()
    commonest = (dominant / dominant.sum(0)).sum(1).sort(descending=True).values
    share = (commonest[:n_keys].sum() / dominant.shape[1]).item()
    return (share - chance) / (1 - chance)


@measure(
    "ratio",
    direction="up",
    needs=["neurons", "split"],
    citation="arXiv 2604.20923 (ILDR)",
    title="Class-distance ratio",
    invariances=all_but("scale of neurons"),
)
def class_distance_ratio(snapshot: Snapshot) -> float:
    """Mean distance of two classes' centroids over that of a test input to its own, in the last hidden layer."""
    return ratio_of(snapshot.grid, snapshot.test)


def tuning(snapshot: Snapshot) -> NeuronFrequencies:
    """The frequency of each neuron."""
    return neuron_frequencies(snapshot.grid)
