"""Groups of trainings: which ones are stacked and trained as one network, and which are trained alone."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from mechgrok.fast.stacks import stack_weights
from mechgrok.memory import memory_free
from mechgrok.runs import written_for
from mechgrok.storage import json_digest
from mechgrok.tasks import StreamTask
from mechgrok.tasks.operation_task import Operation
from mechgrok.training.batched import stack_key, why_not_batched
from mechgrok.training.networks import fresh_network
from mechgrok.training.objectives import make_objective
from mechgrok.training.processes import Job, one_thread
from mechgrok.training.stacked import make_stacked_step, stacked_step_for
from mechgrok.training.stacked_updates import StackedUpdater, update_settings
from mechgrok.training.step import make_step, step_written_for
from mechgrok.training.updates import Updater

FEWEST, MOST = 4, 64
"""Fewest and most networks in a stack: smaller stacks gain little, larger ones nothing more."""
TRIED, TIMES = 8, 3
"""Size of the stack used for measuring times, and number of repetitions."""
PER_OUTPUT, PER_NEURON = 40, 24
"""Bytes per member of a stack for each output and each neuron of an input, in its step and in its evaluations."""
SHARE_OF_MEMORY = 0.5
"""Share of the free memory that all stacks together may use."""


@dataclass(frozen=True)
class Groups:
    """Groups of trainings; each group has its own process and is stacked if it has several members.

    Attributes:
        words: what was chosen for each kind of training.
    """

    groups: tuple[tuple[Job, ...], ...]
    words: tuple[str, ...]


def in_groups(jobs: Sequence[Job], workers: int, stacked: bool | None = None) -> Groups:
    """Divide trainings into groups.

    Trainings of one architecture whose tasks have the same inputs are stacked where that takes less time than one after
    the other, which is measured. Each process gets some groups, so that all end at about the same time.

    Args:
        stacked: whether to stack what can be; None measures.
    """
    groups: list[tuple[Job, ...]] = []
    words = []
    for kind in _kinds(jobs):
        most = _that_fit(kind[0], workers) if stacked is not False and _may_stack(kind) else 0
        alone, together = _milliseconds(kind) if most >= FEWEST else (0.0, 0.0)
        if together < alone or (stacked and most >= FEWEST):
            size = min(most, max(FEWEST, ceil(len(kind) / workers)))
            groups += [tuple(kind[begin : begin + size]) for begin in range(0, len(kind), size)]
            words.append(
                f"{len(kind)} in stacks of up to {size}: {together:z.2g} ms an update each, alone {alone:z.2g} ms"
            )
        else:
            groups += [(job,) for job in kind]
            words.append(f"{len(kind)} one by one")
    return Groups(tuple(groups), tuple(words))


def _kinds(jobs: Sequence[Job]) -> list[list[Job]]:
    """Sort trainings by what members of a stack must share: their inputs and the `stack_key`."""
    of_one_task: dict[str, list[Job]] = {}
    for job in jobs:
        key = json_digest([job.task.spec, stack_key(job.config), str(job.network)])
        of_one_task.setdefault(key, []).append(job)
    kinds: dict[str, list[Job]] = {}
    for some in of_one_task.values():
        key = json_digest([_inputs_of(some[0]), stack_key(some[0].config), str(some[0].network)])
        kinds.setdefault(key, []).extend(some)
    # Neighbours share a stack: those with as many steps leave it together, and with as much data fill none up.
    return [sorted(kind, key=lambda job: (job.config.steps, job.config.fraction)) for kind in kinds.values()]


def _inputs_of(job: Job) -> Any:
    """A key for the inputs of a task and its number of classes; each member has its own labels."""
    task = written_for(job.task, job.config)
    if not isinstance(task, Operation):
        return task.spec
    return [repr(task.signature), hashlib.sha256(task.inputs.numpy().tobytes()).hexdigest()]


def _may_stack(jobs: Sequence[Job]) -> bool:
    """Whether there are several trainings and a hand-written step for all of them at once.

    On a processor, a stack that goes through autograd is slower than its members.
    """
    if len(jobs) < FEWEST or any(why_not_batched(job.config) for job in jobs):
        return False
    task, network = written_for(jobs[0].task, jobs[0].config), _network(jobs[0], 0)
    by_hand = not isinstance(task, StreamTask) and step_written_for(network, task.signature) is not None
    return by_hand and stacked_step_for(network) is not None


def _that_fit(job: Job, workers: int) -> int:
    """How many members of a stack fit into memory if every worker trains a stack."""
    task, cfg = written_for(job.task, job.config), _network(job, 0).cfg
    of_input = PER_OUTPUT * cfg.d_vocab_out + PER_NEURON * cfg.d_mlp * cfg.n_layers
    free = memory_free()
    return (
        MOST
        if free is None
        else min(MOST, int(SHARE_OF_MEMORY * free / workers / (of_input * task.n_inputs)))
    )


def _milliseconds(jobs: Sequence[Job]) -> tuple[float, float]:
    """Time of an update for one network alone, and per member of a stack."""
    tried = sorted(jobs[:TRIED], key=lambda job: update_settings(job.config))
    tasks = [written_for(job.task, job.config) for job in tried]
    models = [_network(job, seed) for seed, job in enumerate(tried)]
    splits = [
        task.split(job.config.fraction, seed, job.config.split_rule)
        for seed, (task, job) in enumerate(zip(tasks, tried, strict=True))
    ]
    configs, objective = [job.config for job in tried], make_objective(tried[0].config)
    with one_thread():
        alone = make_step(models[0], tasks[0], tasks[0].data(splits[0]), objective)
        updater = Updater(models[0], configs[0])
        time_alone = _shortest(lambda: (alone(0), updater(0)))
        stack = stack_weights(models)
        together = make_stacked_step(models, stack, tasks, [split.train for split in splits], objective)
        updates = StackedUpdater(stack, configs, [{}] * len(tried))
        return time_alone, _shortest(lambda: (together(), updates(0))) / len(tried)


def _network(job: Job, seed: int) -> Any:
    return fresh_network(written_for(job.task, job.config), job.config, seed, job.network)


def _shortest(call: Callable[[], object]) -> float:
    """Milliseconds of the fastest of several calls, after one warm-up call."""
    call()
    durations = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        call()
        durations.append(time.perf_counter() - begin)
    return 1e3 * min(durations)
