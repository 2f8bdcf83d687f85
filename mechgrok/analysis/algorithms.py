"""Clock, pizza or neither: the verdict on a network, from several measures, with the evidence."""

from dataclasses import dataclass
from typing import Any, Literal

from mechgrok.activations import ActivationGrid, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.circles import IsolatedCircle, isolate_circle
from mechgrok.analysis.embeddings import circularity
from mechgrok.analysis.explained import logit_fve
from mechgrok.analysis.frequencies import KeyFrequencies, find_key_frequencies
from mechgrok.analysis.logit_surface import distance_irrelevance
from mechgrok.analysis.losses import accuracy
from mechgrok.analysis.summary import GENERALISED
from mechgrok.analysis.symmetricity import GradientSymmetricity, gradient_symmetricity
from mechgrok.errors import TaskError, UndefinedMetricError
from mechgrok.models.protocol import HookedModel

Algorithm = Literal["clock", "pizza", "hybrid", "undetermined"]
Vote = Literal["clock", "pizza", "between", "silent"]

EXPLAINED = 0.5
"""Share of the logits that the key frequencies must explain, for the network to be about them at all."""
PIZZA_DISTANCE, CLOCK_DISTANCE = 0.4, 0.6
"""Distance irrelevance up to which a network is like a pizza, and from which it is like a clock; the first is
the paper's bound, the second where its phase diagram draws the line."""
PIZZA_SYMMETRY, CLOCK_SYMMETRY = 0.98, 0.67
"""Gradient symmetricity from which a clock is ruled out (the paper), and up to which one is likely: its trained
clocks have 0.3 to 0.6."""
BY_CONSTRUCTION = 1 - 1e-5
"""From here on the embeddings are literally added up, which says nothing about what happens next."""
CIRCLE_FIT, CIRCLE_MARGIN = 0.5, 0.1
"""An isolated circle speaks for a formula that explains so much of its logits, and more than the other one by
so much."""
EXACT_UP_TO = 250_000
"""Up to so many triples all are taken for the gradient symmetricity, beyond that `SAMPLE` of them."""
SAMPLE = 5000


@dataclass(frozen=True)
class Evidence:
    """One measure and what it speaks for."""

    measure: str
    value: float
    vote: Vote
    rule: str


@dataclass(frozen=True, eq=False)
class AlgorithmVerdict:
    """Which algorithm a network runs, and why we think so.

    Attributes:
        algorithm: "clock", "pizza"; "hybrid", between the two; "undetermined", where no verdict would be honest.
        reason: in a sentence.
        evidence: the measures with their votes; empty where the network was not fit to be judged.
        accuracy: over all inputs; None where the task is unknown.
        circularity: of the embedding, for the record; it has no vote, because components that mix two circles
            spoil it. None without a network.
        symmetricity: None without a network.
        circles: each key frequency on its own, the strongest in the logits first.
    """

    algorithm: Algorithm
    reason: str
    evidence: tuple[Evidence, ...] = ()
    accuracy: float | None = None
    circularity: float | None = None
    symmetricity: GradientSymmetricity | None = None
    circles: tuple[IsolatedCircle, ...] = ()

    def value(self, measure: str) -> float | None:
        """The value of a measure by its name in the evidence; None where it was not taken."""
        return next((item.value for item in self.evidence if item.measure == measure), None)

    def rows(self) -> list[dict[str, Any]]:
        """One row per measure, for a table."""
        return [vars(item).copy() for item in self.evidence]

    def __repr__(self) -> str:
        return f"AlgorithmVerdict({self.algorithm}: {self.reason})"


