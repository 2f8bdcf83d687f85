"""The amount of data needed: steps to generalisation against the fraction of inputs that are trained on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from mechgrok.analysis.curves import first_step
from mechgrok.config import TrainConfig
from mechgrok.door import door
from mechgrok.errors import ConfigError, shown
from mechgrok.experiments.milestones import best_accuracy, median_step
from mechgrok.experiments.sweeps import train_and_judge
from mechgrok.plots.data_fraction import data_fraction_figure
from mechgrok.readable import Readable
from mechgrok.runs import Run
from mechgrok.sweeps.settings import vary
from mechgrok.tasks import Task, modular_task
from mechgrok.training.recipes import find_recipe
from mechgrok.wording import in_words

FRACTIONS = (0.25, 0.3, 0.4, 0.5, 0.7)
GENERALISED = 0.99
"""Test accuracy that counts as generalisation, as in Power et al. 2022."""


@dataclass(frozen=True, eq=False)
class DataFractionSweep(Readable):
    """Runs on several fractions of the data.

    Attributes:
        table: one row per network: `fraction`, `seed`, `step` of 99% test accuracy (None if never), `steps`, the
            length of the run, and the best `accuracy_test`.
        failures: name and error of the runs that failed.
    """

    table: tuple[dict[str, Any], ...]
    failures: dict[str, str]

    @property
    def medians(self) -> dict[float, float | None]:
        """Median step for each fraction, over seeds; None if half of the networks or more never generalised."""
        fractions = dict.fromkeys(row["fraction"] for row in self.table)
        return {
            f: median_step([row["step"] for row in self.table if row["fraction"] == f]) for f in fractions
        }

    def growth(self, less: float, more: float) -> float | None:
        """The factor by which the median step grows per hundredth of the inputs removed.

        None if one of the medians is None. Power et al. 2022 report 1.4 to 1.5 at 25% to 30%.

        Args:
            less, more: two fractions of the sweep.

        Raises:
            ConfigError: a fraction that was not swept or has no network, or the same fraction twice.
        """
        if not {less, more} <= self.medians.keys() or less == more:
            raise ConfigError(
                f"growth takes two different fractions of the sweep, {', '.join(map(str, self.medians))}; "
                f"got {less} and {more}"
            )
        late, early = self.medians[less], self.medians[more]
        if late is None or early is None:
            return None
        return (late / early) ** (1 / (100 * (more - less)))

    def records(self) -> list[dict[str, Any]]:
        """One row per network."""
        return [dict(row) for row in self.table]

    def figure(self) -> go.Figure:
        """Steps over fractions, with a mark per network."""
        return data_fraction_figure(self.table)

    def __repr__(self) -> str:
        steps = ", ".join(
            f"{f:z.0%}: {'never' if s is None else f'{s:z.0f}'}" for f, s in self.medians.items()
        )
        failed = f"; {len(self.failures)} failed" if self.failures else ""
        return f"DataFractionSweep({in_words(len(self.table), 'network')}; median step {steps}{failed})"


@door
def data_fraction_sweep(
    fractions: Sequence[float] = FRACTIONS,
    seeds: Iterable[int] = range(3),
    *,
    task: Task | None = None,
    recipe: str | TrainConfig = "fast",
    out: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
    **changes: Any,
) -> DataFractionSweep:
    """Train the same network on several fractions of the data, and record when it generalises.

    Args:
        fractions: each in (0, 1).
        seeds: of the initial weights and of the splits; the same for each fraction.
        task: None takes a + b mod 97.
        recipe: name or configuration of the training; its `steps` are the budget.
        out: folder to keep the runs in, from which a repeated or interrupted sweep goes on; None keeps none.
        workers, progress: as in `sweep`.
        changes: other fields of `TrainConfig` to replace.

    Raises:
        ConfigError: no or repeated fractions, or one that leaves no test inputs.

    Source: Power et al. 2022 (arXiv 2201.02177), section on generalisation and the amount of data.

    >>> sweep = data_fraction_sweep([0.5, 0.9], [0], task=modular_task("add", 5), steps=2, progress=False)
    >>> sweep
    DataFractionSweep(2 networks; median step 50%: never, 90%: never)
    """
    if 1 in fractions:
        raise ConfigError(f"a fraction of 1 leaves nothing to test on; got {shown(list(fractions))}")
    base, task = find_recipe(recipe).replace(**changes), task or modular_task("add", 97)
    settings = vary(task=task, recipe=base, fraction=list(fractions), seed=seeds)
    table, failures = train_and_judge(settings, _row, out=out, workers=workers, progress=progress)
    return DataFractionSweep(table, failures)


def _row(run: Run) -> dict[str, Any]:
    history = run.history
    return {
        "fraction": run.config.train.fraction,
        "seed": run.config.seed,
        "step": first_step(history, "accuracy_test", at_least=GENERALISED),
        "steps": history[-1]["step"],
        "accuracy_test": best_accuracy(history),
    }
