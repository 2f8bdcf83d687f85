"""Nanda et al. 2023 (arXiv 2301.05217), appendix: the same phase changes in three tasks on sequences."""

from collections.abc import Iterator, Mapping, Sequence
from math import log
from statistics import median

from mechgrok.analysis.curves import first_step
from mechgrok.config import ModelConfig
from mechgrok.experiments.pictures import history_curve, recorded_curve
from mechgrok.experiments.reproduction import Curve, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.progress import progress_measures
from mechgrok.runs import Run
from mechgrok.tasks import digit_addition_task, repeated_sequence_task, skip_trigram_task

HALF = 1.15
"""Nats: half of what guessing one of ten answers costs."""
UNLIMITED, LIMITED = "Unlimited data", "Limited data"

PUBLISHED_DIGITS = {"10^5": 11, "10^4": 462, "10^3": 1573, "10^2": 1535, "10^1": 1019, "10^0": 1629}
"""Step at which the loss of each digit falls below HALF, in the authors' published curves of the wide network, as
running means over 21 steps; the first digit, a carry, is 0 or 1 and begins below it."""
FIRST_DIGITS = ("10^5", "10^4", "10^1")
"""Those that fall first there, in this order; the others follow together."""


def digits_run(full: bool, *, limited: bool = False) -> Run:
    """Addition of five digits, on fresh sums or on 700."""
    task = digit_addition_task(5, finite=700 if limited else 0)
    if full:
        changes = {"steps": 15_000 if limited else 3000, "eval_every": 50 if limited else 10}
    else:
        steps = 2500 if limited else 1200
        changes = {"model": ModelConfig(d_model=128), "lr": 1e-3, "steps": steps, "eval_every": 20}
    every = changes["steps"] if limited else changes["eval_every"]
    batch = {"batch_size": 0} if limited else {}
    return train_kept(task, "nanda-digits", checkpoint_every=every, **changes, **batch)


def five_digit(full: bool) -> Iterator[Row | Curve]:
    """One drop for each digit of the answer with fresh sums; with a limited number of sums the same drop, later."""
    run = digits_run(full)
    table = progress_measures(run, ["loss_per_position"], keys=(), progress=False)
    losses = table.parts("loss_per_position")
    falls = {str(digit): _first_below(table.steps, values, HALF) for digit, values in losses.items()}
    for digit, step in falls.items():
        published = PUBLISHED_DIGITS[digit] if full else None
        yield Row(f"step at which the loss of the digit {digit} falls below {HALF} nats", published, step)
    order = sorted(falls, key=lambda digit: _late(falls[digit]))
    in_place = sum(ours == theirs for ours, theirs in zip(order, FIRST_DIGITS, strict=False))
    yield Row(
        "digits among the first three to fall that are the published ones, in their order", 3, in_place, 3
    )
    widths = [_width(table.steps, losses[digit], 1.5, HALF) for digit in order[1:]]
    yield Row(
        f"steps from 1.5 to {HALF} nats, longest of the last five digits",
        74,
        max(map(_late, widths)),
        None,
        150,
    )
    staircase = _late(falls[order[-1]]) - _late(falls[order[0]])
    times = staircase / max(median(map(_late, widths)), 1)
    yield Row("how many times longer the staircase is than its median step", 51, times, 10)
    steps = {"mean loss < 0.5 nats": 0.5, "mean loss < 0.1 nats": 0.1}
    published = {0.5: 1654, 0.1: 2113} if full else {0.5: 665, 0.1: 986}
    for name, bound in steps.items():
        step = first_step(run.history, "loss_test", below=bound)
        yield Row(f"step of {name}", published[bound], step, published[bound] / 2, published[bound] * 2)
    yield from (
        recorded_curve(UNLIMITED, f"digit {digit}", table.steps, values) for digit, values in losses.items()
    )
    limited = digits_run(full, limited=True)
    yield from limited_rows(limited, (704, 8.5, 11_387 if full else None))
    yield from loss_panels(f"{LIMITED}: 700 sums", limited)


def trigrams_run(full: bool, *, limited: bool = False) -> Run:
    """Skip trigrams, on fresh sequences or on a limited number."""
    task = skip_trigram_task(finite=TRIGRAMS if limited else 0)
    steps = 5000 if limited else 3000 if full else 1000
    batch = {"batch_size": 0} if limited else {}
    return train_kept(
        task,
        "nanda-skip-trigram",
        steps=steps,
        eval_every=20 if limited else 10,
        checkpoint_every=steps,
        **batch,
    )


