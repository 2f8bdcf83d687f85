"""User-defined tasks: any function of two or more operands, or the table of its answers."""

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mechgrok.algebra import fourier_basis
from mechgrok.door import door
from mechgrok.errors import NoGroupError, TaskError, shown
from mechgrok.tasks.frames import Frame, build_frame
from mechgrok.tasks.operation_task import Operation
from mechgrok.tasks.prompt import LETTERS
from mechgrok.tasks.task import STILL_THERE

MOST_INPUTS = 4096**2
"""Limits the size of a task, which holds all of its inputs."""


@door
def task_from_function(
    function: Callable[..., Any],
    n: int | Sequence[int],
    *,
    n_classes: int | None = None,
    name: str | None = None,
    sequence: Sequence[str] | None = None,
) -> Operation:
    """A task from any function of operands 0..n-1, over all inputs.

    The answers are stored, not the function: runs of the task can be opened without it.

    Args:
        function: called as function(a, b), or with as many arguments as it takes, all integers; returns a
            non-negative integer or a boolean. None omits the input.
        n: number of values of every operand, or of each: (31, 12).
        n_classes: number of answers; default the number of operand values if that is enough for all answers, else one
            more than the largest; 2 for booleans, and if 0 and 1 are the only answers.
        name: used in tables and files; default the function's own name.
        sequence: what the network reads; default a b =.

    Returns:
        A task that is analysed in Z_n if both operands have n values and every answer is one of them, like polynomials.
        Other tasks have no group: losses, accuracies, neurons' activations and attention are available, and anything
        measured in a basis, such as key frequencies, raises `NoGroupError`.

    Raises:
        TaskError: not a function of two or more operands; an answer that is not a non-negative integer.

    >>> task = task_from_function(max, n=31, name="max")
    >>> task, task.labels[3 * 31 + 8].item()
    (Task(max: a b = -> 31 classes, 961 inputs), 8)
    >>> task_from_function(lambda a, b, c: (a + b + c) % 5, n=5, name="sum of three")
    Task(sum of three: a b c = -> 5 classes, 125 inputs)
    """
    if not callable(function):
        raise TaskError(f"task_from_function takes a function of the operands first; got {shown(function)}")
    sizes = _sizes(function, n)
    answers = [_answer(function, operands) for operands in product(*map(range, sizes))]
    own = getattr(function, "__name__", "function")
    truth = any(isinstance(answer, bool | np.bool_) for answer in answers)
    table = torch.tensor([-1 if answer is None else int(answer) for answer in answers]).view(sizes)
    classes = 2 if truth and n_classes is None else n_classes
    return task_from_table(table, n_classes=classes, name=name or _plain(own), sequence=sequence)


@door
def task_from_table(
    table: Any,
    *,
    n_classes: int | None = None,
    name: str | None = None,
    sequence: Sequence[str] | None = None,
) -> Operation:
    """A task from the table of its answers: table[a][b] is the answer for a and b.

    Args:
        table: [n, n] integers as a tensor, an array or nested lists; [n, m] if the operands have different
            ranges, [n, n, n] for three of them. -1 omits an input.
        n_classes, name, sequence: as in `task_from_function`.

    Raises:
        TaskError: not a valid table.

    >>> task_from_table([[0, 1], [1, 0]], name="xor").labels.tolist()
    [0, 1, 1, 0]
    """
    answers = _as_table(table)
    n_symbols, arity = max(answers.shape), answers.ndim
    exists = answers >= 0
    if not exists.any():
        raise TaskError("the table has no answer at all: every entry is negative")
    operands, labels = exists.nonzero(), answers[exists]
    classes = _n_classes(n_classes, n_symbols, int(labels.max()))
    formula = name or "table"

    def make_frame() -> Frame:
        if arity != 2:
            raise NoGroupError(
                f"{formula} has {arity} operands, and analyses in the basis of a group are for two; {STILL_THERE}"
            )
        if len(set(answers.shape)) > 1 or classes != n_symbols:
            ranges = " and ".join(map(str, answers.shape))
            raise NoGroupError(
                f"{formula} sits in no group: its operands have {ranges} values, and it has {classes} answers, so that "
                f"what is measured in a basis, such as key frequencies, has no value; {STILL_THERE}"
            )
        return build_frame(fourier_basis(n_symbols), torch.arange(n_symbols), operands, labels, formula)

    spec: dict[str, Any] = {"kind": "table", "table": answers.tolist(), "n_classes": classes, "name": formula}
    if sequence is not None:
        spec["sequence"] = list(sequence)
    return Operation(
        name=formula,
        spec=spec,
        n_symbols=n_symbols,
        n_answers=classes,
        operands=operands,
        results=labels,
        answer=formula,
        framed=make_frame,
        sequence=None if sequence is None else tuple(sequence),
    )


