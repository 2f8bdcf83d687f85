"""Causal scrubbing by cluster: whether neurons of one frequency carry nothing but the answer."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.by_answer import answers_of_inputs
from mechgrok.analysis.neurons import NeuronFrequencies, neuron_frequencies
from mechgrok.analysis.performance import (
    Performance,
    as_it_is,
    logits_from_neurons,
    performance,
    reads_neurons_linearly,
)
from mechgrok.config import check_seed
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import UndefinedMetricError
from mechgrok.tasks import Frame


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
    scrubber = _Scrubber(as_grid(source), mask, seed)
    by_answer, by_difference = scrubber.by_answer(), scrubber.by_difference()
    return Scrubbing(
        before=scrubber.before,
        scrubbed=by_answer,
        control=by_difference,
        partition=scrubber.at_random(),
        baseline=scrubber.by_nothing(),
        clusters=scrubber.tuned.clusters,
        n_inputs=int(scrubber.rows.sum()),
    )


def scrub_with_control(
    grid: ActivationGrid, seed: int = 0
) -> tuple[Performance, Performance, Performance | None]:
    """The network as it is, scrubbed, and with the same difference instead, as in `scrub`: half of its work.

    Raises:
        UndefinedMetricError, ActivationError: as `scrub`.
    """
    scrubber = _Scrubber(grid, None, seed)
    return scrubber.before, scrubber.by_answer(), scrubber.by_difference()


class _Scrubber:
    """A network with the ways of resampling its neurons. Each of them throws the same dice, so their order counts."""

    def __init__(self, grid: ActivationGrid, mask: Bool[Tensor, " inputs"] | None, seed: int) -> None:
        self.grid, self.tuned = grid, neuron_frequencies(grid, threshold=0.0)
        self.cluster, self.inside, self.answers, self.dice = _clusters(grid, self.tuned, seed)
        self.rows = grid.selection(grid.selection(mask) & self.inside)
        self.before = as_it_is(grid, self.rows)

    def by_answer(self) -> Performance:
        """Each cluster from another input with the same answer."""
        return self._resampled("clusters, same answer", self.answers, self.cluster)

    def by_difference(self) -> Performance | None:
        """Each cluster from another input with the same difference; None where that is the answer."""
        alike = _differences(self.grid)
        if alike is None:
            return None
        return self._resampled("clusters, same difference", alike[self.inside], self.cluster)

    def at_random(self) -> Performance:
        """Random groups of neurons, each from another input with the same answer."""
        groups = self.cluster[torch.randperm(len(self.cluster), generator=self.dice)]
        return self._resampled("random groups, same answer", self.answers, groups)

    def by_nothing(self) -> Performance:
        """Each cluster from any other input."""
        return self._resampled("clusters, any input", torch.zeros_like(self.answers), self.cluster)

    def _resampled(self, what: str, alike: Tensor, groups: Tensor) -> Performance:
        donors = _donors(self.inside, alike, groups, self.dice)
        return self._answers(what, _logits(self.grid, donors, groups))

    def _answers(self, what: str, logits: Tensor) -> Performance:
        return performance(what, logits[self.rows], self.grid.labels[self.rows], self.grid.logits)


def scrubbed_logits(
    grid: ActivationGrid, tuned: NeuronFrequencies, seed: int = 0
) -> Float[Tensor, "inputs classes"]:
    """Logits of all inputs with each cluster scrubbed, as `scrub` draws them first, without the controls.

    Inputs without a place in the frame stay as they are.
    """
    cluster, inside, answers, dice = _clusters(grid, tuned, seed)
    return _logits(grid, _donors(inside, answers, cluster, dice), cluster)


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


def _donors(
    rows: Bool[Tensor, " inputs"],
    alike: Int[Tensor, " rows"],
    groups: Int[Tensor, " d_mlp"],
    dice: Generator,
) -> dict[int, Int[Tensor, " inputs"]]:
    """For each group of neurons, the input that each input takes its activations from: another one of those alike."""
    mine = rows.nonzero().flatten()
    order = alike.argsort(stable=True)
    counts = alike.bincount()
    size = counts[alike[order]]
    start = (counts.cumsum(0) - counts)[alike[order]]
    place = torch.arange(len(order)) - start
    donors = {}
    for group in groups.unique().tolist():
        # At least one place further around the circle of those that are alike, so that it is another one.
        step = 1 + (torch.rand(len(order), generator=dice) * (size - 1)).long()
        donors[group] = torch.arange(len(rows))
        donors[group][mine[order]] = mine[order[start + (place + step) % size]]
    return donors


def _logits(
    grid: ActivationGrid, donors: dict[int, Int[Tensor, " inputs"]], groups: Int[Tensor, " d_mlp"]
) -> Float[Tensor, "inputs classes"]:
    """Logits of all inputs if each group of neurons had the activations of its donors."""
    if not reads_neurons_linearly(grid):
        return logits_from_neurons(grid, _resampled(grid.neurons, donors, groups))
    # What a group writes moves with its activations, and is narrower.
    exact = torch.promote_types(grid.neurons.dtype, torch.float32)
    W_L, logits = grid.neuron_logit_map.to(exact), grid.logits.to(exact, copy=True)
    for group, rows in donors.items():
        members = groups == group
        written = grid.neurons[:, members].to(exact) @ W_L[members]
        logits += written[rows] - written
    return logits


def _resampled(
    x: Float[Tensor, "inputs d_mlp"], donors: dict[int, Int[Tensor, " inputs"]], groups: Int[Tensor, " d_mlp"]
) -> Float[Tensor, "inputs d_mlp"]:
    """Activations in which each group of neurons has those of its donors."""
    edited = torch.empty_like(x)
    for group, rows in donors.items():
        edited[:, groups == group] = x[:, groups == group][rows]
    return edited
