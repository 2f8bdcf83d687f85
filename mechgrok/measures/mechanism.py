"""Measures of the mechanism: how much of a network the formula accounts for, and what its neurons do when tested."""

from jaxtyping import Float
from torch import Tensor

from mechgrok.analysis.explained_share import explained_share as share_of
from mechgrok.analysis.ideal_network import ideal_by_means
from mechgrok.analysis.losses import right_after_edit
from mechgrok.analysis.neuron_phases import phases_by_means, pre_activations
from mechgrok.analysis.operand_means import OperandMeans, operand_means
from mechgrok.analysis.scrubbing import scrubbed_logits
from mechgrok.measures.invariances import all_but
from mechgrok.measures.neurons import tuning
from mechgrok.measures.references import ALL
from mechgrok.measures.registry import measure
from mechgrok.measures.snapshot import Snapshot

SCRUBBING = "causal scrubbing of Chan et al. 2022; clusters ours"
OF_DRAWS = all_but("relabelled frequencies", "shifted operands")
"""Inputs are drawn for each cluster, the first frequency first, and among the inputs in their order."""


@measure(
    "fraction",
    direction="up",
    needs=["keys"],
    citation="after Wu et al. 2024 (arXiv 2410.07476)",
    reference=ALL,
    invariances=all_but(),
)
def explained_share(snapshot: Snapshot) -> float:
    """Share of all inputs that are right by the formula of the key blocks alone, whatever else the network does."""
    return share_of(snapshot.grid, snapshot.keys)


@measure(
    "fraction",
    direction="up",
    needs=["neurons", "split"],
    citation=SCRUBBING,
    title="Scrubbed train accuracy",
    reference=ALL,
    invariances=OF_DRAWS,
)
def scrubbed_accuracy_train(snapshot: Snapshot) -> float:
    """Share of right answers to the train inputs with each cluster of neurons from another input of the same answer."""
    inside = snapshot.frame.covers(snapshot.task.n_inputs)
    return snapshot.once(scrubbed)[snapshot.grid.selection(snapshot.train & inside)].mean().item()


@measure(
    "fraction",
    direction="up",
    needs=["neurons"],
    citation=SCRUBBING,
    title="Scrubbed accuracy",
    reference=ALL,
    invariances=OF_DRAWS,
)
def scrubbed_accuracy(snapshot: Snapshot) -> float:
    """Share of right answers to all inputs with each cluster of neurons from another input of the same answer."""
    return snapshot.once(scrubbed)[snapshot.frame.covers(snapshot.task.n_inputs)].mean().item()


@measure(
    "fraction",
    direction="up",
    needs=["neurons"],
    citation="after Swaroop 2026 (arXiv 2603.23784)",
    title="Accuracy of the ideal network",
    reference=ALL,
    invariances=all_but(),
)
def ideal_accuracy(snapshot: Snapshot) -> float:
    """Share of right answers to all inputs if every neuron read and wrote its one dominant frequency alone."""
    return ideal_by_means(snapshot.grid, lambda: snapshot.once(read_by_neurons)).accuracy


@measure(
    "resultant length",
    needs=["neurons"],
    citation="Moisescu-Pareja et al. 2025 (arXiv 2512.25060)",
    invariances=OF_DRAWS,
)
def phase_alignment(snapshot: Snapshot) -> float:
    """Whether neurons see both operands at one phase: 1 where they do, about 0 where the two phases are independent."""
    return phases_by_means(snapshot.grid, lambda: snapshot.once(read_by_neurons)).alignment()


def read_by_neurons(snapshot: Snapshot) -> OperandMeans:
    """The means of the pre-activations over each operand."""
    return operand_means(pre_activations(snapshot.grid), snapshot.frame)


def scrubbed(snapshot: Snapshot) -> Float[Tensor, " inputs"]:
    """1 for each input that is right with all clusters scrubbed, as `scrub` does it first."""
    grid = snapshot.grid
    logits = scrubbed_logits(grid, snapshot.once(tuning))
    return right_after_edit(logits, grid.labels, grid.logits)
