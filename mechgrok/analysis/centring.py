"""The logits of all inputs without what they have in common, a part at a time.

In float64 all of them together would take several times the memory of the grid, and most of the time to be written
and read again.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import ActivationGrid
from mechgrok.analysis.by_answer import logits_by_answer

Centre = Literal["class", "double", "none"]
CHUNK = 2**16
"""Logits in a part, so that it stays in the cache in float64."""


def centred_logits(grid: ActivationGrid, centre: Centre) -> Iterator[Float[Tensor, "some classes"]]:
    """The logits of the inputs in the frame in float64, some inputs after the other; each part may be changed in place.

    Args:
        centre: "class" subtracts from the logits of each input their mean over the classes, "double" the mean over the
            inputs as well, "none" nothing.
    """
    frame, means = grid.task.frame, logits_by_answer(grid)
    common = frame.counts @ means / frame.counts.sum() if centre == "double" else torch.zeros(means.shape[1])
    for rows in frame.rows.flatten().split(max(CHUNK // means.shape[1], 1)):
        part = grid.logits[rows].double() - common
        if centre != "none":
            part -= part.mean(1, keepdim=True)
        yield part


def logit_power(grid: ActivationGrid, centre: Centre) -> float:
    """Sum of the squared logits over the inputs in the frame and the classes."""
    return sum(part.square_().sum().item() for part in centred_logits(grid, centre))


def rounding_power(x: Tensor) -> float:
    """Sum of squares that rounding alone leaves where x does not vary."""
    squares = sum(part.double().square().sum().item() for part in x.reshape(-1).split(CHUNK))
    return (10 * torch.finfo(x.dtype).eps) ** 2 * squares
