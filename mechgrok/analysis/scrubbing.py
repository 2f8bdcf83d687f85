"""Causal scrubbing by cluster: whether neurons of one frequency carry nothing but the answer."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.by_answer import answers_of_inputs
from mechgrok.analysis.neurons import NeuronFrequencies, neuron_frequencies
from mechgrok.analysis.performance import Performance, logits_from_neurons, performance
from mechgrok.config import check_seed
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import UndefinedMetricError
from mechgrok.tasks import Frame

NEURONS = 32
"""How many are resampled at a time, one after the other, so that all inputs of one stay in the cache."""


@dataclass(frozen=True, eq=False)
class Scrubbing(Drawable):
    """A network whose clusters of neurons each saw another input with the same answer, and its controls.

    Attributes:
        before: the network as it is.
        scrubbed: each cluster with the activations of another input that has the same answer.
        control: each with those of an input that has the same difference instead, or the same sum where the answer is
            a difference; None where every element is its own inverse, and the two are one.
        partition: as `scrubbed`, with the neurons divided at random into groups of the same sizes.
        baseline: each cluster with the activations of any other input.
        clusters: how many neurons each block has, largest cluster first. Every neuron that varies belongs to its best
            block.
        n_inputs: how many inputs were evaluated.
    """

    before: Performance
    scrubbed: Performance
    control: Performance | None
    partition: Performance
    baseline: Performance
    clusters: dict[Label, int]
    n_inputs: int

    @property
    def loss(self) -> float:
        """Loss after scrubbing, in nats."""
        return self.scrubbed.loss

    @property
    def accuracy(self) -> float:
        """Accuracy after scrubbing, 0..1."""
        return self.scrubbed.accuracy

    @property
    def control_accuracy(self) -> float | None:
        """Accuracy with the same difference instead of the same answer; chance where the clusters carry the answer."""
        return None if self.control is None else self.control.accuracy

    @property
    def random_partition(self) -> float:
        """Accuracy with the neurons divided at random. Compare `partition.loss` too, where this one is near 1."""
        return self.partition.accuracy

    @property
    def recovered(self) -> float:
        """The share of the loss that the hypothesis recovers: 1 - (L_scrubbed - L) / (L_baseline - L).

        Raises:
            UndefinedMetricError: resampling from any input does no harm, so there is nothing to recover.
        """
        harm = self.baseline.loss - self.before.loss
        if harm <= 0:
            raise UndefinedMetricError(
                f"activations of any other input leave a loss of {self.baseline.loss:z.3g} nats, not above the "
                f"{self.before.loss:z.3g} of the network, so there is no loss to recover"
            )
        return 1 - (self.scrubbed.loss - self.before.loss) / harm

    @property
    def performances(self) -> tuple[Performance, ...]:
        """All that was done, the network as it is first."""
        found = (self.before, self.scrubbed, self.partition, self.control, self.baseline)
        return tuple(item for item in found if item is not None)

    def __repr__(self) -> str:
        control = "" if self.control is None else f", same difference {self.control.accuracy:z.1%}"
        return (
            f"Scrubbing(accuracy {self.before.accuracy:z.1%} -> {self.accuracy:z.1%}{control}, "
            f"random groups {self.random_partition:z.1%}; {len(self.clusters)} clusters)"
        )


@door
def scrub(source: Source, mask: Bool[Tensor, " inputs"] | None = None, seed: int = 0) -> Scrubbing:
    """Give each cluster of neurons the activations of another input with the same answer, and see what is left.

    The hypothesis is that the neurons of one frequency or irrep compute a function of a∘b, and use nothing else. If it
    is true, activations from another input with the same answer do no harm. A network that has memorised its inputs
    falls to pieces. The controls say what the test can see: the same difference must destroy the answers, and a
    random division of the neurons must do worse than the clusters. Clock and pizza both pass.

    Args:
        source: a network, or a grid with the neurons cached. Of a grid of bare tensors W_L must be known.
        mask: inputs to evaluate on, such as `split.train`; None takes all. Activations come from any input with
            a place in the task's frame, and inputs without one are left out.
        seed: of the other inputs, drawn for each cluster on its own, and of the random division.

    Raises:
        UndefinedMetricError: the task is no operation of two operands in a group; no neuron varies.
        ActivationError: there are no neurons.

    Source: causal scrubbing is that of Chan et al. 2022 (Redwood Research); clusters and controls are ours.

    >>> import mechgrok as mg
    >>> found = scrub(mg.cosine_network(11, {3: 9.0}))
    >>> found.accuracy, round(found.recovered, 9), found.control_accuracy < 0.3
    (1.0, 1.0, True)
    """
    grid = as_grid(source)
    tuned = neuron_frequencies(grid, threshold=0.0)
    cluster, inside, answers, dice = _clusters(grid, tuned, seed)
    rows = grid.selection(grid.selection(mask) & inside)
    labels, differences = grid.labels[rows], _differences(grid)

    def resampled(what: str, alike: Tensor, groups: Tensor = cluster) -> Performance:
        edited = _resampled(grid.neurons, inside, alike, groups, dice)
        return performance(what, logits_from_neurons(grid, edited)[rows], labels, grid.logits)

    return Scrubbing(
        before=performance("the network", grid.logits[rows], labels, grid.logits),
        scrubbed=resampled("clusters, same answer", answers),
        control=None if differences is None else resampled("clusters, same difference", differences[inside]),
        partition=resampled(
            "random groups, same answer", answers, cluster[torch.randperm(len(cluster), generator=dice)]
        ),
        baseline=resampled("clusters, any input", torch.zeros_like(answers)),
        clusters=tuned.clusters,
        n_inputs=int(rows.sum()),
    )


def scrubbed_logits(
    grid: ActivationGrid, tuned: NeuronFrequencies, seed: int = 0
) -> Float[Tensor, "inputs classes"]:
    """Logits of all inputs with each cluster scrubbed, as `scrub` draws them first, without the controls.

    Inputs without a place in the frame stay as they are.
    """
    cluster, inside, answers, dice = _clusters(grid, tuned, seed)
    return logits_from_neurons(grid, _resampled(grid.neurons, inside, answers, cluster, dice))


def _clusters(
    grid: ActivationGrid, tuned: NeuronFrequencies, seed: int
) -> tuple[Int[Tensor, " d_mlp"], Bool[Tensor, " inputs"], Int[Tensor, " rows"], Generator]:
    """The cluster of each neuron, 0 for constant ones; the inputs in the frame, their answers; and the dice."""
    frame = grid.task.frame
    if not frame.is_operation:
        raise UndefinedMetricError(
            f"no two inputs of {grid.task.name} are the same element, so there is none to take activations from"
        )
    if not tuned.alive.any():
        raise UndefinedMetricError("no neuron varies over the inputs, so there is nothing to scrub")
    inside = frame.covers(grid.task.n_inputs)
    cluster = torch.where(tuned.alive, tuned.frequency, 0)
    answers = answers_of_inputs(frame, grid.task.n_inputs)[inside]
    return cluster, inside, answers, Generator().manual_seed(check_seed(seed))


def _differences(grid: ActivationGrid) -> Int[Tensor, " inputs"] | None:
    """The element that the second operand gives if it is inverted, for each input; None where that is the answer."""
    frame: Frame = grid.task.frame
    inverted = frame.results[:, frame.basis.group.inverses]
    if torch.equal(inverted, frame.results):
        return None
    differences = torch.full((grid.task.n_inputs,), frame.order)
    differences[frame.rows.flatten()] = inverted.flatten()
    return differences


def _resampled(
    x: Float[Tensor, "inputs d_mlp"],
    rows: Bool[Tensor, " inputs"],
    alike: Int[Tensor, " rows"],
    groups: Int[Tensor, " d_mlp"],
    dice: Generator,
) -> Float[Tensor, "inputs d_mlp"]:
    """Activations in which each group of neurons has those of another of the rows, drawn among those that are alike."""
    mine = rows.nonzero().flatten()
    order = alike.argsort(stable=True)
    counts = alike.bincount()
    size = counts[alike[order]]
    start = (counts.cumsum(0) - counts)[alike[order]]
    place = torch.arange(len(order)) - start
    donors = torch.arange(len(x)).repeat(int(groups.max()) + 1, 1)
    for group in groups.unique().tolist():
        # At least one place further around the circle of those that are alike, so that it is another one.
        step = 1 + (torch.rand(len(order), generator=dice) * (size - 1)).long()
        donors[group, mine[order]] = mine[order[start + (place + step) % size]]
    edited = torch.empty_like(x)
    for own, out, some in zip(
        x.split(NEURONS, 1), edited.split(NEURONS, 1), groups.split(NEURONS), strict=True
    ):
        # A copy even where the rows of a neuron follow each other already: the grid keeps its own.
        by_neuron = own.T.clone(memory_format=torch.contiguous_format)
        for neuron, group in zip(by_neuron, some.tolist(), strict=True):
            neuron.copy_(neuron[donors[group]])
        out.copy_(by_neuron.T)
    return edited
