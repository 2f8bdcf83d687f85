"""What speaks for a clock and what for a pizza: each measure of a network with its vote."""

from dataclasses import dataclass
from typing import Literal

from mechgrok.activations import ActivationGrid, cache_grid
from mechgrok.analysis.additive import AdditiveOnly, additive_only, hidden_layers
from mechgrok.analysis.circles import IsolatedCircle
from mechgrok.analysis.frequencies import KeyFrequencies
from mechgrok.analysis.logit_surface import PIZZA_DISTANCE, distance_irrelevance
from mechgrok.analysis.neuron_phases import neuron_phases
from mechgrok.analysis.symmetricity import GradientSymmetricity
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.models.protocol import pre_activation_hook
from mechgrok.readable import Readable

Vote = Literal["clock", "pizza", "between", "no clock", "silent"]

CLOCK_DISTANCE = 0.75
"""Distance irrelevance from which a network resembles a clock. The paper draws the line at 0.6, but several pizzas
together hide the distance: our networks at attention rate 0 have up to 0.70."""
PIZZA_SYMMETRY, CLOCK_SYMMETRY = 0.98, 0.67
"""Gradient symmetricity from which a clock is ruled out (the paper), and up to which one is likely: its trained
clocks have 0.3 to 0.6."""
BY_CONSTRUCTION = 1 - 1e-5
"""From here on the embeddings are literally added, which says nothing about the rest of the computation."""
CLOCK_FADING, PIZZA_FADING = 0.4, 0.8
"""Fading up to which circles belong to a clock, and from which they belong to a pizza: trained networks have 0 to 0.4
at attention rate 1, and 1 at rates from 0 to 0.5."""
LOST = 1e-3
"""Share of the answers that a clock loses, at least, when no product reaches its neurons."""
HARMED = 2.0
"""Factor by which the loss must rise for products to be of use to a network that keeps its answers without them."""


@dataclass(frozen=True)
class Evidence(Readable):
    """One measure and its vote."""

    measure: str
    value: float
    vote: Vote
    rule: str

    def __repr__(self) -> str:
        return f"Evidence({self.measure} {self.value:z.4f}: {self.vote}; {self.rule})"


def of_distance(grid: ActivationGrid) -> Evidence:
    """Whether the right logit follows the distance of the operands."""
    value = distance_irrelevance(grid)
    vote: Vote = "pizza" if value <= PIZZA_DISTANCE else "clock" if value >= CLOCK_DISTANCE else "between"
    rule = f"pizza up to {PIZZA_DISTANCE}, clock from {CLOCK_DISTANCE}"
    return Evidence("distance irrelevance", value, vote, rule)


def of_symmetricity(symmetricity: GradientSymmetricity) -> Evidence:
    """Whether both operands move the logits alike."""
    value = float(symmetricity)
    vote: Vote = "pizza" if value >= PIZZA_SYMMETRY else "clock" if value <= CLOCK_SYMMETRY else "between"
    rule = f"pizza from {PIZZA_SYMMETRY}, clock up to {CLOCK_SYMMETRY}"
    if value >= BY_CONSTRUCTION:
        vote, rule = "silent", "1 for every network that adds up the embeddings"
    return Evidence("gradient symmetricity", value, vote, rule)


def of_circles(circles: tuple[IsolatedCircle, ...], keys: KeyFrequencies) -> tuple[Evidence, ...]:
    """Mean fading, each clamped to 0..1, weighted by share of the logits; empty if no circle writes its own wave."""
    fading = {circle.k: min(max(circle.fading, 0.0), 1.0) for circle in circles if circle.fading is not None}
    if not fading:
        return ()
    value = sum(keys.share(k) * fading[k] for k in fading) / sum(keys.share(k) for k in fading)
    vote: Vote = "pizza" if value >= PIZZA_FADING else "clock" if value <= CLOCK_FADING else "between"
    rule = f"pizza from {PIZZA_FADING}, clock up to {CLOCK_FADING}"
    return (Evidence("circle fading", value, vote, rule),)


def of_products(grid: ActivationGrid) -> tuple[AdditiveOnly | None, tuple[Evidence, ...]]:
    """What is left without products before the neurons, and at which phases these read both operands.

    Of several layers the one where the least is lost counts: what neurons of an earlier layer multiplied is no product
    of attention. None of this votes for a clock, as the neurons of a deep network may need products of any kind; but a
    network that loses nothing without them is none.
    """
    try:
        without, layer = _least_lost(grid)
    except (ActivationError, UndefinedMetricError):  # no neurons; not all pairs of operands
        return None, ()
    vote: Vote = "silent" if loses_answers(without) else "between" if needs_products(without) else "no clock"
    rule = (
        f"a clock loses more than {LOST:z.1%} of the answers{layer}; the loss goes from {without.before.loss:z.2g} to "
        f"{without.loss:z.2g} nats"
    )
    return without, (Evidence("accuracy without products", without.accuracy, vote, rule), *_alignment(grid))


def _least_lost(grid: ActivationGrid) -> tuple[AdditiveOnly, str]:
    """Without products before the layer that needs them least, and which one that is, where there are several."""
    layers = hidden_layers(grid.model)
    found = [additive_only(grid, layer=layer) for layer in range(layers)]
    least = max(range(layers), key=lambda layer: (found[layer].accuracy, -found[layer].loss))
    return found[least], f" without products before layer {least}" if layers > 1 else ""


def _alignment(grid: ActivationGrid) -> tuple[Evidence, ...]:
    """Whether neurons read both operands at one phase; nothing where they are no waves."""
    try:
        aligned = neuron_phases(
            cache_grid(grid.model, grid.task, [pre_activation_hook(grid.model)])
        ).alignment()
    except UndefinedMetricError:
        return ()
    rule = (
        "1: neurons read both operands at one phase, as in clocks and pizzas alike; 0: at independent phases"
    )
    return (Evidence("phase alignment", aligned, "silent", rule),)


def loses_answers(without: AdditiveOnly) -> bool:
    """Whether a network gives fewer right answers without products."""
    return without.before.accuracy - without.accuracy > LOST


def needs_products(without: AdditiveOnly) -> bool:
    """Whether a network loses anything without products: answers, or confidence, if the loss at least doubles."""
    return loses_answers(without) or without.loss >= HARMED * without.before.loss
