"""Runs in processes of one thread each, and their handling when one is killed or Ctrl-C is pressed.

A process receives a group of runs: one, or several that are trained as one stacked network.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.backend.reduction import dumps

from mechgrok.config import TrainConfig, registered_names
from mechgrok.errors import ConfigError, shown
from mechgrok.models.own import Factory
from mechgrok.runs import Run
from mechgrok.tasks import Task
from mechgrok.training.batched import train_batched
from mechgrok.training.checkpoint_times import SELDOM, kept_to_go_on
from mechgrok.training.engines import Engine
from mechgrok.training.interrupts import deferred_interrupt
from mechgrok.training.locks import waiting_for_others
from mechgrok.training.standing import standing
from mechgrok.training.starting import begin
from mechgrok.training.trainer import train

KILLED = (
    "its process was killed every time, as a system that runs out of memory does it; take fewer workers, and the same "
    "call goes on from what is there"
)


@dataclass(frozen=True)
class Job:
    """The specification of one run.

    Attributes:
        network: makes its network if it is user-defined.
        then: called with the run once it is trained, in the process that trained it.
        tracker: name of what is told its evaluations.
        checkpoints: whether those before the last are of use but for going on from them.
        registered: what the configuration names that the user has registered, which a new process does not know.
    """

    task: Task
    config: TrainConfig
    seed: int
    path: Path
    network: Factory | None = None
    then: Callable[[Run], object] | None = None
    tracker: str | None = None
    checkpoints: bool = True
    registered: tuple[Any, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        entries = [
            None if registry.is_ours(name) else registry[name]
            for registry, name in registered_names(self.config)
        ]
        object.__setattr__(self, "registered", tuple(entries))

    def register(self) -> None:
        """Register these entries in this process."""
        for (registry, name), entry in zip(registered_names(self.config), self.registered, strict=True):
            if entry is not None:
                registry.register(name, entry)


@dataclass(frozen=True)
class Ending:
    """The ending of the run in a folder: normal, with an error, or interrupted, with its state saved."""

    path: Path
    error: str | None = None
    interrupted: bool = False


def train_in_processes(
    groups: Sequence[Sequence[Job]],
    *,
    device: torch.device,
    workers: int | None,
    progress: bool,
    engine: Engine | None = None,
) -> dict[Path, str]:
    """Train each group in a separate process.

    A process that is killed takes the others of its pool down with it. Unfinished runs then continue in a second pool,
    and if this one fails too, each run continues alone, so that only those fail whose own process is killed.

    Args:
        groups: trainings; those of a group of several are stacked.
        workers: processes at a time; None takes one for each processor.
        engine: a cluster whose workers take the place of processes on this machine.

    Returns:
        The errors of the runs that failed.

    Raises:
        KeyboardInterrupt: Ctrl-C; runs in progress are saved. A second Ctrl-C does not wait for them.
    """
    ended: dict[Path, str | None] = {}
    jobs = [job for group in groups for job in group]
    interrupted: list[Path] = []
    with (
        deferred_interrupt() as pressed,
        standing(groups, enabled=progress and bool(jobs)) as tell,
    ):

        def stopped() -> bool:
            return pressed() or bool(interrupted)

        # A pool of one would be this process, which must not be killed.
        for at_least, some in chain([(1, groups), (2, groups)], ((2, [[job]]) for job in jobs)):
            left = [kept for group in some if (kept := [job for job in group if job.path not in ended])]
            if not left:
                break
            found = (
                _through_a_pool(left, device, workers, stopped, at_least)
                if engine is None
                else engine.run(_train_group, [(group, str(device), None) for group in left], stopped)
            )
            with suppress(BrokenExecutor):
                for outcomes in found:
                    interrupted += [outcome.path for outcome in outcomes if outcome.interrupted]
                    ended |= {outcome.path: outcome.error for outcome in outcomes if not outcome.interrupted}
                    tell(ended)
            if stopped():
                raise KeyboardInterrupt(
                    f"stopped, with {len(ended)} of {len(jobs)} trainings at their end; the same call goes on from "
                    f"{jobs[0].path.parent}"
                )
    errors = {job.path: ended.get(job.path, KILLED) for job in jobs}
    return {path: error for path, error in errors.items() if error is not None}


def check_sent(network: Factory) -> None:
    """Check that the function that makes a network can be sent to another process, with everything it refers to.

    Raises:
        ConfigError: it cannot, with the reason.
    """
    try:
        dumps(network)
    except Exception as error:  # whatever the things that it refers to raise
        raise ConfigError(
            f"the function network={shown(network)} cannot be sent to the processes that train, since it speaks of "
            f"something that lives in this one alone: {str(error)[:300]}. Make that inside of the function, or train "
            "one after another with mg.train"
        ) from None


def error_in_words(error: Exception) -> str:
    """An error as text, the form in which it leaves the process."""
    return f"{type(error).__name__}: {error}"


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the context, torch computes in one thread, as each of several processes should."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _through_a_pool(
    groups: Sequence[Sequence[Job]],
    device: torch.device,
    workers: int | None,
    stopped: Callable[[], bool],
    at_least: int,
) -> Iterator[list[Ending]]:
    """The outcomes as they arrive; once stopped, only those of runs in progress.

    Raises:
        BrokenExecutor: a process was killed.
    """
    calls = (delayed(_train_group)(group, str(device), os.getpid()) for group in groups if not stopped())
    # No more groups are handed out than are trained, so that groups not yet started can be held back.
    options: Any = {"return_as": "generator_unordered", "pre_dispatch": "n_jobs", "batch_size": 1}
    outcomes: Any = Parallel(max(at_least, min(workers or cpu_count(), len(groups))), **options)(calls)
    yield from outcomes


def _train_group(group: Sequence[Job], device: str, caller: int | None) -> list[Ending]:
    """Train in a worker; neither an error nor Ctrl-C is raised, as either would end all others.

    Args:
        caller: the process that calls; None for an engine, where a worker may still train what is called for again.
    """
    if caller is None:
        with waiting_for_others():
            return _train_group(group, device, os.getpid())
    if os.getpid() != caller:
        _ignore_ctrl_c_between_trainings()
    runs: dict[Path, Run] = {}
    failures: dict[Path, str] = {}
    with one_thread(), kept_to_go_on(0.0 if group[0].checkpoints else SELDOM):
        try:
            for job in group:
                with _failing(job, failures):
                    job.register()
                    runs[job.path] = (
                        _trained(job, device)
                        if len(group) == 1
                        else begin(job.task, job.config, seed=job.seed, out=job.path)
                    )
            if len(group) > 1:
                stopped = train_batched(
                    list(runs.values()), device=device, tracker=group[0].tracker, progress=False
                )
                failures |= {path: error_in_words(error) for path, error in stopped.items()}
        except KeyboardInterrupt:
            return [Ending(job.path, interrupted=True) for job in group]
        for job in group:
            if job.then is not None and job.path not in failures:
                with _failing(job, failures):
                    job.then(runs[job.path])
    return [Ending(job.path, failures.get(job.path)) for job in group]


def _trained(job: Job, device: str) -> Run:
    return train(
        job.task, job.config, seed=job.seed, out=job.path, network=job.network, device=device,
        tracker=job.tracker, progress=False,
    )  # fmt: skip


@contextmanager
def _failing(job: Job, failures: dict[Path, str]) -> Iterator[None]:
    """Within the context, an error is recorded as the failure of a run."""
    try:
        yield
    except Exception as error:
        failures[job.path] = error_in_words(error)


def _ignore_ctrl_c_between_trainings() -> None:
    """An idle process would otherwise die of it, and take down those that are still saving."""
    with suppress(ValueError):  # not in the main thread, as on Dask
        signal.signal(signal.SIGINT, signal.SIG_IGN)
