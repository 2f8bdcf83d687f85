"""Varma et al. 2023, Explaining grokking through circuit efficiency (arXiv 2309.02390): the norm that logits cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median
from typing import Any

from mechgrok.activations import cache_grid
from mechgrok.analysis.explained import logit_fve
from mechgrok.config import ModelConfig, TrainConfig
from mechgrok.experiments.reproduction import Curve, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.experiments.varma2023_norms import Circuit, Point, at_equal_scale, crossing, logit_scale
from mechgrok.experiments.varma2023_sizes import largest_over_smallest
from mechgrok.runs import Run
from mechgrok.tasks import Task, modular_task, random_labels
from mechgrok.training.recipes import find_recipe

PURE = 0.95
"""Share of the logits in cosines of a+b-c from which a network counts as generalising alone, as in the paper."""


@dataclass(frozen=True)
class Setup:
    """Sizes and durations.

    Attributes:
        learn: in which networks learn, for as many steps as `memorise` or `generalise` says.
        rest: in which they come to rest, for some time constants of the weight decay, 1 / (learning rate * decay).
            AdamW with gradients far below `eps` descends on the loss plus eps * decay / 2 times the squared norm: so a
            large `eps` has them rest soon, at logits that are not large.
        memorised, generalised: numbers of train inputs, with random labels and with right ones. On the first of the
            latter, a seed's network generalises; on all of them, it comes to rest.
    """

    p: int
    learn: TrainConfig
    rest: TrainConfig
    memorise: int
    generalise: int
    memorised: tuple[int, ...]
    generalised: tuple[int, ...]
    time_constants: dict[Circuit, float]
    seeds: range


LEARN = find_recipe("fast").replace(split_rule="randperm", stop_when_settled=False)
REST = {"lr": 5e-3, "eps": 5e-5}
DECAYS = (0.5, 1.0, 2.0)
SMALL = LEARN.replace(model=ModelConfig(d_model=64))
QUICK = Setup(
    p=59,
    learn=SMALL,
    rest=SMALL.replace(**REST),
    memorise=300,
    generalise=600,
    memorised=(150, 300, 600),
    generalised=(1740, 3481),
    time_constants={"memorising": 4.0, "generalising": 2.0},
    seeds=range(4),
)
FULL = Setup(
    p=113,
    learn=LEARN,
    rest=LEARN.replace(**REST),
    memorise=400,
    generalise=1000,
    memorised=(250, 500, 1000, 2000),
    generalised=(3830, 6384, 12769),
    time_constants={"memorising": 10.0, "generalising": 10.0},
    seeds=range(10),
)


@dataclass(frozen=True)
class Continued:
    """A generalising network that goes on with a multiple of the size at which the norms of its seed cross."""

    multiple: float
    size: int
    seed: int
    accuracy_test: float


def efficiency(full: bool) -> Iterator[Row | Curve]:
    """Compare the norms of memorising and generalising networks, and see whether they tell where networks ungrok."""
    setup = FULL if full else QUICK
    found = [p for seed in setup.seeds for p in [*_memorising(setup, seed), *_generalising(setup, seed)]]
    yield from purity_rows(found)
    points = of_pure_seeds(found)
    if not points:
        return
    yield from efficiency_rows(points)
    seeds = dict.fromkeys(point.seed for point in points)
    yield from continued_rows([one for seed in seeds for one in _continued(setup, points, seed)])
    yield from _curves(points)


def _memorising(setup: Setup, seed: int) -> Iterator[Point]:
    task = random_labels(modular_task("add", setup.p), seed)
    for size in setup.memorised:
        start = train_kept(task, _on(setup.learn, size, setup, steps=setup.memorise), seed=seed)
        for decay in DECAYS:
            yield _point("memorising", _rested(setup, task, start, size, decay, "memorising"), size)


def _generalising(setup: Setup, seed: int) -> Iterator[Point]:
    start = _grokked(setup, seed)
    for size in setup.generalised:
        for decay in DECAYS:
            yield _point("generalising", _rested(setup, start.task, start, size, decay, "generalising"), size)


def _grokked(setup: Setup, seed: int) -> Run:
    config = _on(setup.learn, setup.generalised[0], setup, steps=setup.generalise)
    return train_kept(modular_task("add", setup.p), config, seed=seed)


def _rested(setup: Setup, task: Task, start: Run, size: int, decay: float, circuit: Circuit) -> Run:
    """A network that went on with some inputs until it rests."""
    steps = round(setup.time_constants[circuit] / (setup.rest.lr * decay))
    config = _on(setup.rest, size, setup, steps=steps, weight_decay=decay)
    return train_kept(task, config, seed=start.config.seed, start=start.model())


def _on(config: TrainConfig, size: int, setup: Setup, *, steps: int, **changes: Any) -> TrainConfig:
    fraction = min((size + 0.5) / setup.p**2, 1.0)  # rounded down to the size
    return config.replace(fraction=fraction, steps=steps, eval_every=steps, checkpoint_every=steps, **changes)


def _point(circuit: Circuit, run: Run, size: int) -> Point:
    last, p = run.history[-1], run.task.n_classes
    share = 0.0
    if circuit == "generalising":
        grid = cache_grid(run.model(), names=[])
        share = float(logit_fve(grid, grid.task.frame.basis.labels))
    scale = logit_scale(last["loss_train"] or 0.0, p)
    norm = last["sum_squared_weights"] or 0.0
    return Point(circuit, size, run.config.train.weight_decay, run.config.seed, scale, norm, share)


def _continued(setup: Setup, points: Sequence[Point], seed: int) -> Iterator[Continued]:
    critical = crossing(at_equal_scale([point for point in points if point.seed == seed]))
    if critical is None:
        return
    start = _grokked(setup, seed)
    for multiple in (0.5, 1.0, 2.0):
        size = round(multiple * critical)
        run = _rested(setup, start.task, start, size, 1.0, "memorising")
        yield Continued(multiple, size, seed, run.history[-1]["accuracy_test"] or 0.0)


def of_pure_seeds(points: Sequence[Point]) -> list[Point]:
    """The points of seeds whose generalising networks, at every size and decay, do nothing else."""
    impure = {point.seed for point in points if point.circuit == "generalising" and point.share < PURE}
    return [point for point in points if point.seed not in impure]


def purity_rows(points: Sequence[Point]) -> Iterator[Row]:
    """How much of the logits of generalising networks lies in cosines of a+b-c, and which seeds count."""
    shares = [point.share for point in points if point.circuit == "generalising"]
    yield Row("generalising: median share of the logits in cosines of a+b-c", PURE, median(shares), PURE)
    pure, seeds = ({point.seed for point in some} for some in (of_pure_seeds(points), points))
    yield Row(f"seeds of {len(seeds)} in which all have that share", None, len(pure), 2)


def efficiency_rows(points: Sequence[Point]) -> Iterator[Row]:
    """What the networks at rest say about efficiency and data."""
    norms = at_equal_scale(points)
    for circuit, of_size in norms.items():
        for size, norm in of_size.items():
            yield Row(f"{circuit}, {size} inputs: squared norm at the same logit scale", None, norm)
    general, memory = (list(norms[circuit].values()) for circuit in ("generalising", "memorising"))
    yield Row(
        "generalising: largest over smallest of these norms", None, max(general) / min(general), 1, 1.05
    )
    yield Row("memorising: last over first", None, memory[-1] / memory[0], 1.5)
    yield Row("memorising: how often the norm falls with more inputs", None, _falls(memory), None, 0)
    yield from _crossing_rows(points)


def _falls(values: Sequence[float]) -> int:
    return sum(later < earlier for earlier, later in pairwise(values))


def _crossing_rows(points: Sequence[Point]) -> Iterator[Row]:
    seeds, decays = sorted({point.seed for point in points}), sorted({point.decay for point in points})
    of_seed = [crossing(at_equal_scale([point for point in points if point.seed == seed])) for seed in seeds]
    known = [size for size in of_seed if size is not None]
    complete = len(known) == len(seeds)
    yield Row(
        "size at which the norms cross, median over seeds", None, median(known) if complete else None, 1
    )
    for name, choose in (("lowest", min), ("highest", max)):
        yield Row(f"the same, {name} seed", None, choose(known) if complete else None)
    of_decay = [
        crossing(at_equal_scale([point for point in points if point.decay == decay])) for decay in decays
    ]
    for decay, size in zip(decays, of_decay, strict=True):
        yield Row(f"decay {decay:g}: size at which the norms cross", None, size)
    yield Row("largest over smallest of these sizes", None, largest_over_smallest(of_decay), 1, 1.15)


def continued_rows(found: Sequence[Continued]) -> Iterator[Row]:
    """Whether a network ungroks below the size at which the norms cross, and not above it."""
    bounds = {0.5: (None, 0.5), 1.0: (None, None), 2.0: (0.9, None)}
    for multiple, (low, high) in bounds.items():
        tests = [one.accuracy_test for one in found if one.multiple == multiple]
        quantity = f"test accuracy after going on with {multiple:g} times the size of the crossing"
        yield Row(quantity, None, mean(tests) if tests else None, low, high)


def _curves(points: Sequence[Point]) -> Iterator[Curve]:
    norms = at_equal_scale(points)
    titles: dict[str, Any] = {"x_title": "train inputs", "y_title": "squared norm"}
    for circuit, of_size in norms.items():
        values = tuple(round(norm, 1) for norm in of_size.values())
        yield Curve("At the same logit scale", circuit, tuple(of_size), values, **titles)
    titles["x_title"] = "logit scale"
    for circuit, of_size in norms.items():
        for size in of_size:
            chosen = [point for point in points if (point.circuit, point.size) == (circuit, size)]
            x, y = zip(*((round(point.scale, 2), round(point.norm, 1)) for point in chosen), strict=True)
            yield Curve("Three decays", f"{circuit}, {size} inputs", x, y, dots=True, **titles)
