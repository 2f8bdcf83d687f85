"""The task named on a command line."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechgrok.errors import ConfigError, TaskError, shown
from mechgrok.spelling import closest

if TYPE_CHECKING:
    import numpy as np

    from mechgrok.tasks import Task

TABLES = (".npy", ".npz")
"""Extensions of files with a table of answers."""


def named_task(operation: str, p: int | None, default: int | None = None) -> "Task":
    """A group by name, with a capital letter as in S5 or Z2xS3, an operation mod p, or any task by its kind.

    A task whose kind is a configuration class is named by that kind, such as parity, which uses the defaults of its
    fields, or written as JSON: {"kind": "parity", "n_bits": 8, "relevant": [0, 1]}.

    Args:
        default: the modulus of an operation given without one.

    Raises:
        ConfigError: a modulus for a group, none at all for an operation.
        TaskError: an unknown group, an operation that does not parse, an invalid modulus.

    >>> named_task("S3", None), named_task("mul", 7)
    (Task(S3: a b = -> 6 classes, 36 inputs), Task(mul7: a b = -> 7 classes, 49 inputs))
    """
    from mechgrok.tasks import TASKS, group_task, modular_task, task_from_spec
    from mechgrok.tasks.modular import NAMED

    if operation.startswith("{"):
        return task_from_spec(_json(operation))
    if operation in TASKS and isinstance(TASKS[operation], type):
        if p is not None:
            raise ConfigError(
                f"{operation} is a task with fields of its own, which are given as JSON: "
                f'\'{{"kind": "{operation}", ...}}\'; leave {p} out'
            )
        return task_from_spec({"kind": operation})
    if operation[:1].isupper():
        if p is not None:
            raise ConfigError(f"{operation} stands for a group, which has no modulus; leave {p} out")
        return group_task(operation)
    modulus = default if p is None else p
    if modulus is None:
        raise ConfigError(
            f"the operation {operation!r} needs its modulus, as in --task add --p 113; a group, as S5, needs none"
        )
    try:
        return modular_task(operation, modulus)
    except TaskError as error:
        misspelt = operation.isalpha() and operation not in NAMED and "did you mean" not in str(error)
        near = closest(operation, NAMED) if misspelt else []
        if near:
            raise TaskError(f"{error}. Did you mean {' or '.join(near)}?") from None
        raise


def _json(text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"the task {shown(text)} is not JSON: {error}") from None


def is_table(operation: str) -> bool:
    """Whether a task is named by a file, with or without the name of an array after a colon."""
    return _parts(operation)[0].suffix.lower() in TABLES


def table_task(operation: str, sizes: Collection[int] = ()) -> "Task":
    """The task of an [n, n] table in a numpy file: of a group if it is a group's table, otherwise of its answers only.

    Args:
        operation: FILE.npy, FILE.npz, or FILE.npz:NAME for one array of several.
        sizes: sizes of the candidate tables if the file has several and none is named.

    Raises:
        ConfigError: no such file or array, or several candidates.
        TaskError: not a table of answers.
    """
    from mechgrok.tasks import group_task, task_from_table

    file, wanted = _parts(operation)
    arrays = _arrays(file)
    if wanted:
        chosen = [wanted] if wanted in arrays else []
    elif len(arrays) == 1:
        chosen = list(arrays)
    else:
        chosen = [
            n
            for n, a in arrays.items()
            if a.ndim == 2 and set(a.shape) <= set(sizes) and len({*a.shape}) == 1
        ]
    if len(chosen) != 1:
        raise ConfigError(
            f"which table of {file} is meant? Say --task {file.name}:NAME, one of {', '.join(arrays)[:300] or 'none'}"
        )
    table = arrays[chosen[0]]
    name = file.stem if wanted is None and len(arrays) == 1 else chosen[0]
    answers = task_from_table(table, name=name)
    try:
        return group_task(answers.labels.view(table.shape), name=name)
    except (TaskError, RuntimeError):  # not a group's table, or with inputs omitted
        return answers


def _parts(operation: str) -> tuple[Path, str | None]:
    """The file, and the name of the array in it."""
    file, colon, name = operation.rpartition(":")
    return (Path(file), name) if colon and Path(file).suffix.lower() in TABLES else (Path(operation), None)


def _arrays(file: Path) -> "dict[str, np.ndarray]":
    import numpy as np

    try:
        with file.open("rb") as opened:
            loaded = np.load(opened, allow_pickle=False)
            return (
                {file.stem: loaded}
                if isinstance(loaded, np.ndarray)
                else {n: loaded[n] for n in loaded.files}
            )
    except OSError as error:
        raise ConfigError(f"cannot read the table {file}: {error.strerror or error}") from None
    except Exception as error:  # damaged bytes can make zipfile and numpy raise anything
        raise ConfigError(f"{file} holds no arrays of numbers: {str(error)[:300]}") from None
