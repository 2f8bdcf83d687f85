"""Trainings in groups: which of them are stacked and trained as one network, and which stay alone."""

import time
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from mechgrok.fast.stacks import stack_weights
from mechgrok.runs import written_for
from mechgrok.storage import json_digest
from mechgrok.training.batched import stack_key, why_not_batched
from mechgrok.training.networks import fresh_network
from mechgrok.training.objectives import make_objective
from mechgrok.training.processes import Job, one_thread
from mechgrok.training.stacked import make_stacked_step, stacked_step_for
from mechgrok.training.step import make_step

FEWEST, MOST = 4, 64
"""Networks in a stack: of fewer there is little to gain, and more gain nothing more."""
TRIED, TIMES = 8, 3
"""Networks that the time of a stack is measured with, and how often."""


def in_groups(jobs: Sequence[Job], workers: int) -> tuple[list[list[Job]], list[str]]:
    """Divide trainings into groups, of which each is trained in a process of its own, stacked if it has several.

    Trainings of one task and architecture are stacked where that takes less time than one after the other, which is
    measured. Each process gets some groups, so that all end at about the same time.

    Returns:
        The groups, and a few words on what was chosen for each kind of training.
    """
    kinds: dict[str, list[Job]] = {}
    for job in jobs:
        kinds.setdefault(_kind(job), []).append(job)
    groups, words = [], []
    for kind in kinds.values():
        alone, together = _milliseconds(kind[0]) if _may_stack(kind) else (0.0, 0.0)
        if together < alone:
            size = max(FEWEST, min(MOST, ceil(len(kind) / workers)))
            groups += [kind[begin : begin + size] for begin in range(0, len(kind), size)]
            words.append(
                f"{len(kind)} in stacks of up to {size}: {together:z.2g} ms a step each, alone {alone:z.2g} ms"
            )
        else:
            groups += [[job] for job in kind]
            words.append(f"{len(kind)} one by one")
    return groups, words


def _kind(job: Job) -> str:
    """What trainings that can be stacked have in common."""
    return json_digest([job.task.spec, stack_key(job.config), str(job.network)])


def _may_stack(jobs: Sequence[Job]) -> bool:
    """Whether there are several, and a step by hand for all of them at once.

    On a processor, a stack that goes through autograd is slower than its members.
    """
    if len(jobs) < FEWEST or any(why_not_batched(job.config) for job in jobs):
        return False
    return stacked_step_for(_network(jobs[0], 0)) is not None


def _milliseconds(job: Job) -> tuple[float, float]:
    """What a step takes of one network alone, and of each of several in a stack."""
    task, config = written_for(job.task, job.config), job.config
    models = [_network(job, seed) for seed in range(TRIED)]
    splits = [task.split(config.fraction, seed, config.split_rule) for seed in range(TRIED)]
    objective = make_objective(config)
    with one_thread():
        alone = make_step(models[0], task, task.data(splits[0]), objective)
        time_alone = _shortest(lambda: alone(0))
        stack = stack_weights(models)
        together = make_stacked_step(models, stack, task, [split.train for split in splits], objective)
        return time_alone, _shortest(together) / TRIED


def _network(job: Job, seed: int) -> Any:
    return fresh_network(written_for(job.task, job.config), job.config, seed, job.network)


def _shortest(call: Callable[[], object]) -> float:
    """Milliseconds of the shortest of some calls, after one that is not counted."""
    call()
    durations = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        call()
        durations.append(time.perf_counter() - begin)
    return 1e3 * min(durations)
