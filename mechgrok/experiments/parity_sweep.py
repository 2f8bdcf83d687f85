"""Conditions for grokking "1s and 0s": networks over several widths, amounts of data and weight decays."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import plotly.graph_objects as go

from mechgrok.analysis.curves import curve
from mechgrok.analysis.milestones import kind_by_losses
from mechgrok.config import DenseConfig, TrainConfig
from mechgrok.door import door
from mechgrok.errors import ConfigError, shown
from mechgrok.experiments.sweeps import train_and_judge
from mechgrok.plots.parity_sweep import parity_sweep_figure
from mechgrok.readable import Readable
from mechgrok.runs import Run
from mechgrok.sweeps.settings import vary
from mechgrok.tasks import Task, parity_task
from mechgrok.training.recipes import find_recipe
from mechgrok.wording import in_words

WEIGHT_DECAYS = (0.01, 0.03, 0.1, 0.3, 1.0)
WIDTHS = (16, 32, 64, 128, 258)
TRAIN_SIZES = (750, 1000, 1250, 1500, 1750)
N_TEST = 5000
"""The published values: 125 settings in total, with nine seeds each."""


@dataclass(frozen=True, eq=False)
class ParitySweep(Readable):
    """Networks trained on "1s and 0s" with several settings.

    Attributes:
        table: one row per network: `weight_decay`, `d_mlp`, `n_train`, `seed`, the lowest `loss_train` and `loss_test`
            in nats, and the `kind` of learning, see `kind_by_losses`.
        failures: name and error of the runs that failed.
    """

    table: tuple[dict[str, Any], ...]
    failures: dict[str, str]

    def shares(self, by: str = "weight_decay") -> dict[Any, dict[str, float]]:
        """The share of each kind of learning among the networks with each value of a column.

        >>> rows = [{"weight_decay": 0.1, "kind": kind} for kind in ("grokking", "memorisation")]
        >>> ParitySweep(tuple(rows), {}).shares()
        {0.1: {'grokking': 0.5, 'memorisation': 0.5}}
        """
        if not self.table or by not in self.table[0]:
            columns = ", ".join(self.table[0]) if self.table else "none"
            raise ConfigError(f"by is a column of the table, {columns}; got {shown(by)}")
        found: dict[Any, Counter[str]] = {}
        for row in self.table:
            found.setdefault(row[by], Counter())[row["kind"]] += 1
        return {
            value: {kind: n / counts.total() for kind, n in counts.items()} for value, counts in found.items()
        }

    def records(self) -> list[dict[str, Any]]:
        """One row per network."""
        return [dict(row) for row in self.table]

    def figure(self) -> go.Figure:
        """A panel for each weight decay, with the kind of learning over width and data."""
        return parity_sweep_figure(self.table)

    def __repr__(self) -> str:
        kinds = ", ".join(
            f"{kind}: {n}" for kind, n in Counter(row["kind"] for row in self.table).most_common()
        )
        failed = f"; {len(self.failures)} failed" if self.failures else ""
        return f"ParitySweep({in_words(len(self.table), 'network')}; {kinds}{failed})"


@door
def parity_sweep(
    weight_decays: Iterable[int | float] = WEIGHT_DECAYS,
    widths: Iterable[int] = WIDTHS,
    train_sizes: Iterable[int] = TRAIN_SIZES,
    seeds: Iterable[int] = range(3),
    *,
    task: Task | None = None,
    recipe: str | TrainConfig = "pair-parity",
    out: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
    **changes: Any,
) -> ParitySweep:
    """Train feed-forward networks on "1s and 0s" over weight decay, width and data, and classify what each one did.

    With too little weight decay a network remains at memorisation; with more it groks; with still more, train and
    test loss fall together; with too much it learns nothing. The defaults are the published values except for the
    number of seeds, and take hours.

    Args:
        weight_decays: each at least 0.
        widths: numbers of hidden neurons.
        train_sizes: numbers of inputs to train on.
        seeds: of the initial weights and of the splits; the same for each setting.
        task: whose inputs are divided; None takes the parity of the first three of 30 bits, with so many samples that
            the largest train set leaves 5000 to test on.
        recipe: name or configuration of the training; its network must be a `DenseConfig`.
        out: folder to keep the runs in, from which a repeated or interrupted sweep goes on; None keeps none.
        workers, progress: as in `sweep`.
        changes: other fields of `TrainConfig` to replace.

    Raises:
        ConfigError: a repeated value or none; a network of a different kind; a train set that leaves no test inputs.

    Source: Pearce et al. 2023, the sweep under "When Does Grokking Happen?".

    >>> import mechgrok as mg
    >>> sweep = parity_sweep([0.0, 1.0], [4], [8], [0], task=mg.parity_task(4), steps=2, progress=False)
    >>> sweep
    ParitySweep(2 networks; confusion: 2)
    """
    base = find_recipe(recipe).replace(**changes)
    weight_decays = [float(decay) for decay in _different("weight_decays", weight_decays)]
    widths, train_sizes = _different("widths", widths), _different("train_sizes", train_sizes)
    if not isinstance(base.model, DenseConfig):
        raise ConfigError(
            f"the recipe {base.recipe!r} does not train a DenseConfig, whose width is swept over"
        )
    task = task or parity_task(n_samples=max(train_sizes) + N_TEST)
    if not 0 < min(train_sizes) <= max(train_sizes) < task.n_inputs:
        raise ConfigError(
            f"train_sizes are from 1 to {task.n_inputs - 1}, as {task.name} has {task.n_inputs} inputs; "
            f"got {shown(train_sizes)}"
        )
    fractions = [
        (n_train + 0.5) / task.n_inputs for n_train in train_sizes
    ]  # of which the whole part is taken
    settings = vary(
        task=task, recipe=base, weight_decay=weight_decays, d_mlp=widths, fraction=fractions, seed=seeds
    )
    table, failures = train_and_judge(settings, _row, out=out, workers=workers, progress=progress)
    return ParitySweep(table, failures)


def _different(name: str, given: Iterable[Any]) -> list[Any]:
    """The values to sweep over, each once."""
    values = list(given)
    if not values or len(set(values)) < len(values):
        raise ConfigError(f"{name} are different numbers, at least one; got {shown(values)}")
    return values


def _row(run: Run) -> dict[str, Any]:
    history, config = run.history, run.config.train
    return {
        "weight_decay": config.weight_decay,
        "d_mlp": cast(DenseConfig, config.model).d_mlp,
        "n_train": int(run.split.train.sum()),
        "seed": run.config.seed,
        "loss_train": curve(history, "loss_train").values.min().item(),
        "loss_test": curve(history, "loss_test").values.min().item(),
        "kind": kind_by_losses(history),
    }
