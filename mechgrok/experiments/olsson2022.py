"""Olsson et al. 2022, In-context Learning and Induction Heads (arXiv 2209.11895)."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean

from mechgrok.analysis.heads import head_scores
from mechgrok.analysis.in_context import in_context_score
from mechgrok.analysis.phase_changes import PhaseChanges, find_phase_changes
from mechgrok.config import ModelConfig
from mechgrok.errors import UndefinedMetricError
from mechgrok.experiments.pictures import recorded_curve
from mechgrok.experiments.reproduction import Curve, Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.tasks import repeated_sequence_task

TASK = repeated_sequence_task(64, 49, subsequence=16, repeats=2, every_token=True)
"""Random tokens, 16 of which are repeated somewhere in the second half; every next token is predicted."""
HALF = (TASK.length - 1) // 2
EARLY, LATE = range(HALF), range(HALF, TASK.length - 1)
"""The positions that are compared: all before the second half, and all in it."""
STEPS, EVERY, N_INPUTS = 1000, 25, 500
LAYERS = (2, 1)
FALL = 1.0
"""Nats: more than the gain from raising all previously seen tokens, which one layer can do."""
INDUCTION = "induction"


@dataclass(frozen=True)
class Followed:
    """The measurements over the steps of one run."""

    steps: tuple[int, ...]
    in_context: tuple[float, ...]
    induction: tuple[float, ...]

    @property
    def changes(self) -> PhaseChanges:
        """Phase changes of the in-context score."""
        rows = [{"step": s, "score": x} for s, x in zip(self.steps, self.in_context, strict=True)]
        return find_phase_changes(rows, "score")

    @property
    def falls_abruptly(self) -> bool:
        """Whether a phase change lowers the score by FALL or more."""
        return any(change.before - change.after >= FALL for change in self.changes)

    @property
    def gained_meanwhile(self) -> int | float:
        """The growth of the strongest induction head's score in the window of the largest phase change.

        Raises:
            UndefinedMetricError: there is no phase change.
        """
        window = self.changes.largest
        first, last = window.start - EVERY, window.end + EVERY
        inside = [x for s, x in zip(self.steps, self.induction, strict=True) if first <= s <= last]
        return inside[-1] - inside[0]


def phase_change(full: bool) -> Iterator[Row | Curve]:
    """One- and two-layer attention-only networks over seeds (3, or 10 at full size), measured as they learn."""
    seeds = range(10 if full else 3)
    runs = {layers: [_follow(layers, seed) for seed in seeds] for layers in LAYERS}
    yield from _rows(runs[2], runs[1])
    for layers, followed in runs.items():
        for seed, one in enumerate(followed):
            name = f"{layers} layer{'s' if layers > 1 else ''}, seed {seed}"
            yield recorded_curve("In-context score", name, one.steps, one.in_context, y_title="nats")
            yield recorded_curve(
                "Strongest induction head", name, one.steps, one.induction, y_title="attention"
            )


def _follow(layers: int, seed: int) -> Followed:
    run = train_kept(
        TASK, "nanda-induction", seed=seed, progress=False, steps=STEPS, checkpoint_every=EVERY, eval_every=EVERY,
        model=ModelConfig(attn_only=True, n_layers=layers, d_model=32, n_heads=4), lr=1e-2, weight_decay=0.1,
        batch_size=64,
    )  # fmt: skip
    networks = [run.model(step) for step in run.steps]
    scores = tuple(in_context_score(network, TASK, EARLY, LATE, n=N_INPUTS).score for network in networks)
    heads = tuple(head_scores(network, TASK)[INDUCTION].max().item() for network in networks)
    return Followed(tuple(run.steps), scores, heads)


def _rows(two: list[Followed], one: list[Followed]) -> Iterator[Row]:
    n = len(two)
    abrupt = f"seeds whose in-context score falls by {FALL:g} nat or more in a phase change"
    yield Row(f"two layers: {abrupt}", None, sum(run.falls_abruptly for run in two), n)
    yield Row(f"one layer: {abrupt}", None, sum(run.falls_abruptly for run in one), None, 0)
    score = "in-context score at the end (nats)"
    yield Row(
        f"two layers: {score}, highest of the seeds", None, max(run.in_context[-1] for run in two), None, -1.5
    )
    yield Row(f"one layer: {score}, lowest of the seeds", None, min(run.in_context[-1] for run in one), -0.8)
    head = "induction score of the strongest head"
    yield Row(f"two layers: {head}, lowest of the seeds", None, min(run.induction[-1] for run in two), 0.4)
    yield Row(
        f"one layer: {head}, highest of the seeds", None, max(run.induction[-1] for run in one), None, 0.15
    )
    yield Row(
        "two layers: share of that score that comes in the window, lowest of the seeds",
        None, min(map(_share_meanwhile, two)), 0.5,
    )  # fmt: skip
    windows = [run.changes.largest for run in two if run.changes.changes]
    for name, of in (("begin", "start"), ("end", "end")):
        steps = [getattr(window, of) for window in windows]
        yield Row(
            f"two layers: {name} of the window (step), mean of the seeds",
            None,
            mean(steps) if steps else None,
        )


def _share_meanwhile(run: Followed) -> int | float:
    try:
        return run.gained_meanwhile / (run.induction[-1] - run.induction[0])
    except UndefinedMetricError:
        return 0.0
