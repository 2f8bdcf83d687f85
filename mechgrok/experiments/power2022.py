"""Power, Burda, Edwards, Babuschkin and Misra 2022, Grokking (arXiv 2201.02177)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mechgrok.config import TrainConfig
from mechgrok.errors import MechgrokError
from mechgrok.experiments.data_fraction import GENERALISED, DataFractionSweep, data_fraction_sweep
from mechgrok.experiments.reproduction import Row
from mechgrok.tasks import Task, modular_task, sn_task
from mechgrok.tasks.groups import GroupOperation
from mechgrok.training.recipes import find_recipe

P = 97
ENDS = {"stop_test_loss": 0.02, "stop_when_settled": False, "checkpoint_every": 100_000}
"""A network that has generalised has shown everything required."""
FULL = find_recipe("power").replace(**ENDS)
QUICK = find_recipe("fast").replace(recipe="power-quick", steps=1200, eval_every=20, **ENDS)
PATIENT = QUICK.replace(steps=3000)
"""For fractions near the critical one, and for slow operations."""
SEEDS = (6, 7)
"""Not the seeds on which the quick size was tuned."""
GENERALISE = {"x+y": 0.5, "x-y": 0.5, "x/y": 0.5, "x^2+y^2": 0.5}
"""Operations mod 97 that generalise, with the fraction of the pairs on which they are trained."""
UNCLEAR = {"x/y if y odd else x-y": 0.8, "x^2+x*y+y^2": 0.8, "x^2+x*y+y^2+x": 0.9, "x^3+x*y": 0.9}
NEVER = {"x^3+x*y^2+y": 0.95}
"""The operation that did not generalise within the paper's budget, on any fraction up to this one."""
FAILED = 0.5
"""Test accuracy up to which a network counts as not having generalised."""
MOST = 7
"""Out of twelve."""
PERMUTATIONS: dict[GroupOperation, float] = {"xy": 0.6, "xyx^-1": 0.6, "xyx": 0.9}
"""Operations in S5, with their fractions."""
LITTLE = 0.3
"""Fraction of the pairs at which an operation that is symmetric in its operands is compared with one that is not."""
S5_FRACTIONS = (0.35, 0.45, 0.6, 0.8)
S5_SEEDS = (6, 7, 8, 9, 10)


def _sweep(
    task: Task, fractions: Sequence[float], seeds: Sequence[int], config: TrainConfig
) -> DataFractionSweep:
    sweep = data_fraction_sweep(fractions, seeds, task=task, recipe=config)
    if sweep.failures:
        raise MechgrokError(f"{task.name}: not every training came to its end: {sweep.failures}")
    return sweep


def twelve_operations(full: bool) -> Iterator[Row]:
    """All twelve operations, and two of them on little data."""
    generalised = 0
    for studied in _twelve():
        rows = _best(studied, FULL if full else studied.quick)
        generalised += all(row.measured is not None and row.measured >= GENERALISED for row in rows)
        yield from rows
    yield Row("how many of the twelve generalise with every seed", None, generalised, MOST)
    yield from _symmetry(FULL if full else QUICK)


@dataclass(frozen=True)
class Studied:
    """An operation, the fraction of the pairs on which it is trained, and bounds on its best test accuracy."""

    name: str
    task: Task
    fraction: float
    low: float | None = None
    high: float | None = None
    quick: TrainConfig = QUICK


def _twelve() -> Iterator[Studied]:
    for text, fraction in (GENERALISE | UNCLEAR | NEVER).items():
        low, high = GENERALISED if text in GENERALISE else None, FAILED if text in NEVER else None
        yield Studied(f"{text} mod {P}", modular_task(text, P), fraction, low, high)
    for op, fraction in PERMUTATIONS.items():
        low, quick = (GENERALISED, QUICK) if op == "xy" else (None, PATIENT)
        yield Studied(f"{op} in S5", sn_task("S5", op=op), fraction, low, quick=quick)


def _best(studied: Studied, config: TrainConfig) -> list[Row]:
    place = f"{studied.name}, {studied.fraction:z.0%}"
    published = None if studied.low is None else 1.0
    return [
        Row(
            f"{place}, seed {row['seed']}: best test accuracy",
            published, row["accuracy_test"], studied.low, studied.high,
        )
        for row in _sweep(studied.task, [studied.fraction], SEEDS, config).table
    ]  # fmt: skip


def _symmetry(config: TrainConfig) -> Iterator[Row]:
    """Steps to generalisation on little data, for a sum and a difference."""
    tables = [_sweep(modular_task(text, P), [LITTLE], SEEDS, config).table for text in ("x+y", "x-y")]
    for sum_row, difference_row in zip(*tables, strict=True):
        place = f"{LITTLE:z.0%}, seed {sum_row['seed']}"
        yield Row(f"x+y, {place}: step of 99% test accuracy", None, sum_row["step"], 1)
        at_least = difference_row["step"] or difference_row["steps"]
        ratio = at_least / sum_row["step"] if sum_row["step"] else None
        yield Row(f"x-y, {place}: how many times as late (at least)", None, ratio, 1.2)


def data_fraction(full: bool) -> Iterator[Row]:
    """Steps to 99% test accuracy for the product in S5 at four fractions; medians over 5 seeds."""
    sweep = _sweep(sn_task("S5"), S5_FRACTIONS, S5_SEEDS, FULL if full else PATIENT)
    for fraction, median in sweep.medians.items():
        yield Row(f"median step of 99% test accuracy at {fraction:z.0%}", None, median, 1)
    pairs = [(less, more) for less, more in pairwise(sweep.medians.values()) if less and more]
    in_order = sum(less > more for less, more in pairs)
    yield Row(
        "neighbouring fractions in the published order",
        len(S5_FRACTIONS) - 1,
        in_order,
        len(S5_FRACTIONS) - 1,
    )
    for less, more in pairwise(S5_FRACTIONS):
        growth = sweep.growth(less, more)
        yield Row(f"growth of the median per hundredth of data, {more:z.0%} to {less:z.0%}", None, growth, 1)
