"""The steps at which a run saves its weights."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from mechgrok.config import TrainConfig
from mechgrok.runs import HistoryRow

FACTOR = 1.5
"""Change of the test loss since the last checkpoint at which an adaptive schedule saves another one."""
CHANGES = 120
"""Number of such changes that take a loss down by ten orders of magnitude, and up again."""

SELDOM = 30.0
"""Seconds of training that a kill may cost where checkpoints are not asked for."""
_APART: ContextVar[float] = ContextVar("apart", default=0.0)


@contextmanager
def kept_to_go_on(seconds: int | float = SELDOM) -> Iterator[None]:
    """Within the context trainings keep checkpoints only to go on from: the last, and some of those that are due.

    Writing a checkpoint of a small network takes as long as tens of its updates.

    Args:
        seconds: the least that lie between two of them.
    """
    token = _APART.set(seconds)
    try:
        yield
    finally:
        _APART.reset(token)


class Spacing:
    """The time since a checkpoint was last kept, or the training begun."""

    def __init__(self) -> None:
        self.apart, self.since = _APART.get(), time.monotonic()

    def is_over(self) -> bool:
        """Whether another one may be kept, which is then the last."""
        now = time.monotonic()
        over = now - self.since >= self.apart
        self.since = now if over else self.since
        return over


def checkpoint_due(
    step: int, kept: Sequence[int], history: Sequence[HistoryRow], config: TrainConfig
) -> bool:
    """Whether the weights at this step are to be saved.

    Depends only on what is on disk (the checkpoints so far and the history), so that an interrupted run saves the same
    ones once it is resumed. A run that had ended and is lengthened has also saved its old end, and an adaptive
    schedule measures on from there.

    >>> [s for s in range(60) if checkpoint_due(s, [], [], TrainConfig(checkpoints="logarithmic"))]
    [0, 1, 2, 5, 10, 20, 50]
    """
    if config.checkpoints == "logarithmic":
        return step == 0 or step == _leading_digit(step) * 10 ** int(math.log10(step))
    if step % config.checkpoint_every == 0:
        return True
    return config.checkpoints == "adaptive" and _changed(step, kept, history)


def most_checkpoints(config: TrainConfig, done: int = 0) -> int:
    """Maximum number of checkpoints that a run may still save after a step; approximate for an adaptive schedule.

    >>> most_checkpoints(TrainConfig(steps=1000, checkpoint_every=100))
    12
    """
    left = max(config.steps - done, 0)
    if config.checkpoints == "logarithmic":
        return 3 * len(str(config.steps)) + 2
    regular = left // config.checkpoint_every + 2
    return regular + (min(left // config.eval_every, CHANGES) if config.checkpoints == "adaptive" else 0)


def _leading_digit(step: int) -> int:
    first = int(str(step)[0])
    return first if first in (1, 2, 5) else 0


def _changed(step: int, kept: Sequence[int], history: Sequence[HistoryRow]) -> bool:
    losses = {row["step"]: row["loss_test"] for row in history}
    now = losses.get(step)
    before = next((losses[s] for s in reversed(kept) if s < step and s in losses), None)
    if not now or not before:
        return False
    return abs(math.log(now / before)) > math.log(FACTOR)
