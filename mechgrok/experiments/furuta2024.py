"""Furuta, Minegishi, Iwasawa and Matsuo 2024, on grokking modular polynomials (arXiv 2402.16726)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from joblib import Parallel, cpu_count, delayed

from mechgrok.activations import cache_grid
from mechgrok.algebra import fourier_basis
from mechgrok.analysis.curves import first_step
from mechgrok.analysis.losses import accuracy
from mechgrok.analysis.spectrum import Matrix, fourier_coefficient_ratio, fourier_frequency_density
from mechgrok.config import TrainConfig
from mechgrok.experiments.kept import kept_in, place
from mechgrok.experiments.milestones import best_accuracy
from mechgrok.experiments.reproduction import Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.runs import HistoryRow, Run
from mechgrok.tasks import MixedTask, Task, as_operation, mixed_task, modular_task
from mechgrok.training.processes import one_thread
from mechgrok.training.recipes import find_recipe

P = 97
SEEDS = (1, 2)
GROKKED = 0.95
"""Test accuracy from which an operation counts as ticked in the paper's tables; the highest they print is 92%."""
FAILED = 0.5
"""Test accuracy up to which it counts as not grokked; the paper's values are below 0.35."""
FULL = find_recipe("furuta").replace(checkpoint_every=10_000)
QUICK = FULL.replace(lr=1e-2, warmup=10, steps=2000, eval_every=25, checkpoint_every=100)
GENTLE = QUICK.replace(lr=3e-3)
"""For runs that do not settle at ten times the paper's learning rate."""

Measure = Callable[[int, bool], list[Row]]
"""Trains with a seed, at the paper's size if the second argument is true, and returns its rows."""


def _each_seed(measure: Measure, full: bool) -> Iterator[Row]:
    """The rows of every seed, each measured in a separate process."""
    calls = (delayed(_on_one_thread)(measure, seed, full, place()) for seed in SEEDS)
    measured: Any = Parallel(n_jobs=cpu_count(), return_as="generator")(calls)
    for rows in measured:
        yield from rows


def _on_one_thread(measure: Measure, seed: int, full: bool, kept: Path | None) -> list[Row]:
    with one_thread(), kept_in(kept):
        return measure(seed, full)


def _train(task: Task, config: TrainConfig, seed: int, **options: Any) -> Run:
    return train_kept(task, config, seed=seed, progress=False, **options)


def _judged(name: str, run: Run, *, groks: bool, published: float | None) -> Row:
    low, high = (GROKKED, None) if groks else (None, FAILED)
    return Row(f"{name}: best test accuracy", published, best_accuracy(run.history), low, high)


def sparsity_over_training(
    run: Run, task: Task | None = None, *, matrix: Matrix = "W_E"
) -> list[dict[str, float]]:
    """FFD and FCR of a weight matrix at every checkpoint of a run.

    Args:
        task: the task whose basis to use; None means the run's own. The paper uses the basis of addition for every
            operation, `run.task.in_basis(fourier_basis(p))`.

    Returns:
        One row per checkpoint: "step", "ffd" and "fcr".
    """
    rows = []
    for step in run.steps:  # one grid at a time: all grids of a long run would fill the memory
        grid = cache_grid(run.model(step), task or run.task, names=[])
        ffd, fcr = (
            measure(grid, matrix=matrix) for measure in (fourier_frequency_density, fourier_coefficient_ratio)
        )
        rows.append({"step": float(step), "ffd": ffd, "fcr": fcr})
    return rows


AT_30_PERCENT: dict[str, float] = {
    "a+b": 1.0,
    "a-b": 1.0,
    "a*b": 1.0,
    "ab+a+b": 1.0,
    "a^2+b^2": 1.0,
    "(a+b)^2": 1.0,
    "a^2+ab+b^2": 0.34,
    "a^2+ab+b^2+a": 0.048,
    "a^3+ab": 0.049,
    "a^3+ab^2+b": 0.040,
}
"""Best test accuracy at 30% of the pairs mod 97, from the paper's tables; 1 if it is ticked."""
SLOW = {"a-b": 4000}
"""Steps at the quick size for operations that take several times as long: the paper's own checkpoint of a-b is at
step 40,000, and of a+b at step 10,000."""


def operations(full: bool) -> Iterator[Row]:
    """Train every operation, and follow the spectra of a sum, a product and an operation that does not grok."""
    yield from _each_seed(_operations, full)


def _operations(seed: int, full: bool) -> list[Row]:
    runs = {}
    for text in AT_30_PERCENT:
        config = FULL if full else QUICK.replace(steps=SLOW.get(text, QUICK.steps))
        runs[text] = _train(modular_task(text, P), config, seed)
    accuracies = [
        _judged(f"{text}, seed {seed}", runs[text], groks=published == 1, published=published)
        for text, published in AT_30_PERCENT.items()
    ]
    return [*accuracies, *_spectra(runs, seed)]


def _spectra(runs: dict[str, Run], seed: int) -> list[Row]:
    """The development of the embedding of a sum, a product and a polynomial that does not grok."""
    by_sums = {
        text: sparsity_over_training(runs[text], as_operation(runs[text].task).in_basis(fourier_basis(P)))
        for text in ("a+b", "a*b", "a^2+ab+b^2")
    }
    by_characters = sparsity_over_training(runs["a*b"])
    added, multiplied, neither = by_sums.values()

    def row(quantity: str, measured: float, low: float | None, high: float | None = None) -> Row:
        return Row(f"{quantity}, seed {seed}", None, measured, low, high)

    return [
        row("a+b: FFD of the embedding, first", added[0]["ffd"], 0.9),
        row("a+b: FFD of the embedding, last", added[-1]["ffd"], None, 0.5),
        row("a+b: FCR of the embedding, last", added[-1]["fcr"], 0.5),
        Row(f"a*b: FFD of the embedding, last, seed {seed}", 1.0, multiplied[-1]["ffd"], 0.9),
        row("a*b: FCR of the embedding, last", multiplied[-1]["fcr"], None),
        row("a^2+ab+b^2: FFD of the embedding, last", neither[-1]["ffd"], 0.9),
        row("a*b: FFD of the embedding in the characters, last", by_characters[-1]["ffd"], None, 0.5),
        row("a*b: FCR of the embedding in the characters, last", by_characters[-1]["fcr"], 0.5),
    ]