TRIGRAMS = 100
"""Train sequences, as the authors' notebook has them by default."""


def skip_trigram(full: bool) -> Iterator[Row | Curve]:
    """The loss stays at guessing and falls at once; with limited data the test loss falls long after the train loss."""
    run = trigrams_run(full)
    published = {HALF: 233, 0.1: 320}
    for bound, step in published.items():
        measured = first_step(run.history, "loss_test", below=bound)
        yield Row(f"step of loss < {bound} nats", step, measured, step / 2, step * 2)
    steps, values = _columns(run)
    yield Row("steps from a loss of 2 to one of 0.5 nats", 50, _width(steps, values, 2.0, 0.5), None, 120)
    yield Row("loss at step 1000 (nats)", 7.4e-5, _at(run, 1000), None, 1e-3)
    yield history_curve(UNLIMITED, "test", run.history, "loss_test")
    limited = trigrams_run(full, limited=True)
    yield from limited_rows(limited, (398, 2.53, 1355))
    yield from loss_panels(f"{LIMITED}: {TRIGRAMS} sequences", limited)


def induction(full: bool) -> Iterator[Row | Curve]:
    """The loss of repeated tokens comes down slowly, and then at once, when the induction heads form."""
    task = repeated_sequence_task()
    steps = 6000 if full else 2000
    run = train_kept(task, "nanda-induction", steps=steps, eval_every=20, checkpoint_every=steps)
    published = {3.0: 858, 1.0: 1138}
    for bound, step in published.items():
        measured = first_step(run.history, "loss_test", below=bound)
        yield Row(f"step of loss < {bound:g} nats", step, measured, step / 2, step * 2)
    places, values = _columns(run)
    yield Row("steps from a loss of 4 to one of 2 nats", 93, _width(places, values, 4.0, 2.0), None, 200)
    yield Row("loss of guessing at step 0 (nats, ln 127)", log(127), _at(run, 0), 4.7, 5.3)
    yield Row("loss at step 2000 (nats)", 0.403, _at(run, 2000), None, 0.6)
    yield history_curve(UNLIMITED, "test", run.history, "loss_test")


def limited_rows(run: Run, published: tuple[float | None, float | None, float | None]) -> Iterator[Row]:
    """What limited data do: the network knows them by heart, is wrong elsewhere, and generalises late.

    Args:
        published: first step of a train loss below 0.01 nats, highest test loss, and first step of a test loss below
            half of guessing after that.
    """
    history = run.history
    memorised, highest, grokked = published
    by_heart = first_step(history, "loss_train", below=0.01)
    peak = max(history, key=lambda row: row["loss_test"] or 0)
    after = [row for row in history if (row["step"] or 0) >= (peak["step"] or 0)]
    late = first_step(after, "loss_test", below=0.5)
    yield Row("limited data: step of train loss < 0.01 nats", memorised, by_heart, 1)
    yield Row("limited data: highest test loss (nats)", highest, peak["loss_test"], log(10))
    yield Row("limited data: step of test loss < 0.5 nats", grokked, late, 1)
    times = None if late is None or not by_heart else late / by_heart
    yield Row("limited data: how many times later that is than the train loss", None, times, 2)


def loss_panels(panel: str, run: Run) -> Iterator[Curve]:
    """Train and test loss of a run."""
    yield history_curve(panel, "train", run.history, "loss_train", logarithmic=True)
    yield history_curve(panel, "test", run.history, "loss_test", logarithmic=True)


def _columns(run: Run) -> tuple[list[int], list[float]]:
    rows: Sequence[Mapping[str, float | None]] = run.history
    return [int(row["step"] or 0) for row in rows], [row["loss_test"] or 0.0 for row in rows]


def _first_below(steps: Sequence[int], values: Sequence[float | None], bound: float) -> int | None:
    return next(
        (s for s, value in zip(steps, values, strict=True) if value is not None and value < bound), None
    )


def _width(steps: Sequence[int], values: Sequence[float | None], high: float, low: float) -> int | None:
    """Steps from the first value below `high` to the first below `low`; None where either never comes."""
    start, end = (_first_below(steps, values, bound) for bound in (high, low))
    return None if start is None or end is None else end - start


def _late(step: int | None) -> float:
    """Never is later than any step."""
    return float("inf") if step is None else step


def _at(run: Run, step: int) -> float | None:
    return next((row["loss_test"] for row in run.history if row["step"] == step), None)
