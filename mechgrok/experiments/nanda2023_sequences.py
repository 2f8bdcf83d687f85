"""Nanda et al. 2023 (arXiv 2301.05217), appendix: the same phase changes in three sequence tasks."""

from collections.abc import Iterator, Mapping, Sequence
from math import log
from statistics import median
from typing import Any

from mechgrok.analysis.curves import first_step
from mechgrok.config import ModelConfig
from mechgrok.experiments.pictures import history_curve, recorded_curve
from mechgrok.experiments.reproduction import Curve, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.progress import progress_measures
from mechgrok.tasks import digit_addition_task, repeated_sequence_task, skip_trigram_task

HALF = 1.15
"""Nats: half the loss of guessing one of ten answers."""
PUBLISHED_CURVES = {
    "digits": {
        0: 2.32,
        200: 1.67,
        400: 1.30,
        500: 1.12,
        600: 0.618,
        700: 0.290,
        800: 0.227,
        1000: 0.0893,
        1200: 0.0583,
    },
    "trigrams": {
        0: 2.38,
        100: 2.29,
        200: 2.16,
        220: 1.62,
        240: 0.895,
        260: 0.469,
        300: 0.157,
        400: 0.029,
        1000: 7.4e-5,
    },
    "induction": {
        0: 5.06,
        400: 4.70,
        700: 4.48,
        800: 4.16,
        850: 3.22,
        900: 2.09,
        950: 1.52,
        1000: 1.24,
        1500: 0.58,
    },
}
"""Losses at some steps of the authors' published curves with unlimited data, as means over 11 steps; for the digits,
the mean loss of the narrow network."""
KNOWN = 0.1
"""Nats of the train loss below which limited data count as memorised."""
LATE = 0.2
"""Nats of the test loss at which a run on limited data may end."""
UNLIMITED, LIMITED = "Unlimited data", "Limited data"

PUBLISHED_DIGITS = {"10^5": 11, "10^4": 462, "10^3": 1573, "10^2": 1535, "10^1": 1019, "10^0": 1629}
"""Step at which the loss of each digit falls below HALF, in the authors' published curves of the wide network, as
running means over 21 steps; the first digit, a carry, is 0 or 1 and starts below it."""
FIRST_DIGITS = ("10^5", "10^4", "10^1")
"""The digits that fall first there, in this order; the others follow together."""


def digits_run(full: bool, *, limited: bool = False) -> Any:
    """Five-digit addition, on fresh sums or on a fixed number of them."""
    task = digit_addition_task(5, finite=SUMS[full] if limited else 0)
    steps = (15_000 if full else 4000) if limited else (3000 if full else 1200)
    every = 50 if limited else 40 if full else 20
    changes: dict[str, Any] = {
        "steps": steps,
        "eval_every": every,
        "checkpoint_every": 4000 if limited else every,
    }
    if not full:
        changes |= {"model": ModelConfig(d_model=128), "lr": 1e-3}
    if limited:
        changes |= {"stop_test_loss": LATE, "weight_decay": SUMS_DECAY[full], "batch_size": 0 if full else 64}
    return train_kept(task, "nanda-digits", **changes)


SUMS, SUMS_DECAY = {True: 700, False: 400}, {True: 0.1, False: 1.0}
"""Number of train sums with limited data, and the weight decay, at the paper's size and at the quick size."""


def five_digit(full: bool) -> Iterator[Row | Curve]:
    """One drop per digit of the answer with fresh sums; with a limited number of sums the same drop, later."""
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
        120,
    )
    staircase = _late(falls[order[-1]]) - _late(falls[order[0]])
    between = table.steps[1] - table.steps[0]  # anything shorter is not visible
    times = staircase / max(median(map(_late, widths)), between)
    yield Row("how many times longer the staircase is than its median step", 51, times, 10)
    steps = {"mean loss < 0.5 nats": 0.5, "mean loss < 0.1 nats": 0.1}
    published = {0.5: 1654, 0.1: 2113} if full else {0.5: 665, 0.1: 986}
    for name, bound in steps.items():
        step = first_step(run.history, "loss_test", below=bound)
        yield Row(f"step of {name}", published[bound], step, published[bound] / 2, published[bound] * 2)
    means = [sum(values) / len(values) for values in zip(*losses.values(), strict=True)]
    yield recorded_curve(UNLIMITED, "mean of the digits", table.steps, means)
    yield _published("digits")
    yield from (
        recorded_curve(UNLIMITED, f"digit {digit}", table.steps, values) for digit, values in losses.items()
    )
    limited = digits_run(full, limited=True)
    yield from limited_rows(limited, (472, 4.38, 8.5, 9213, 19.5))
    yield from loss_panels(f"{LIMITED}: {SUMS[full]} sums", limited)


def trigrams_run(full: bool, *, limited: bool = False) -> Any:
    """Skip trigrams, on fresh sequences or on a limited number."""
    task = skip_trigram_task(finite=TRIGRAMS if limited else 0)
    steps = 8000 if limited else 3000 if full else 1000
    batch: dict[str, Any] = {"batch_size": 0} if limited else {}
    return train_kept(
        task,
        "nanda-skip-trigram",
        steps=steps,
        eval_every=20 if limited else 10,
        checkpoint_every=steps,
        **batch,
    )


TRIGRAMS = 40
"""Number of train sequences. On 60 our network generalises as soon as it learns; on 25 it has not after 3000 steps."""


