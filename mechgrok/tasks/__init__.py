"""Learning tasks: inputs, answers, splits, and the group behind each task."""

import copyreg
from collections.abc import Callable
from typing import Any

import torch

from mechgrok.algebra.specs import basis_from_spec
from mechgrok.door import door
from mechgrok.errors import TaskError, shown
from mechgrok.spelling import unknown
from mechgrok.tasks.arrays import array_task
from mechgrok.tasks.batch import Batch
from mechgrok.tasks.configured import ConfiguredTask, FiniteTask, StreamTask
from mechgrok.tasks.controls import random_labels
from mechgrok.tasks.data import Data, Finite, Stream
from mechgrok.tasks.digit_addition import digit_addition_task
from mechgrok.tasks.frames import Frame, build_frame, function_frame
from mechgrok.tasks.groups import group_task, sn_task
from mechgrok.tasks.limited import LimitedTask
from mechgrok.tasks.mixtures import MixedTask, mixed_task
from mechgrok.tasks.modular import modular_task
from mechgrok.tasks.operation_task import Operation, as_operation
from mechgrok.tasks.parity import parity_task
from mechgrok.tasks.prompt import Prompt
from mechgrok.tasks.repeated_sequences import repeated_sequence_task
from mechgrok.tasks.sequences import running_sum_task
from mechgrok.tasks.skip_trigrams import skip_trigram_task
from mechgrok.tasks.splits import Split, SplitRule, make_split
from mechgrok.tasks.tables import task_from_function, task_from_table
from mechgrok.tasks.task import TASKS, Task

__all__ = [
    "TASKS",
    "Batch",
    "ConfiguredTask",
    "Data",
    "Finite",
    "FiniteTask",
    "Frame",
    "LimitedTask",
    "MixedTask",
    "Operation",
    "Prompt",
    "Split",
    "SplitRule",
    "Stream",
    "StreamTask",
    "Task",
    "array_task",
    "as_operation",
    "build_frame",
    "digit_addition_task",
    "function_frame",
    "group_task",
    "make_split",
    "mixed_task",
    "modular_task",
    "parity_task",
    "random_labels",
    "repeated_sequence_task",
    "running_sum_task",
    "skip_trigram_task",
    "sn_task",
    "task_from_function",
    "task_from_spec",
    "task_from_table",
]


TASKS.register("modular", modular_task)
TASKS.register("group", group_task)
TASKS.register("table", task_from_table)


@TASKS.add("random_labels")
def _random_labels(task: dict[str, Any], seed: int) -> Task:
    return random_labels(_operation(task), seed)


@TASKS.add("mixed")
def _mixed(parts: list[dict[str, Any]]) -> Task:
    return mixed_task([_operation(part) for part in parts])


@TASKS.add("in_basis")
def _in_basis(task: dict[str, Any], basis: dict[str, Any], elements: list[int]) -> Task:
    return _operation(task).in_basis(basis_from_spec(basis), torch.tensor(elements))


@door
def task_from_spec(spec: dict[str, Any]) -> Task:
    """Rebuild a task from its `spec`, as stored with a run.

    Raises:
        TaskError: the kind is unknown, or its arguments are invalid.

    >>> task_from_spec(modular_task("sub", 7).spec)
    Task(sub7: a b = -> 7 classes, 49 inputs)
    """
    if not isinstance(spec, dict):
        raise TaskError(f"a stored task is a mapping, as task.spec is; got {shown(spec)}")
    arguments = dict(spec)
    kind = arguments.pop("kind", None)
    if kind not in TASKS:
        raise TaskError(
            f"{unknown('kind of task', kind, TASKS)}. A task of your own is known once the script that defines it has "
            "been imported; on the command line by --import my_task.py"
        )
    build: Callable[..., Any] = TASKS[kind]
    try:
        if isinstance(build, type):
            return build(**arguments)
        sequence, specials = arguments.pop("sequence", None), arguments.pop("specials", ())
        task = build(**arguments)
        task = task.with_specials(*specials) if specials else task
        return task.with_sequence(*sequence) if sequence else task
    except TypeError as error:
        raise TaskError(f"the stored task {shown(spec)} does not fit: {error}") from None


def _operation(spec: dict[str, Any]) -> Operation:
    task = task_from_spec(spec)
    if not isinstance(task, Operation):
        raise TaskError(f"the stored task {shown(spec)} is not an operation on a few operands")
    return task


def _rebuilt(task: Task) -> tuple[Callable[..., Task], tuple[Any, ...]]:
    return task_from_spec, (task.spec,)


# An operation travels between processes as its spec; its frame is a function, which cannot.
for _kind in (Operation, MixedTask):
    copyreg.pickle(_kind, _rebuilt)
