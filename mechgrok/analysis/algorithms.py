"""Clock, pizza or neither: the verdict on a network, from several measures, with the evidence."""

from dataclasses import dataclass
from typing import Any, Literal

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.analysis.circles import IsolatedCircle, isolate_circle
from mechgrok.analysis.embeddings import check_circles, circularity
from mechgrok.analysis.explained import logit_fve
from mechgrok.analysis.frequencies import KeyFrequencies, keys_if_any
from mechgrok.analysis.logit_surface import PIZZA_DISTANCE, distance_irrelevance
from mechgrok.analysis.losses import accuracy
from mechgrok.analysis.symmetricity import GradientSymmetricity, gradient_symmetricity
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import TaskError, UndefinedMetricError
from mechgrok.readable import Readable

Algorithm = Literal["clock", "pizza", "hybrid", "undetermined"]
Vote = Literal["clock", "pizza", "between", "silent"]

EXPLAINED = 0.5
"""Share of the logits that the keys must explain for the verdict to name the algorithm."""
GENERALISED = 0.99
"""Accuracy over all inputs from which a network counts as having learned the task."""
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
EXACT_UP_TO = 250_000
"""Up to this many triples, all are used for the gradient symmetricity; beyond that, `SAMPLE` of them."""
SAMPLE = 5000


@dataclass(frozen=True)
class Evidence(Readable):
    """One measure and its vote."""

    measure: str
    value: float
    vote: Vote
    rule: str

    def __repr__(self) -> str:
        return f"Evidence({self.measure} {self.value:z.4f}: {self.vote}; {self.rule})"


@dataclass(frozen=True, eq=False)
class AlgorithmVerdict(Drawable):
    """Which algorithm a network runs, and why we think so.

    Attributes:
        algorithm: "clock", "pizza"; "hybrid", between the two; "undetermined", if no verdict would be honest.
        reason: the reason in one sentence.
        evidence: the measures with their votes; empty if the network was not fit to be judged.
        accuracy: over all inputs; None if the task is unknown.
        circularity: of the embedding, for the record; it has no vote, because components that mix two circles
            distort it. None without a network.
        symmetricity: None without a network.
        circles: each key frequency in isolation, the strongest in the logits first.
    """

    algorithm: Algorithm
    reason: str
    evidence: tuple[Evidence, ...] = ()
    accuracy: float | None = None
    circularity: float | None = None
    symmetricity: GradientSymmetricity | None = None
    circles: tuple[IsolatedCircle, ...] = ()

    def value(self, measure: str) -> float | None:
        """The value of a measure by its name in the evidence; None if it was not measured."""
        return next((item.value for item in self.evidence if item.measure == measure), None)

    def rows(self) -> list[dict[str, Any]]:
        """One row per measure, for a table."""
        return [vars(item).copy() for item in self.evidence]

    def __repr__(self) -> str:
        return f"AlgorithmVerdict({self.algorithm}: {self.reason})"


@door
def classify_algorithm(source: Source, *, triples: int | None = None) -> AlgorithmVerdict:
    """Determine whether a network adds by the clock or the pizza algorithm.

    Three measures vote. Distance irrelevance of the correct logit: up to 0.4 pizza, from 0.75 clock. Gradient
    symmetricity: from 0.98 pizza, up to 0.67 clock; silent for a network that adds the embeddings, for which it is
    1 by construction. Circle fading, the mean over the key frequencies' isolated circles, weighted by their shares
    of the logits: up to 0.4 clock, from 0.8 pizza.

    The verdict is "clock" or "pizza" if two of them vote for it and none for the other; if symmetricity is
    silent, one vote is enough for a pizza. It is "undetermined" if distance and symmetricity contradict each
    other, since the network is then neither, and if a network adds the embeddings, its logits do not follow the
    distance, and its circles are not a clock's. It is "hybrid" in all other cases. It is also "undetermined" for
    a network with less than 99% right answers over all inputs, whose key frequencies explain less than half of
    its logits, or whose task is not a sum or difference in a cyclic group, or has no group at all. For bare
    logits, distance irrelevance decides alone, and a spectrum without any gap, like that of a lookup table, is
    left undetermined.

    Args:
        source: a network or a grid.
        triples: for the gradient symmetricity; None uses all of up to 250,000 triples, and a sample of 5000 if
            there are more.

    Source: the measures are from Zhong et al. 2023 (arXiv 2306.17844); the rule, and the bounds that the paper
    does not give, are ours.

    >>> from mechgrok.models.constructed import cosine_network, pizza_network
    >>> classify_algorithm(cosine_network(11, {3: 9.0})).algorithm
    'clock'
    >>> classify_algorithm(pizza_network(11, {3: 9.0})).algorithm
    'pizza'
    """
    try:
        grid = as_grid(source)
        right = accuracy(grid)
    except (TaskError, UndefinedMetricError) as error:
        return AlgorithmVerdict("undetermined", str(error))
    keys = keys_if_any(grid)
    obstacle = _obstacle(grid, keys, right)
    if obstacle:
        return AlgorithmVerdict("undetermined", obstacle, accuracy=right)
    distance = _distance_evidence(grid)
    if grid.source is None:
        return AlgorithmVerdict(*_by_distance_alone(distance, keys), (distance,), right)
    symmetricity = gradient_symmetricity(grid, triples or _default_triples(grid))
    strongest_first = sorted((k for k in keys if isinstance(k, int)), key=keys.share, reverse=True)
    circles = tuple(isolate_circle(grid, k, by="fourier") for k in strongest_first)
    evidence = (distance, _symmetry_evidence(symmetricity), *_circle_evidence(circles, keys))
    algorithm, reason = _decide(*evidence)
    return AlgorithmVerdict(algorithm, reason, evidence, right, circularity(grid), symmetricity, circles)


