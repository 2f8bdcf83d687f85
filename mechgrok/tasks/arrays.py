"""Tasks from arrays: vectors, or tensors of any shape, with classes or values as targets."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mechgrok.door import door
from mechgrok.errors import TaskError, shown
from mechgrok.signature import Classes, Signature
from mechgrok.tasks.configured import FiniteTask, InputsAndTargets, signature_of


class ArrayTask(FiniteTask, kind="array"):
    """See `array_task`. The arrays are part of the configuration, so runs of the task can be opened without them."""

    features: list[Any]
    targets: list[Any]
    name: str = "arrays"
    n_classes_given: int = 0

    @property
    def signature(self) -> Signature:
        """The signature inferred from the arrays, with the number of classes if it was given."""
        shown_by = signature_of(self.examples)
        if not self.n_classes_given or not isinstance(shown_by.outputs, Classes):
            return shown_by
        return shown_by.replace(outputs=Classes(n=self.n_classes_given))

    def all_inputs(self) -> InputsAndTargets:
        """The arrays."""
        return _numbers("features", self.features), _numbers("targets", self.targets)


@door
def array_task(features: Any, targets: Any, *, name: str = "arrays", n_classes: int = 0) -> ArrayTask:
    """A task from arbitrary inputs and their answers, given as arrays.

    Args:
        features: [n, ...] floats, or [n, n_ctx] integers, taken as tokens; a tensor, an array or lists.
        targets: [n] integers, taken as classes; or [n, values] floats.
        name: used in tables and files.
        n_classes: number of classes, if some do not occur.

    Raises:
        TaskError: arrays of other shapes or types; non-finite values.

    >>> task = array_task(np.eye(3), [0, 1, 1], name="corners")
    >>> task, task.signature.inputs
    (Task(corners: features [3] -> 2 classes, 3 inputs), Features(kind='features', shape=(3,)))
    """
    inputs, answers = _numbers("features", features), _numbers("targets", targets)
    task = ArrayTask(features=inputs.tolist(), targets=answers.tolist(), name=name, n_classes_given=n_classes)
    if n_classes and not answers.is_floating_point() and n_classes <= int(answers.max()):
        raise TaskError(f"n_classes is above the largest class, {int(answers.max())}; got {n_classes}")
    return task


def _numbers(what: str, given: Any) -> Tensor:
    try:
        array = given.detach().cpu() if isinstance(given, Tensor) else torch.from_numpy(np.asarray(given))
    except (TypeError, ValueError):
        raise TaskError(f"{what} are numbers in rows of the same length; got {shown(given)}") from None
    return array.float() if array.is_floating_point() else array.long()
