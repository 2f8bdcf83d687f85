"""Means over the inputs with the same answer, which contain all that projections on key blocks need."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from mechgrok.activations import ActivationGrid
from mechgrok.fast.row_sums import RowSums
from mechgrok.tasks import Frame

FEATURES = 32
"""Number of features summed at a time, so that they stay in the cache in float64."""

_MEANS = WeakTensorKeyDictionary()
"""For each logits tensor: the task and version for which its means were computed, and the means."""


def answers_of_inputs(frame: Frame, n_inputs: int) -> Int[Tensor, " inputs"]:
    """The group element that is the answer to each input; `order` for an input outside the frame.

    >>> from mechgrok import modular_task
    >>> answers_of_inputs(modular_task("mul", 3).frame, 9).tolist()
    [2, 2, 2, 2, 0, 1, 2, 1, 0]
    """
    answers = torch.full((n_inputs,), frame.order)
    answers[frame.rows.flatten()] = frame.results.flatten()
    return answers


def means_by_answer(x: Float[Tensor, "inputs features"], frame: Frame) -> Float[Tensor, "order features"]:
    """Mean of x over all inputs with the same answer, in float64; zero for an answer that never occurs.

    >>> from mechgrok import modular_task
    >>> means_by_answer(torch.arange(4.0)[:, None], modular_task("add", 2).frame).tolist()
    [[1.5], [1.5]]
    """
    sums = RowSums(answers_of_inputs(frame, len(x)), frame.order + 1)
    total = torch.cat([sums(part.double()) for part in x.split(FEATURES, dim=1)], dim=1)[:-1]
    return total / frame.counts.clamp(min=1)[:, None]


def logits_by_answer(grid: ActivationGrid) -> Float[Tensor, "order classes"]:
    """The means of a grid's logits, computed once for the logits of a network.

    They are recomputed if the logits were changed in place, and always for a grid of bare tensors: arrays that
    such a grid shares with the user can change without a trace.
    """
    logits, frame = grid.logits, grid.task.frame
    if grid.source is None or logits.is_inference():
        return means_by_answer(logits, frame)
    known = _MEANS.get(logits)
    if known is not None and known[0] is grid.task and known[1] == logits._version:
        return known[2]
    means = means_by_answer(logits, frame)
    _MEANS[logits] = grid.task, logits._version, means
    return means