def _obstacle(grid: ActivationGrid, keys: KeyFrequencies, right: float) -> str | None:
    """Why the network should not be judged at all; None if it may be."""
    if keys.no_group:
        return keys.no_group
    if right < GENERALISED:
        return (
            f"the network answers {right:z.1%} of all inputs correctly; an algorithm can be told from "
            f"{GENERALISED:z.0%} on"
        )
    try:
        distance_irrelevance(grid)
        explained = logit_fve(grid, keys).fraction
        check_circles(grid.task.frame.basis)
    except UndefinedMetricError as error:
        return str(error)
    if explained < EXPLAINED:
        return (
            f"its key frequencies explain {explained:z.1%} of the logits, so it does something else besides"
        )
    return None


def _default_triples(grid: ActivationGrid) -> int | None:
    return None if grid.task.n_inputs * grid.task.n_classes <= EXACT_UP_TO else SAMPLE


def _distance_evidence(grid: ActivationGrid) -> Evidence:
    value = distance_irrelevance(grid)
    vote: Vote = "pizza" if value <= PIZZA_DISTANCE else "clock" if value >= CLOCK_DISTANCE else "between"
    rule = f"pizza up to {PIZZA_DISTANCE}, clock from {CLOCK_DISTANCE}"
    return Evidence("distance irrelevance", value, vote, rule)


def _symmetry_evidence(symmetricity: GradientSymmetricity) -> Evidence:
    value = float(symmetricity)
    vote: Vote = "pizza" if value >= PIZZA_SYMMETRY else "clock" if value <= CLOCK_SYMMETRY else "between"
    rule = f"pizza from {PIZZA_SYMMETRY}, clock up to {CLOCK_SYMMETRY}"
    if value >= BY_CONSTRUCTION:
        vote, rule = "silent", "1 for every network that adds up the embeddings"
    return Evidence("gradient symmetricity", value, vote, rule)


def _circle_evidence(circles: tuple[IsolatedCircle, ...], keys: KeyFrequencies) -> tuple[Evidence, ...]:
    """Mean fading, each clamped to 0..1, weighted by share of the logits; empty if no circle writes its own wave."""
    fading = {circle.k: min(max(circle.fading, 0.0), 1.0) for circle in circles if circle.fading is not None}
    if not fading:
        return ()
    value = sum(keys.share(k) * fading[k] for k in fading) / sum(keys.share(k) for k in fading)
    vote: Vote = "pizza" if value >= PIZZA_FADING else "clock" if value <= CLOCK_FADING else "between"
    rule = f"pizza from {PIZZA_FADING}, clock up to {CLOCK_FADING}"
    return (Evidence("circle fading", value, vote, rule),)


def _by_distance_alone(distance: Evidence, keys: KeyFrequencies) -> tuple[Algorithm, str]:
    if len(keys) == len(keys.labels) > 1:
        return (
            "undetermined",
            "all frequencies are equally there, as in a lookup table, and there is no network",
        )
    algorithm: Algorithm = "hybrid" if distance.vote not in ("clock", "pizza") else distance.vote
    return algorithm, f"judged by its logits alone: distance irrelevance {distance.value:z.3f}"


def _decide(distance: Evidence, symmetry: Evidence, *circles: Evidence) -> tuple[Algorithm, str]:
    evidence = (distance, symmetry, *circles)
    found = ", ".join(f"{item.measure} {item.value:z.3f}" for item in evidence)
    votes = [item.vote for item in evidence]
    if {distance.vote, symmetry.vote} == {"clock", "pizza"}:
        return "undetermined", (
            f"{found}: the first speaks for a {distance.vote}, the second for a {symmetry.vote}, so it is neither"
        )
    if symmetry.vote == "silent" and distance.vote == "clock" and votes.count("clock") < 2:
        return "undetermined", (
            f"{found}: it adds up the embeddings, which a clock does not, and its logits do not follow the "
            "distance, as a pizza's do"
        )
    if votes.count("clock") >= 2 and "pizza" not in votes:
        return "clock", f"{found} speak for it"
    if votes.count("pizza") >= (1 if symmetry.vote == "silent" else 2) and "clock" not in votes:
        return "pizza", f"{found} speak for it"
    return "hybrid", f"{found}: between clock and pizza"
