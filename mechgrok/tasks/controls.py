"""Controls: tasks on which no generalisation is possible."""

from dataclasses import replace

import torch

from mechgrok.config import check_seed
from mechgrok.door import door
from mechgrok.errors import TaskError, shown
from mechgrok.tasks.frames import Frame, build_frame
from mechgrok.tasks.mixtures import MixedTask
from mechgrok.tasks.operation_task import Operation


@door
def random_labels(task: Operation, seed: int = 0) -> Operation:
    """The inputs of a task with its labels shuffled once and for all: pure memorisation.

    Answer frequencies are preserved; the same seed gives the same labels on every machine. The frame is the task's
    own, with the shuffled answers; if an answer has no place in it, such as a 0 among products, using the frame
    raises an error.

    >>> from mechgrok.tasks import modular_task
    >>> control = random_labels(modular_task("add", 5), seed=1)
    >>> control.labels.bincount().tolist(), control.name
    ([5, 5, 5, 5, 5], 'add5 random labels 1')
    """
    if not isinstance(task, Operation):
        raise TaskError(
            f"random_labels takes a task, as modular_task('add', 113) gives one; got {shown(task)}"
        )
    if isinstance(task, MixedTask):
        raise TaskError(
            "shuffle the labels of the parts, and mix these: mixed_task([random_labels(part), ...])"
        )
    order = torch.randperm(task.n_inputs, generator=torch.Generator().manual_seed(check_seed(seed)))
    labels = task.labels[order]
    name, answer = f"{task.name} random labels {seed}", "random label"

    def make_frame() -> Frame:
        frame = task.frame
        return build_frame(frame.basis, frame.tokens, task.operands, labels, answer)

    spec = {"kind": "random_labels", "task": task.spec, "seed": seed}
    return replace(task, name=name, spec=spec, results=labels, answer=answer, framed=make_frame)
