"""What is learned: input grids, labels, splits, and the group that each task lives in."""

from typing import Any

from mechgrok.errors import TaskError
from mechgrok.tasks.frames import Frame
from mechgrok.tasks.modular import modular_task
from mechgrok.tasks.splits import Split, SplitRule, make_split
from mechgrok.tasks.task import Task

__all__ = ["Frame", "Split", "SplitRule", "Task", "make_split", "modular_task", "task_from_spec"]

_KINDS = {"modular": modular_task}


def task_from_spec(spec: dict[str, Any]) -> Task:
    """Rebuild a task from its `spec`, as stored with a run.

    Raises:
        TaskError: the kind is unknown or its arguments do not fit.

    >>> task_from_spec(modular_task("sub", 7).spec)
    Task(sub7: a b = -> 7 classes, 49 inputs)
    """
    arguments = dict(spec)
    kind = arguments.pop("kind", None)
    if kind not in _KINDS:
        raise TaskError(f"unknown kind of task {kind!r}; allowed: {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](**arguments)
    except TypeError as error:
        raise TaskError(f"the stored task {spec} does not fit: {error}") from None