def skip_trigram(full: bool) -> Iterator[Row | Curve]:
    """The loss stays at guessing, then falls abruptly; with limited data the test loss follows much later."""
    run = trigrams_run(full)
    published = {HALF: 233, 0.1: 320}
    for bound, step in published.items():
        measured = first_step(run.history, "loss_test", below=bound)
        yield Row(f"step of loss < {bound} nats", step, measured, step / 2, step * 2)
    steps, values = _columns(run)
    yield Row("steps from a loss of 2 to one of 0.5 nats", 50, _width(steps, values, 2.0, 0.5), None, 120)
    yield Row("loss at step 1000 (nats)", 7.4e-5, _at(run, 1000), None, 1e-3)
    yield history_curve(UNLIMITED, "test", run.history, "loss_test")
    yield _published("trigrams")
    limited = trigrams_run(full, limited=True)
    yield from limited_rows(limited, (240, 1.09, 2.53, 1205, 5.0))
    yield from loss_panels(f"{LIMITED}: {TRIGRAMS} sequences", limited)


def induction_run(full: bool, *, limited: bool = False) -> Any:
    """Repeated subsequences, in fresh sequences or in 512."""
    task = repeated_sequence_task(finite=512 if limited else 0)
    steps = 220_000 if limited else 6000 if full else 1500
    every = 500 if limited else 20
    return train_kept(
        task, "nanda-induction", weight_decay=DECAY, steps=steps, eval_every=every, checkpoint_every=steps
    )


DECAY = 0.3
"""Weight decay of the induction network. The authors use 1, and blocks that double the residual stream: the scores of
the second layer are then twice as large, and its output counts four times, for weights of the same size."""


def induction(full: bool) -> Iterator[Row | Curve]:
    """The loss of repeated tokens falls slowly, and then abruptly, when the induction heads form."""
    run = induction_run(full)
    published = {3.0: 858, 1.0: 1138}
    for bound, step in published.items():
        measured = first_step(run.history, "loss_test", below=bound)
        yield Row(f"step of loss < {bound:g} nats", step, measured, step / 2, step * 2)
    places, values = _columns(run)
    yield Row("steps from a loss of 4 to one of 2 nats", 93, _width(places, values, 4.0, 2.0), None, 200)
    yield Row("loss at step 0 (nats); guessing gives ln 127", log(127), values[0], 4.7, 5.3)
    yield Row("loss at step 1500 (nats)", 0.58, _at(run, 1500), None, 1.0)
    yield history_curve(UNLIMITED, "test", run.history, "loss_test")
    yield _published("induction")
    if full:
        limited = induction_run(full, limited=True)
        yield from limited_rows(limited, (None, None, 16.0, 195_000, None))
        yield from loss_panels(f"{LIMITED}: 512 sequences", limited)


def limited_rows(run: Any, published: Sequence[int | float | None] = (None,) * 5) -> Iterator[Row]:
    """The effects of limited data: the network memorises them, is wrong elsewhere, and generalises late.

    Args:
        published: first step of a train loss below KNOWN, the test loss there, the highest test loss, the step at which
            it is half its value at the time the train inputs were memorised, and the ratio of these two steps.
    """
    known, there, highest, grokked, times = published
    history = run.history
    by_heart = first_step(history, "loss_train", below=KNOWN)
    then = _at(run, by_heart)
    later = [] if by_heart is None else [row for row in history if (row["step"] or 0) >= by_heart]
    late = None if then is None else first_step(later, "loss_test", below=then / 2)
    yield Row(f"limited data: step of train loss < {KNOWN} nats", known, by_heart, 1)
    # A network that had found the general rule would have a test loss no higher than the train loss.
    yield Row("limited data: test loss at that step (nats)", there, then, 0.5)
    yield Row("limited data: step at which it is half of that", grokked, late, 1)
    ours = None if late is None or not by_heart else late / by_heart
    yield Row("limited data: how many times later than the train loss", times, ours, 2)
    yield Row(
        "limited data: highest test loss (nats)", highest, max(row["loss_test"] or 0 for row in history)
    )


def loss_panels(panel: str, run: Any) -> Iterator[Curve]:
    """Train and test loss of a run."""
    yield history_curve(panel, "train", run.history, "loss_train", logarithmic=True)
    yield history_curve(panel, "test", run.history, "loss_test", logarithmic=True)


def _published(name: str) -> Curve:
    curve = PUBLISHED_CURVES[name]
    return Curve(UNLIMITED, "published", tuple(curve), tuple(curve.values()), dots=True)


def _columns(run: Any) -> tuple[list[int], list[int | float]]:
    rows: Sequence[Mapping[str, int | float | None]] = run.history
    return [int(row["step"] or 0) for row in rows], [row["loss_test"] or 0.0 for row in rows]


def _first_below(
    steps: Sequence[int], values: Sequence[int | float | None], bound: int | float
) -> int | None:
    return next(
        (s for s, value in zip(steps, values, strict=True) if value is not None and value < bound), None
    )


def _width(
    steps: Sequence[int], values: Sequence[int | float | None], high: int | float, low: int | float
) -> int | None:
    """Steps from the first value below `high` to the first below `low`; None if either never occurs."""
    start, end = (_first_below(steps, values, bound) for bound in (high, low))
    return None if start is None or end is None else end - start


def _late(step: int | None) -> int | float:
    """Never is later than any step."""
    return float("inf") if step is None else step


def _at(run: Any, step: int | None) -> int | float | None:
    return next((row["loss_test"] for row in run.history if row["step"] == step), None)
