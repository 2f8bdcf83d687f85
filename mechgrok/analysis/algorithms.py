"""Clock, pizza or neither: the verdict on a network, from several measures, with the evidence."""

from dataclasses import dataclass
from typing import Any, Literal

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.analysis.additive import AdditiveOnly
from mechgrok.analysis.algorithm_evidence import (
    Evidence,
    loses_answers,
    needs_products,
    of_circles,
    of_distance,
    of_products,
    of_symmetricity,
)
from mechgrok.analysis.circles import IsolatedCircle, isolate_circle
from mechgrok.analysis.embeddings import check_circles, circularity
from mechgrok.analysis.explained import logit_fve
from mechgrok.analysis.frequencies import KeyFrequencies, keys_if_any
from mechgrok.analysis.logit_surface import distance_irrelevance
from mechgrok.analysis.losses import accuracy
from mechgrok.analysis.symmetricity import GradientSymmetricity, gradient_symmetricity
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import TaskError, UndefinedMetricError

Algorithm = Literal["clock", "pizza", "hybrid", "undetermined"]
DISPUTED = (
    "That clock and pizza are different algorithms is disputed: McCracken et al. 2025 (arXiv 2505.18266) and "
    "Moisescu-Pareja et al. 2025 (arXiv 2512.25060) find one first layer in networks of both kinds"
)

EXPLAINED = 0.5
"""Share of the logits that the keys must explain for the verdict to name the algorithm."""
GENERALISED = 0.99
"""Accuracy over all inputs from which a network counts as having learned the task."""
EXACT_UP_TO = 250_000
"""Up to this many triples, all are used for the gradient symmetricity; beyond that, `SAMPLE` of them."""
SAMPLE = 5000


