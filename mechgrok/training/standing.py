"""Where many trainings stand, in one line: how many are done, run and failed, how fast, and how long it takes."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Protocol, runtime_checkable

from mechgrok.config import TrainConfig
from mechgrok.runs.folder import HISTORY
from mechgrok.training.progress_bars import Tell, bar

EVERY = 2.0
"""Seconds between two looks at the trainings that run."""
TAIL = 4096
"""Bytes of a history in which its last row lies."""


@runtime_checkable
class Planned(Protocol):
    """A training that is to be watched."""

    @property
    def path(self) -> Path: ...

    @property
    def config(self) -> TrainConfig: ...


Ended = Mapping[Path, str | None]
"""The trainings that have come to their end, by folder, with their errors."""


@contextmanager
def standing(groups: Sequence[Sequence[Planned]], *, enabled: bool) -> Iterator[Callable[[Ended], None]]:
    """Show where the trainings stand; those that run are seen from their histories. The given function takes the ended.

    Args:
        groups: trainings that begin and go on together.
    """
    if not enabled:
        yield lambda ended: None
        return
    with bar("networks", sum(map(len, groups)), "network", timed=False) as tell:
        watched = _Watched(groups, tell)
        over = Event()
        watcher = Thread(target=watched.look_until, args=(over,), daemon=True)
        watcher.start()
        try:
            yield watched.take
        finally:
            over.set()
            watcher.join()


class _Watched:
    def __init__(self, groups: Sequence[Sequence[Planned]], tell: Tell) -> None:
        self.groups, self.tell = groups, tell
        self.began = time.monotonic()
        self.there = sum(_share(group[0]) * len(group) for group in groups)  # trained in a call before
        self.ended: Ended = {}
        self.lock = Lock()

    def take(self, ended: Ended) -> None:
        """Take note of the trainings that have ended, and show it."""
        self.ended = dict(ended)
        self._show()

    def look_until(self, over: Event) -> None:
        """Show where all stand now and then."""
        while not over.wait(EVERY):
            self._show()

    def _show(self) -> None:
        with self.lock:
            ended = self.ended
            shares = [
                (len(left), _share(left[0]))
                for group in self.groups
                if (left := [job for job in group if job.path not in ended])
            ]
            running = sum(count for count, share in shares if share > 0)
            done = len(ended) + sum(count * share for count, share in shares)
            failed = sum(error is not None for error in ended.values())
            state = standing_in_words(
                running, failed, done - self.there, sum(map(len, self.groups)) - done,
                time.monotonic() - self.began,
            )  # fmt: skip
            self.tell(int(done + 1e-9), state)


def standing_in_words(
    running: int, failed: int, done: int | float, left: int | float, seconds: int | float
) -> str:
    """Where many trainings stand.

    Args:
        done, left: numbers of trainings, of those that run the shares of their steps.
        seconds: in which so much was done.

    >>> standing_in_words(running=8, failed=1, done=20, left=40, seconds=60)
    '8 running, 1 failed, 20/min, 2 min left'
    >>> standing_in_words(running=2, failed=0, done=0, left=2, seconds=1)
    '2 running, 0 failed'
    """
    words = f"{running} running, {failed} failed"
    if not done > 0 or not seconds > 0:
        return words
    rate = 60 * done / seconds
    return f"{words}, {rate:z.2g}/min, {_duration(60 * left / rate)} left"


def _duration(seconds: int | float) -> str:
    if seconds < 100:
        return f"{seconds:z.0f} s"
    return f"{seconds / 60:z.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:z.1f} h"


def _share(job: Planned) -> float:
    """The share of its steps that a training has taken; 0 for one that has not begun."""
    try:
        with (job.path / HISTORY).open("rb") as file:
            file.seek(max(file.seek(0, 2) - TAIL, 0))
            step = json.loads(file.read().rstrip(b"\n").rpartition(b"\n")[2])["step"]
        return min((step + 1) / (job.config.steps + 1), 1.0)
    except (OSError, ValueError, KeyError, TypeError):  # not begun, or a row that is being written
        return 0.0
