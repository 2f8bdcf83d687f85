"""From pizza to clock: networks trained at several attention rates, each with its verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, cast, get_args

import plotly.graph_objects as go

from mechgrok.analysis.algorithms import Algorithm, AlgorithmVerdict, classify_algorithm
from mechgrok.config import ModelConfig, TrainConfig
from mechgrok.door import door
from mechgrok.errors import ConfigError
from mechgrok.experiments.sweeps import train_and_judge
from mechgrok.plots.attention_rate import attention_rate_figure
from mechgrok.readable import Readable
from mechgrok.runs import Run
from mechgrok.sweeps.settings import vary
from mechgrok.tasks import Task, modular_task
from mechgrok.training.recipes import find_recipe
from mechgrok.wording import in_words

RATES = (0.0, 0.25, 0.5, 0.75, 1.0)
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)


@dataclass(frozen=True, eq=False)
class RatedNetwork:
    """One network of a sweep: its training settings, and what it learned."""

    rate: float
    seed: int
    steps: int
    verdict: AlgorithmVerdict

    def row(self) -> dict[str, Any]:
        """A table row; a measure that was not taken is None."""
        symmetricity = self.verdict.symmetricity
        return {
            "attention_rate": self.rate,
            "seed": self.seed,
            "steps": self.steps,
            "algorithm": self.verdict.algorithm,
            "by_scores": self.verdict.by_scores,
            "distance_irrelevance": self.verdict.value("distance irrelevance"),
            "gradient_symmetricity": None if symmetricity is None else symmetricity.value,
            "circle_fading": self.verdict.value("circle fading"),
            "accuracy_without_products": self.verdict.value("accuracy without products"),
            "phase_alignment": self.verdict.value("phase alignment"),
            "circularity": self.verdict.circularity,
            "accuracy": self.verdict.accuracy,
        }


@dataclass(frozen=True, eq=False)
class AttentionRateSweep(Readable):
    """Networks at several attention rates.

    Attributes:
        networks: in the order of rates and seeds.
        failures: name and error of the runs that failed.
    """

    networks: tuple[RatedNetwork, ...]
    failures: dict[str, str]

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row per network."""
        return [network.row() for network in self.networks]

    @property
    def shares(self) -> list[dict[str, Any]]:
        """One row per rate: the share of each algorithm, and the means of the measures that were taken."""
        rates = dict.fromkeys(network.rate for network in self.networks)
        return [_shares(rate, [row for row in self.table if row["attention_rate"] == rate]) for rate in rates]

    def records(self) -> list[dict[str, Any]]:
        """One row per network."""
        return [dict(row) for row in self.table]

    def figure(self) -> go.Figure:
        """Each network's gradient symmetricity and distance irrelevance over the rate, with the means.

        Raises:
            UndefinedMetricError: no network could be judged.
        """
        return attention_rate_figure(self.table)

    def __repr__(self) -> str:
        pizzas = ", ".join(f"{row['attention_rate']:g}: {row['pizza']:z.0%}" for row in self.shares)
        failed = f"; {len(self.failures)} failed" if self.failures else ""
        return (
            f"AttentionRateSweep({in_words(len(self.networks), 'network')}; pizzas at rate {pizzas}{failed})"
        )


@door
def attention_rate_sweep(
    rates: Sequence[int | float] = RATES,
    seeds: Iterable[int] = range(3),
    *,
    task: Task | None = None,
    recipe: str | TrainConfig = "pizza",
    triples: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
    **changes: Any,
) -> AttentionRateSweep:
    """Train the same network at several attention rates, and determine the algorithm that each one learned.

    At rate 0 every position adds the full value of every position; at 1, attention is the plain softmax. Zhong et
    al. find pizzas at low rates and clocks at high rates, with the transition at higher rates for wider networks.

    Args:
        rates: each in 0..1.
        seeds: seeds of the initial weights and of the splits; the same for each rate.
        task: None means a + b mod 59, the paper's task.
        recipe: name or configuration; its network must be a transformer.
        triples: as in `classify_algorithm`.
        out: folder to keep the runs in, from which a repeated or interrupted sweep goes on; None keeps none.
        workers, progress: as in `sweep`.
        changes: other fields of `TrainConfig` to replace.

    Raises:
        ConfigError: no or repeated rates, a rate outside 0..1, a network without attention.

    Source: Zhong et al. 2023 (arXiv 2306.17844), section 4 and its figures over the attention rate.

    >>> sweep = attention_rate_sweep([0, 1], seeds=[0], task=modular_task("add", 5), steps=2, progress=False)
    >>> [(row["attention_rate"], row["undetermined"]) for row in sweep.shares]
    [(0.0, 1.0), (1.0, 1.0)]
    """
    config = find_recipe(recipe).replace(**changes)
    if not isinstance(config.model, ModelConfig):
        raise ConfigError(f"the recipe {config.recipe!r} trains an MLP, which has no attention to rate")
    task = task or modular_task("add", 59)
    settings = vary(task=task, recipe=config, attention_rate=list(rates), seed=seeds)

    def judge(run: Run) -> RatedNetwork:
        rate = cast(ModelConfig, run.config.train.model).attention_rate
        verdict = classify_algorithm(run.model(), triples=triples)
        return RatedNetwork(rate, run.config.seed, run.steps[-1], verdict)

    networks, failures = train_and_judge(settings, judge, out=out, workers=workers, progress=progress)
    return AttentionRateSweep(networks, failures)


def _shares(rate: float, rows: list[dict[str, Any]]) -> dict[str, Any]:
    found = [row["algorithm"] for row in rows]
    shares = {algorithm: found.count(algorithm) / len(found) for algorithm in ALGORITHMS}
    means = {name: _mean(rows, name) for name in ("distance_irrelevance", "gradient_symmetricity")}
    return {"attention_rate": rate, "networks": len(rows), **shares, **means}


def _mean(rows: list[dict[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if row[name] is not None]
    return mean(values) if values else None
