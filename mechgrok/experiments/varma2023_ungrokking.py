"""Varma et al. 2023, Explaining grokking through circuit efficiency (arXiv 2309.02390): a network that ungroks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import torch

from mechgrok.activations import cache_grid
from mechgrok.analysis.losses import accuracy
from mechgrok.config import TrainConfig
from mechgrok.experiments.pictures import history_curve, recorded_curve
from mechgrok.experiments.reproduction import Curve, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.experiments.varma2023_sizes import critical_size, largest_over_smallest
from mechgrok.loading import load_run
from mechgrok.runs import HistoryRow, Run
from mechgrok.tasks import Split
from mechgrok.training.recipes import find_recipe

GROKKED = "add113"
"""The shipped network that the trainings start from; it learned 30% of the pairs mod 113."""
SIZES = (390, 488, 610, 763, 955, 1194, 1494)
"""The paper's: seven in a geometric row from 390 to 1494."""
QUICK_SIZES = (390, 610, 955, 1494)
DECAYS = (0.5, 1.0, 2.0)
SETUP = find_recipe("nanda").replace(stop_when_settled=False)
PUBLISHED = {955: 0.7}
"""Test accuracy by size; the paper's is that of 800 to 1000 inputs."""


def lasting(decay: float, time_constants: int, lr: float) -> TrainConfig:
    """A continued training for a number of time constants of its weight decay, 1 / (learning rate * decay).

    The learning rate is lower by the factor by which a decay exceeds 1: a network at rest that lost a fiftieth of its
    weights in every step would be thrown off it.

    >>> [(config.steps, config.lr) for config in (lasting(0.5, 15, 1e-2), lasting(2.0, 15, 1e-2))]
    [(3000, 0.01), (1500, 0.005)]
    """
    lr = lr / max(decay, 1)
    steps = round(time_constants / (lr * decay))
    return SETUP.replace(
        lr=lr, weight_decay=decay, steps=steps, eval_every=steps // 10, checkpoint_every=steps
    )


def subset(run: Run, size: int, seed: int) -> Split:
    """Some of the train inputs of a run, drawn at random; of one seed, the smaller subsets lie in the larger ones."""
    train = run.split.train.nonzero().flatten()
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    kept = torch.zeros_like(run.split.train)
    kept[train[order[:size]]] = True
    return Split(kept, size / len(kept), seed, "randperm")


@dataclass(frozen=True)
class Ungrokked:
    """A grokked network after it has gone on learning from fewer inputs.

    Attributes:
        history: of the continued training, where everything that it does not learn from is a test input.
        removed, unseen: accuracy at the end on train inputs of the grokked network that were taken away, and on inputs
            that neither training has seen.
    """

    size: int
    decay: float
    seed: int
    history: Sequence[HistoryRow]
    removed: float
    unseen: float

    @property
    def test(self) -> float:
        """Accuracy at the end on all test inputs."""
        return self.history[-1]["accuracy_test"] or 0.0


def ungrokking(full: bool) -> Iterator[Row | Curve]:
    """Take train inputs away from a network that has grokked, train it on, and see how much it still generalises."""
    run = load_run(GROKKED)
    sizes, seeds, many, lr = (SIZES, range(10), 100, 1e-3) if full else (QUICK_SIZES, range(1), 15, 1e-2)
    found = [
        _ungrokked(run, size, lasting(decay, many, lr), seed)
        for seed in seeds
        for decay in DECAYS
        for size in sizes
    ]
    yield Row("test accuracy of the grokked network", None, accuracy(run.grid(), run.split.test), 0.99)
    yield from ungrokking_rows(found)
    yield from _curves(found)


def _ungrokked(run: Run, size: int, config: TrainConfig, seed: int) -> Ungrokked:
    split = subset(run, size, seed)
    continued = train_kept(run.task, config, seed=seed, split=split, start=run.model())
    grid = cache_grid(continued.model(), names=[])
    removed, unseen = (accuracy(grid, mask) for mask in (run.split.train & split.test, run.split.test))
    return Ungrokked(size, config.weight_decay, seed, continued.history, removed, unseen)


def ungrokking_rows(found: Sequence[Ungrokked]) -> Iterator[Row]:
    """What continued trainings say about the fall, its place and what it depends on."""
    sizes = sorted({one.size for one in found})
    decays = sorted({one.decay for one in found})
    for decay in decays:
        of_size = _by_size(one for one in found if one.decay == decay)
        for size in sizes:
            low = 0.99 if size == sizes[-1] else None
            high = 0.5 if size == sizes[0] else None
            published = PUBLISHED.get(size)
            yield Row(f"decay {decay:g}: test accuracy on {size} inputs", published, of_size[size], low, high)
    yield Row(
        "lowest train accuracy", None, min(one.history[-1]["accuracy_train"] or 0.0 for one in found), 0.999
    )
    everything = _by_size(found)
    quarter, half, most = (critical_size(everything, level) for level in (0.25, 0.5, 0.75))
    yield Row("size at which half of the test inputs are right", None, half)
    sharp = None if quarter is None or most is None else most / quarter
    yield Row("factor between the sizes for 25% and 75%", None, sharp, 1, 2)
    critical = [critical_size(_by_size(one for one in found if one.decay == decay)) for decay in decays]
    for decay, size in zip(decays, critical, strict=True):
        yield Row(f"decay {decay:g}: size at which half are right", None, size)
    yield Row("largest over smallest of these sizes", None, largest_over_smallest(critical), 1, 1.15)
    forgotten = max(abs(one.removed - one.unseen) for one in found)
    yield Row(
        "accuracy on inputs taken away and on those never seen, largest difference",
        None,
        forgotten,
        None,
        0.1,
    )


def _by_size(found: Iterable[Ungrokked]) -> dict[int, float]:
    """Mean test accuracy of each size."""
    found = list(found)
    sizes = sorted({one.size for one in found})
    return {size: mean(one.test for one in found if one.size == size) for size in sizes}


def _curves(found: Sequence[Ungrokked]) -> Iterator[Curve]:
    titles: dict[str, Any] = {"x_title": "inputs that it goes on with", "y_title": "test accuracy"}
    for decay in sorted({one.decay for one in found}):
        of_size = _by_size(one for one in found if one.decay == decay)
        yield recorded_curve(
            "Test accuracy at the end", f"decay {decay:g}", list(of_size), list(of_size.values()), **titles
        )
    for one in found:
        if not one.seed and one.decay == 1:
            name = f"{one.size} inputs"
            yield history_curve(
                "Over the training, decay 1", name, one.history, "accuracy_test", y_title="test accuracy"
            )
