"""Trainings whose process is killed; in a module of their own, so that a worker can import them."""

import os
import signal
from typing import Any

from mechgrok.training.processes import Job, Outcome, _train_one

VICTIM = 1
"""The seed whose training is killed."""


def killed_always(job: Job, spec: dict[str, Any], device: str, caller: int) -> Outcome:
    """A training that runs out of memory whenever it runs."""
    if job.seed == VICTIM:
        os.kill(os.getpid(), signal.SIGKILL)
    return _train_one(job, spec, device, caller)


def killed_once(job: Job, spec: dict[str, Any], device: str, caller: int) -> Outcome:
    """A training that is killed the first time."""
    killed = job.path.parent / "killed"
    if job.seed == VICTIM and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return _train_one(job, spec, device, caller)
