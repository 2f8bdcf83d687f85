"""Functions that run in processes killed by tests; in a separate module, so that such a process can import it."""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import torch

from mechgrok.training.processes import Ending, Job, _train_group


def in_threads(threads: int, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Call a function in a process that computes in so many threads."""
    torch.set_num_threads(threads)
    call(*arguments, **options)


VICTIM = 1
"""The seed whose training is killed."""


def killed_always(group: Sequence[Job], device: str, caller: int) -> list[Ending]:
    """A training that runs out of memory whenever it runs."""
    if group[0].seed == VICTIM:
        os.kill(os.getpid(), signal.SIGKILL)
    return _train_group(group, device, caller)


def killed_once(group: Sequence[Job], device: str, caller: int) -> list[Ending]:
    """A training that is killed the first time."""
    killed = group[0].path.parent / "killed"
    if group[0].seed == VICTIM and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return _train_group(group, device, caller)