def _sizes(function: Callable[..., Any], n: Any) -> tuple[int, ...]:
    """The number of values of each operand."""
    given = tuple(n) if isinstance(n, Sequence) and not isinstance(n, str) else None
    sizes: tuple[Any, ...] = (n,) * _n_operands(function) if given is None else given
    if not sizes or not all(isinstance(size, int | np.integer) and size >= 1 for size in sizes):
        raise TaskError(f"n is the number of values of every operand, or of each: (31, 12); got {shown(n)}")
    sizes = tuple(map(int, sizes))
    _check_size(sizes)
    return sizes


def _check_size(sizes: tuple[int, ...]) -> None:
    if not 2 <= len(sizes) <= len(LETTERS):
        raise TaskError(f"a task has 2 to {len(LETTERS)} operands, got {len(sizes)}")
    if max(sizes) < 2 or prod(sizes) > MOST_INPUTS:
        raise TaskError(f"a task has 2 to {MOST_INPUTS} inputs, of operands with {shown(sizes)} values")


def _n_operands(function: Callable[..., Any]) -> int:
    """The number of arguments that a function needs; 2 if its signature is unknown, as for `max`."""
    from inspect import Parameter, signature

    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    places = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.kind in places and p.default is Parameter.empty]
    takes_any = any(p.kind is Parameter.VAR_POSITIONAL for p in parameters)
    return 2 if takes_any and len(needed) < 2 else len(needed)


def _answer(function: Callable[..., Any], operands: tuple[int, ...]) -> int | bool | None:
    given = ", ".join(f"{letter}={value}" for letter, value in zip(LETTERS, operands, strict=False))
    try:
        answer = function(*operands)
    except Exception as error:  # from the user's own code, which may raise anything
        raise TaskError(
            f"the function fails for {given}: {type(error).__name__}: {shown(str(error))}"
        ) from error
    if isinstance(answer, Tensor | np.ndarray) and answer.ndim == 0:
        answer = answer.item()
    if answer is None or isinstance(answer, bool | np.bool_):
        return None if answer is None else bool(answer)
    if isinstance(answer, int | np.integer) and answer >= 0:
        return int(answer)
    raise TaskError(
        "an answer is a whole number from 0 on, a truth value, or None for an input that is left out; the function "
        f"gives {shown(answer)} for {given}"
    )


def _as_table(table: Any) -> Tensor:
    try:
        answers = table if isinstance(table, Tensor) else torch.from_numpy(np.asarray(table))
    except (TypeError, ValueError):
        answers = torch.zeros(0)
    if answers.is_floating_point() or answers.is_complex() or not 2 <= answers.ndim <= len(LETTERS):
        raise TaskError(
            "a table holds whole numbers, [n, n] for two operands: table[a][b] is the answer for a and b; "
            f"got {shown(table)}"
        )
    if 0 in answers.shape:
        raise TaskError(f"the table is empty: {shown(table)}")
    _check_size(tuple(answers.shape))
    return answers.detach().cpu().long()


def _n_classes(given: Any, n_symbols: int, largest: int) -> int:
    if given is None:
        return 2 if largest == 1 else max(n_symbols, largest + 1)
    if not isinstance(given, int | np.integer) or isinstance(given, bool) or given <= max(largest, 1):
        raise TaskError(
            f"n_classes is a whole number above the largest answer, {largest}; got {shown(given)}"
        )
    return int(given)


def _plain(name: str) -> str:
    return "function" if name == "<lambda>" else name
