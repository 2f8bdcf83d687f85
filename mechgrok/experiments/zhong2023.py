"""Zhong, Liu, Tegmark and Andreas 2023, The Clock and the Pizza (arXiv 2306.17844)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean
from typing import Any

from mechgrok.analysis.algorithm_evidence import (
    CLOCK_DISTANCE,
    CLOCK_FADING,
    CLOCK_SYMMETRY,
    PIZZA_FADING,
    PIZZA_SYMMETRY,
)
from mechgrok.analysis.algorithms import Algorithm, AlgorithmVerdict, classify_algorithm
from mechgrok.experiments.attention_rate import AttentionRateSweep, attention_rate_sweep
from mechgrok.experiments.reproduction import Number, Row
from mechgrok.experiments.sweeps import swept
from mechgrok.sweeps.settings import vary
from mechgrok.tasks import modular_task

P = 59
TRIPLES = 5000
FULL: dict[str, Any] = {"checkpoint_every": 20_000}
LONG_ENOUGH: dict[str, Any] = {"steps": 6000, "checkpoint_every": 6000}
"""The steps after which pizzas that turn into clocks have done so."""
FASTER: dict[str, Any] = {"lr": 5e-3, "steps": 1600, "eval_every": 100, "checkpoint_every": 1600}
"""Five times the learning rate, for the equivalent of 8000 of the published steps."""


@dataclass(frozen=True)
class PublishedNetwork:
    """The authors' findings about one of their networks; None if not published."""

    name: str
    algorithm: Algorithm | None = None
    symmetricity: float | None = None
    distance: float | None = None


NETWORKS = {
    "pizza": PublishedNetwork("Model A", "pizza", 0.9937, 0.1717),
    "clock": PublishedNetwork("Model B", "clock", 0.3336, 0.8483),
    "beta": PublishedNetwork("beta", "pizza", 1.0, 0.2302),
    "delta": PublishedNetwork("delta", "clock", 0.0191, 0.9295),
    "alpha": PublishedNetwork("alpha"),
    "alpha-prime": PublishedNetwork("alpha'"),
    "gamma": PublishedNetwork("gamma"),
}
"""By recipe; gradient symmetricity over 100 triples, distance irrelevance of the correct logit."""

Bounds = tuple[Number | None, Number | None]
NONE: Bounds = (None, None)
BOUNDS: dict[str, dict[Algorithm | None, Bounds]] = {
    "gradient symmetricity": {"pizza": (PIZZA_SYMMETRY, None), "clock": (None, CLOCK_SYMMETRY)},
    "distance irrelevance": {"pizza": (None, CLOCK_DISTANCE), "clock": (0.6, None)},
    "circle fading": {"pizza": (PIZZA_FADING, None), "clock": (None, CLOCK_FADING)},
}


def clock_and_pizza(full: bool) -> Iterator[Row]:
    """Train Model A, Model B and the linear models, and judge each."""
    for recipe, seed, verdict in _judged(range(5 if full else 1), FULL if full else LONG_ENOUGH):
        yield from _rows(NETWORKS[recipe], f"{NETWORKS[recipe].name}, seed {seed}", verdict)


def _rows(published: PublishedNetwork, name: str, verdict: AlgorithmVerdict | None) -> Iterator[Row]:
    numbers = {"gradient symmetricity": published.symmetricity, "distance irrelevance": published.distance}
    yield Row(f"{name}: accuracy", 1, verdict and verdict.accuracy, 1)
    for measure, bounds in BOUNDS.items():
        found = verdict and verdict.value(measure)
        yield Row(f"{name}: {measure}", numbers.get(measure), found, *bounds.get(published.algorithm, NONE))
    if published.algorithm is not None:
        as_published = verdict is not None and verdict.by_scores == published.algorithm
        yield Row(f"{name}: the scores say {published.algorithm} (1 yes, 0 no)", 1, int(as_published), 1)


def _judged(seeds: range, changes: dict[str, Any]) -> Iterator[tuple[str, int, AlgorithmVerdict | None]]:
    """Recipe, seed and verdict of each network; no verdict where the training failed."""
    settings = vary(task=modular_task("add", P), recipe=list(NETWORKS), seed=seeds, **changes)
    with swept(settings, out=None, workers=None, progress=False) as found:
        for setting, member in zip(settings, found.members, strict=True):
            run = member.run
            verdict = None if run is None else classify_algorithm(run.model(), triples=TRIPLES)
            yield setting.config.recipe, setting.seed, verdict


SYMMETRICITY_AT = {0.0: 0.994, 0.25: 0.992, 0.5: 0.953, 0.75: 0.626, 1.0: 0.451}
"""Mean gradient symmetricity by attention rate in the authors' table of results: for networks with one layer and
width 128 with circular embeddings, in bins of 0.1; at 0.5, the mean of the two adjacent bins."""
SYMMETRICITY_BOUNDS: dict[float, Bounds] = {
    0.0: (0.98, None), 0.25: (0.95, None), 0.5: (0.8, None), 0.75: (0.4, 0.97), 1.0: (0.2, 0.75),
}  # fmt: skip


def attention_rate(full: bool) -> Iterator[Row]:
    """Train at several attention rates and count the pizzas."""
    sweep = attention_rate_sweep(
        tuple(SYMMETRICITY_AT),
        range(10 if full else 3),
        triples=TRIPLES,
        progress=False,
        **(FULL if full else FASTER),
    )
    for at in sweep.shares:
        rate = at["attention_rate"]
        low, high = SYMMETRICITY_BOUNDS[rate]
        quantity = f"mean gradient symmetricity at rate {rate:g}"
        yield Row(quantity, SYMMETRICITY_AT[rate], at["gradient_symmetricity"], low, high)
    pizzas = {at["attention_rate"]: at["pizza"] for at in sweep.shares}
    for rate, share in pizzas.items():
        low, high = {0.0: (0.6, None), 1.0: (None, 0.1)}.get(rate, (None, None))
        yield Row(f"share of pizzas at rate {rate:g}", None, share, low, high)
    rises = sum(later > earlier for earlier, later in pairwise(pizzas.values()))
    yield Row("rates at which the share of pizzas is larger than at the one before", 0, rises, None, 0)
    clocks = _clocks(sweep, 1.0) - _clocks(sweep, 0.0)
    yield Row("share of clocks by the scores at rate 1 less that at rate 0", None, clocks, 0.3)


def _clocks(sweep: AttentionRateSweep, rate: float) -> int | float:
    """Share of the networks at a rate that the published scores call clocks."""
    return mean(network.verdict.by_scores == "clock" for network in sweep.networks if network.rate == rate)