@dataclass(frozen=True, eq=False)
class AlgorithmVerdict(Drawable):
    """Which algorithm a network runs, and why we think so.

    Attributes:
        algorithm: "clock", "pizza"; "hybrid", between the two; "undetermined", if no verdict would be honest.
        reason: the reason in one sentence.
        evidence: the measures with their votes; empty if the network was not fit to be judged.
        by_scores: what the three published scores say alone. It is "clock" for some networks that are not called one,
            because they answer as well without any product.
        without_products: what is left when every product before the neurons is removed; None without a network or
            without neurons.
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
    by_scores: Algorithm = "undetermined"
    without_products: AdditiveOnly | None = None

    @property
    def caveat(self) -> str:
        """By whom the distinction is disputed; empty if the network was not fit to be judged."""
        return DISPUTED if self.evidence else ""

    def value(self, measure: str) -> float | None:
        """The value of a measure by its name in the evidence; None if it was not measured."""
        return next((item.value for item in self.evidence if item.measure == measure), None)

    def rows(self) -> list[dict[str, Any]]:
        """One row per measure, for a table."""
        return [vars(item).copy() for item in self.evidence]

    def __repr__(self) -> str:
        return f"AlgorithmVerdict({self.algorithm}: {'. '.join(filter(None, (self.reason, self.caveat)))})"


@door
def classify_algorithm(source: Source, *, triples: int | None = None) -> AlgorithmVerdict:
    """Determine whether a network adds by the clock or the pizza algorithm.

    Three published measures vote. Distance irrelevance of the correct logit: up to 0.4 pizza, from 0.75 clock. Gradient
    symmetricity: from 0.98 pizza, up to 0.67 clock; silent for a network that adds the embeddings, for which it is
    1 by construction. Circle fading, the mean over the key frequencies' isolated circles, weighted by their shares
    of the logits: up to 0.4 clock, from 0.8 pizza.

    By these scores it is "clock" or "pizza" if two of them vote for it and none for the other; if symmetricity is
    silent, one vote is enough for a pizza. It is "undetermined" if distance and symmetricity contradict each
    other, since the network is then neither, and if a network adds the embeddings, its logits do not follow the
    distance, and its circles are not a clock's. It is "hybrid" in all other cases. It is also "undetermined" for
    a network with less than 99% right answers over all inputs, whose key frequencies explain less than half of
    its logits, or whose task is not a sum or difference in a cyclic group, or has no group at all. For bare
    logits, distance irrelevance decides alone, and a spectrum without any gap, like that of a lookup table, is
    left undetermined.

    The scores do not see whether anything is multiplied, so an intervention has the last word: every product of the
    operands before the neurons is removed (`additive_only`). A clock by the scores that loses none of its answers then
    is "hybrid" if its loss rises, since the neurons do the work and attention helps; if it loses nothing at all, it is
    "undetermined". That the distinction is disputed at all says `caveat`, and phase alignment is part of the evidence.

    Args:
        source: a network or a grid.
        triples: for the gradient symmetricity; None uses all of up to 250,000 triples, and a sample of 5000 if
            there are more.

    Source: the measures are from Zhong et al. 2023 (arXiv 2306.17844); the rule, and the bounds that the paper
    does not give, are ours. The dispute: McCracken et al. 2025 (arXiv 2505.18266), Moisescu-Pareja et al. 2025
    (arXiv 2512.25060).

    >>> import mechgrok as mg
    >>> classify_algorithm(mg.clock_transformer(11, {3: 9.0})).algorithm
    'clock'
    >>> classify_algorithm(mg.pizza_network(11, {3: 9.0})).algorithm
    'pizza'
    >>> squares = classify_algorithm(mg.cosine_network(11, {3: 9.0}))
    >>> squares.algorithm, squares.by_scores
    ('undetermined', 'clock')
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
    distance = of_distance(grid)
    if grid.source is None:
        algorithm, reason = _by_distance_alone(distance, keys)
        return AlgorithmVerdict(algorithm, reason, (distance,), right, by_scores=algorithm)
    symmetricity = gradient_symmetricity(grid, triples or _default_triples(grid))
    strongest_first = sorted((k for k in keys if isinstance(k, int)), key=keys.share, reverse=True)
    circles = tuple(isolate_circle(grid, k, by="fourier") for k in strongest_first)
    scores = (distance, of_symmetricity(symmetricity), *of_circles(circles, keys))
    by_scores, found = _by_scores(*scores)
    without, causal = of_products(grid)
    algorithm, reason = _multiplies(by_scores, found, without)
    return AlgorithmVerdict(
        algorithm,
        reason,
        (*scores, *causal),
        right,
        circularity(grid),
        symmetricity,
        circles,
        by_scores,
        without,
    )


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


def _by_distance_alone(distance: Evidence, keys: KeyFrequencies) -> tuple[Algorithm, str]:
    if len(keys) == len(keys.labels) > 1:
        return (
            "undetermined",
            "all frequencies are equally there, as in a lookup table, and there is no network",
        )
    algorithm: Algorithm = "hybrid" if distance.vote not in ("clock", "pizza") else distance.vote
    return algorithm, (
        f"judged by its logits alone, which do not show whether anything was multiplied: distance irrelevance "
        f"{distance.value:z.3f}"
    )


def _by_scores(distance: Evidence, symmetry: Evidence, *circles: Evidence) -> tuple[Algorithm, str]:
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


def _multiplies(by_scores: Algorithm, reason: str, without: AdditiveOnly | None) -> tuple[Algorithm, str]:
    """The verdict of the scores, unless it is a clock that does not need to multiply."""
    if by_scores != "clock" or without is None:
        return by_scores, reason
    kept = f"accuracy {without.accuracy:z.2%}, loss {without.before.loss:z.2g} -> {without.loss:z.2g} nats"
    if loses_answers(without):
        return "clock", f"{reason}, and without products before its neurons it loses answers ({kept})"
    if needs_products(without):
        return "hybrid", (
            f"{reason.replace('speak for it', 'speak for a clock')}, but without any product before its neurons it "
            f"still gives the right answers ({kept}): attention multiplies, and the neurons would do without"
        )
    return "undetermined", (
        f"{reason.replace('speak for it', 'speak for a clock')}, but it loses nothing without products before its "
        f"neurons ({kept}): it multiplies in the neurons themselves, as a clock does not"
    )