def classify_algorithm(
    source: ActivationGrid | HookedModel, *, triples: int | None = None
) -> AlgorithmVerdict:
    """Tell whether a network adds on a clock or by the pizza algorithm.

    Three measures vote. Distance irrelevance of the correct logit: up to 0.4 pizza, from 0.6 clock. Gradient
    symmetricity: from 0.98 pizza, up to 0.67 clock; silent for a network that adds up the embeddings, where it
    is 1 by construction. Each key frequency's circle alone: the formula, clock or pizza, that explains at least
    half of its logits and 0.1 more than the other; counted by the frequencies' shares of the logits, the
    majority votes.

    The verdict is "clock" or "pizza" where distance and symmetry agree and the circles do not object; where
    symmetry is silent a clock needs the circles' consent. It is "undetermined" where distance and symmetry
    contradict each other, for then it is neither, and "hybrid" in all other cases. It is "undetermined" as well
    for a network that gives less than 99% right answers over all inputs, whose key frequencies explain less than
    half of its logits, or whose task is not a sum or difference in a cyclic group. Of bare logits distance
    irrelevance decides alone, and a spectrum without any gap is left undetermined, as a lookup table has it.

    Args:
        source: a network or a grid.
        triples: for the gradient symmetricity; None takes all up to 250,000 and a sample of 5000 of more.

    Source: the measures are those of Zhong et al. 2023 (arXiv 2306.17844); the rule and the bounds where the
    paper has none are ours.

    >>> from mechgrok.models.constructed import cosine_network, pizza_network
    >>> classify_algorithm(cosine_network(11, {3: 9.0})).algorithm
    'clock'
    >>> classify_algorithm(pizza_network(11, {3: 9.0})).algorithm
    'pizza'
    """
    try:
        grid = as_grid(source)
    except TaskError as error:
        return AlgorithmVerdict("undetermined", str(error))
    right = accuracy(grid)
    keys = find_key_frequencies(grid)
    obstacle = _obstacle(grid, keys, right)
    if obstacle:
        return AlgorithmVerdict("undetermined", obstacle, accuracy=right)
    distance = _distance_evidence(grid)
    if grid.source is None:
        return AlgorithmVerdict(*_by_distance_alone(distance, keys), (distance,), right)
    symmetricity = gradient_symmetricity(grid, triples or _default_triples(grid))
    strongest_first = sorted((int(k) for k in keys), key=keys.share, reverse=True)
    circles = tuple(isolate_circle(grid, k, by="fourier") for k in strongest_first)
    evidence = (distance, _symmetry_evidence(symmetricity), _circle_evidence(circles, keys))
    algorithm, reason = _decide(*evidence)
    return AlgorithmVerdict(algorithm, reason, evidence, right, circularity(grid), symmetricity, circles)


def _obstacle(grid: ActivationGrid, keys: KeyFrequencies, right: float) -> str | None:
    """Why the network should not be judged at all; None where it may be."""
    if right < GENERALISED:
        return (
            f"the network answers {right:.1%} of all inputs correctly; an algorithm can be told from "
            f"{GENERALISED:.0%} on"
        )
    try:
        distance_irrelevance(grid)
        explained = logit_fve(grid, keys).fraction
    except UndefinedMetricError as error:
        return str(error)
    if grid.task.frame.basis.what != "frequency":
        return f"circles need a cyclic group; {grid.task.frame.basis} has none"
    if explained < EXPLAINED:
        return f"its key frequencies explain {explained:.1%} of the logits, so it does something else besides"
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


def _circle_evidence(circles: tuple[IsolatedCircle, ...], keys: KeyFrequencies) -> Evidence:
    """The value is the share of pizza circles, less that of clock circles: -1..1."""
    weights = {k: keys.share(k) / keys.explained for k in keys}
    votes: dict[Label, float] = {circle.k: _circle_vote(circle) for circle in circles}
    balance = sum(weights[k] * votes[k] for k in keys)
    vote: Vote = "pizza" if balance > 0.5 else "clock" if balance < -0.5 else "silent"
    rule = "key frequencies with pizza circles less those with clock circles; more than half votes"
    return Evidence("pizza circles", balance, vote, rule)


def _circle_vote(circle: IsolatedCircle) -> float:
    clock, pizza = circle.fve["clock"], circle.fve["pizza_product"]
    if max(clock, pizza) < CIRCLE_FIT or abs(pizza - clock) < CIRCLE_MARGIN:
        return 0.0
    return 1.0 if pizza > clock else -1.0


def _by_distance_alone(distance: Evidence, keys: KeyFrequencies) -> tuple[Algorithm, str]:
    if len(keys) == len(keys.labels) > 1:
        return (
            "undetermined",
            "all frequencies are equally there, as in a lookup table, and there is no network",
        )
    algorithm: Algorithm = "hybrid" if distance.vote not in ("clock", "pizza") else distance.vote
    return algorithm, f"judged by its logits alone: distance irrelevance {distance.value:.3f}"


def _decide(distance: Evidence, symmetry: Evidence, circles: Evidence) -> tuple[Algorithm, str]:
    found = f"distance irrelevance {distance.value:.3f}, gradient symmetricity {symmetry.value:.3f}"
    if {distance.vote, symmetry.vote} == {"clock", "pizza"}:
        return "undetermined", (
            f"{found}: the one speaks for a {distance.vote}, the other for a {symmetry.vote}, so it is neither"
        )
    if symmetry.vote == "silent" and distance.vote == "clock" and circles.vote != "clock":
        return "undetermined", (
            f"{found}: it adds up the embeddings, which a clock does not, and its logits do not follow the "
            "distance, as a pizza's do"
        )
    agree = symmetry.vote in (distance.vote, "silent")
    opposite = {"clock": "pizza", "pizza": "clock"}.get(distance.vote)
    if agree and opposite is not None and circles.vote != opposite:
        consent = f", and so do its circles ({circles.value:+.2f})" if circles.vote != "silent" else ""
        return ("pizza" if distance.vote == "pizza" else "clock"), f"{found} speak for it{consent}"
    return "hybrid", f"{found}, circles {circles.value:+.2f}: between clock and pizza"
