"""What runs in processes that tests kill; in a module of its own, so that such a process can import it."""

import os
import signal
from collections.abc import Callable
from typing import Any

import torch

from mechgrok.tasks import Task
from mechgrok.training.processes import Ending, Job, _train_one


def in_threads(threads: int, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Call a function in a process that computes in so many threads."""
    torch.set_num_threads(threads)
    call(*arguments, **options)


VICTIM = 1
"""The seed whose training is killed."""


def killed_always(job: Job, task: Task, device: str, caller: int) -> Ending:
    """A training that runs out of memory whenever it runs."""
    if job.seed == VICTIM:
        os.kill(os.getpid(), signal.SIGKILL)
    return _train_one(job, task, device, caller)


def killed_once(job: Job, task: Task, device: str, caller: int) -> Ending:
    """A training that is killed the first time."""
    killed = job.path.parent / "killed"
    if job.seed == VICTIM and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return _train_one(job, task, device, caller)
