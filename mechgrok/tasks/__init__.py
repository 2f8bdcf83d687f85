"""What is learned: input grids, labels, splits, and the group that each task lives in."""

import copyreg
from collections.abc import Callable
from typing import Any

import torch

from mechgrok.algebra.specs import basis_from_spec
from mechgrok.errors import TaskError, shown
from mechgrok.tasks.controls import random_labels
from mechgrok.tasks.frames import Frame, build_frame
from mechgrok.tasks.groups import group_task, sn_task
from mechgrok.tasks.mixtures import MixedTask, mixed_task
from mechgrok.tasks.modular import modular_task
from mechgrok.tasks.splits import Split, SplitRule, make_split
from mechgrok.tasks.tables import task_from_function, task_from_table
from mechgrok.tasks.task import Task

__all__ = [
    "Frame",
    "MixedTask",
    "Split",
    "SplitRule",
    "Task",
    "build_frame",
    "group_task",
    "make_split",
    "mixed_task",
    "modular_task",
    "random_labels",
    "sn_task",
    "task_from_function",
    "task_from_spec",
    "task_from_table",
]


_KINDS: dict[str, Callable[..., Task]] = {
    "modular": modular_task,
    "table": task_from_table,
    "group": group_task,
    "random_labels": lambda task, seed: random_labels(task_from_spec(task), seed),
    "mixed": lambda parts: mixed_task([task_from_spec(part) for part in parts]),
    "in_basis": lambda task, basis, elements: task_from_spec(task).in_basis(
        basis_from_spec(basis), torch.tensor(elements)
    ),
}


def task_from_spec(spec: dict[str, Any]) -> Task:
    """Rebuild a task from its `spec`, as stored with a run.

    Raises:
        TaskError: the kind is unknown or its arguments do not fit.

    >>> task_from_spec(modular_task("sub", 7).spec)
    Task(sub7: a b = -> 7 classes, 49 inputs)
    """
    if not isinstance(spec, dict):
        raise TaskError(f"a stored task is a mapping, as task.spec is; got {shown(spec)}")
    arguments = dict(spec)
    kind = arguments.pop("kind", None)
    sequence, specials = arguments.pop("sequence", None), arguments.pop("specials", ())
    if not isinstance(kind, str) or kind not in _KINDS:
        raise TaskError(f"unknown kind of task {shown(kind)}; allowed: {', '.join(_KINDS)}")
    try:
        task = _KINDS[kind](**arguments)
        task = task.with_specials(*specials) if specials else task
        return task.with_sequence(*sequence) if sequence else task
    except TypeError as error:
        raise TaskError(f"the stored task {shown(spec)} does not fit: {error}") from None


def _rebuilt(task: Task) -> tuple[Callable[..., Task], tuple[Any, ...]]:
    return task_from_spec, (task.spec,)


# A task travels between processes as its spec; its frame is a function, which cannot.
for _kind in (Task, MixedTask):
    copyreg.pickle(_kind, _rebuilt)