Part = Literal["PG-E", "PG-T"]
PARTS: dict[Part, tuple[str, ...]] = {"PG-E": ("embed",), "PG-T": ("blocks",)}
"""The paper's pre-grokked parts, which are copied and frozen: the embedding, or attention and MLP."""
SOURCE = FULL.replace(steps=10_000, stop_when_settled=False)
QUICK_SOURCE = SOURCE.replace(lr=QUICK.lr, warmup=QUICK.warmup, steps=1000, checkpoint_every=1000)
"""The same number of time constants of weight decay, 1 / (learning rate * decay), as the paper's 10,000 steps."""
UNTIL_GROKKED: dict[str, Any] = {"stop_test_loss": 0.02, "checkpoint_every": 3000}
QUICK_WITH: dict[Part, TrainConfig] = {
    "PG-E": QUICK.replace(**UNTIL_GROKKED),
    "PG-T": GENTLE.replace(**UNTIL_GROKKED),
}
"""Quick sizes of runs that begin with a copied part."""
QUICK_ALONE = {
    "2a+b": QUICK.replace(**UNTIL_GROKKED),
    "(a-b)^2": GENTLE.replace(**UNTIL_GROKKED, steps=5000),
}
"""Quick sizes of the same runs from scratch."""


@dataclass(frozen=True)
class Cell:
    """A cell of the paper's table of smallest fractions, at 30% of the pairs.

    Attributes:
        text: the operation that is learned.
        part, source: the part that is copied and frozen, and the operation of the network that it comes from.
        groks: whether the table says that 30% is enough; from scratch it says the opposite.
    """

    text: str
    part: Part
    source: str
    groks: bool


CELLS = (
    Cell("2a+b", "PG-E", "a+b", True),
    Cell("2a+b", "PG-T", "a+b", True),
    Cell("(a-b)^2", "PG-E", "a*b", False),
    Cell("(a-b)^2", "PG-T", "a+b", False),
)
FROM_SCRATCH = {"2a+b": 0.031, "(a-b)^2": 1.0}
"""Best test accuracy without a copied part, as in `AT_30_PERCENT`."""


def transfer(full: bool) -> Iterator[Row]:
    """Four cells of the table at 30% of the data, two that grok and two that do not, and the same from scratch."""
    yield from _each_seed(_transfer, full)


def _transfer(seed: int, full: bool) -> list[Row]:
    texts = dict.fromkeys(cell.source for cell in CELLS)
    source = SOURCE if full else QUICK_SOURCE
    sources = {text: _train(modular_task(text, P), source, seed).model() for text in texts}
    rows = []
    for cell in CELLS:
        taken = {"start": sources[cell.source], "parts": PARTS[cell.part], "frozen": PARTS[cell.part]}
        run = _train(modular_task(cell.text, P), FULL if full else QUICK_WITH[cell.part], seed, **taken)
        name = f"{cell.text} with {cell.part} of {cell.source}, seed {seed}"
        rows.append(_judged(name, run, groks=cell.groks, published=1.0 if cell.groks else None))
    for text, published in FROM_SCRATCH.items():
        run = _train(modular_task(text, P), FULL if full else QUICK_ALONE[text], seed)
        rows.append(
            _judged(f"{text} from scratch, seed {seed}", run, groks=published == 1, published=published)
        )
    return rows


TOGETHER = ("add", "sub", "mul")
QUICK_TOGETHER = GENTLE.replace(stop_test_loss=0.1)


def cogrokking(full: bool) -> Iterator[Row]:
    """The elementary operations in one network, at the fraction that suffices for each alone and at a larger one."""
    yield from _each_seed(_cogrokking, full)


def _cogrokking(seed: int, full: bool) -> list[Row]:
    mixture = mixed_task([modular_task(name, P) for name in TOGETHER])
    rows = []
    for fraction, published, low, high in ((0.3, None, None, 2), (0.9, 3, 3, None)):
        run = _train(mixture, FULL if full else QUICK_TOGETHER, seed, fraction=fraction)
        where = f"at {fraction:z.0%}, seed {seed}"
        grokked = 0
        for name, history in _part_histories(run).items():
            rows.append(Row(f"{name} {where}: best test accuracy", None, best_accuracy(history)))
            step = first_step(history, "accuracy_test", at_least=GROKKED)
            if step is not None:
                rows.append(Row(f"{name} {where}: step of {GROKKED:z.0%} test accuracy", None, step))
                grokked += 1
        rows.append(Row(f"how many of the three grok {where}", published, grokked, low, high))
    return rows


def _part_histories(run: Run) -> dict[str, list[HistoryRow]]:
    """Test accuracy on each part of a mixture at every checkpoint."""
    mixture = run.task
    assert isinstance(mixture, MixedTask)
    histories: dict[str, list[HistoryRow]] = {part.name: [] for part in mixture.parts}
    for step in run.steps:
        model = run.model(step)
        for i, part in enumerate(mixture.parts):
            test = mixture.part_split(run.split, i).test
            measured = accuracy(cache_grid(model, part, names=[]), test)
            histories[part.name].append({"step": step, "accuracy_test": measured})
    return histories
