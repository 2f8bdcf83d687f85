"""Criteria for ending a run early: the network has grokked and no longer changes."""

from collections.abc import Sequence

from mechgrok.config import TrainConfig
from mechgrok.runs import HistoryRow, Run
from mechgrok.tasks import Task
from mechgrok.tasks.task import LEARNED

SCORES = ("accuracy_test", "r2_test")
"""Keys of the score on the test inputs in a row of the history."""
NORM_CHANGE = 0.03
"""Relative change of the sum of squared weights over the window below which it counts as constant."""
SHORTEST, LONGEST = 50, 2000


def window(config: TrainConfig) -> int:
    """Number of steps over which nothing may change: the time constant of weight decay, 1 / (lr * decay).

    This is the time in which the decay would remove whatever the gradient no longer maintains, bounded to
    50..2000 steps.
    """
    decay = config.lr * config.weight_decay
    return LONGEST if decay == 0 else round(min(max(1 / decay, SHORTEST), LONGEST))


def settled(history: Sequence[HistoryRow], config: TrainConfig, learned_from: float = LEARNED) -> bool:
    """Whether the network has grokked and settled.

    True if, over the last window, the score on the test inputs (accuracy or r2) reached the threshold from which the
    task counts as learned at every evaluation, and the sum of squared weights changed by less than 3%. Never true for
    a run without test inputs.

    >>> rows = [dict(step=s, accuracy_test=1.0, sum_squared_weights=5.0) for s in range(0, 400, 100)]
    >>> settled(rows, TrainConfig(lr=1e-2)), settled(rows[:1], TrainConfig(lr=1e-2))
    (True, False)
    """
    if not history:
        return False
    start = _number(history[-1]["step"]) - window(config)
    before = [i for i, row in enumerate(history) if _number(row["step"]) <= start]
    if not before:
        return False
    recent = history[before[-1] :]
    if any(_number(test_score(row)) < learned_from for row in recent):
        return False
    first, last = (_number(row["sum_squared_weights"]) for row in (recent[0], recent[-1]))
    return abs(last - first) <= NORM_CHANGE * first


def test_score(row: HistoryRow) -> int | float | None:
    """The score on the test inputs in a row of a history, accuracy or r2."""
    return next((row[name] for name in SCORES if name in row), None)


def over(step: int, history: Sequence[HistoryRow], config: TrainConfig, task: Task) -> bool:
    """Whether a run that has reached this step, and was evaluated there, is at its end."""
    if step >= config.steps:
        return True
    if not history or history[-1]["step"] != step:
        return False
    test_loss = history[-1]["loss_test"]
    if test_loss is not None and test_loss < config.stop_test_loss:
        return True
    return config.stop_when_settled and settled(history, config, task.learned_from)


def finished(run: Run, history: Sequence[HistoryRow] | None = None) -> bool:
    """Whether the newest checkpoint is the end of the run.

    Args:
        history: the run's history, if it has already been read.
    """
    history, steps = run.history if history is None else history, run.steps
    return (
        bool(steps and history)
        and history[-1]["step"] == steps[-1]
        and over(steps[-1], history, run.config.train, run.task)
    )


def _number(value: int | float | None) -> int | float:
    """Undefined counts as below every threshold."""
    return float("-inf") if value is None else value
