"""Functions of two operands by their means: what each operand adds, and how much there is in all."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.tasks import Frame

FEATURES = 64
"""How many features are summed at a time in float64, so that they stay in the cache."""


class OperandMeans(NamedTuple):
    """Means of some features over one operand or both, in float64.

    Attributes:
        mean: [features], over all pairs of elements.
        of_a, of_b: [order, features], for each element as the first, or second, operand the mean over the other
            operand, less `mean`.
        variance: [features], over all pairs.
    """

    mean: Float[Tensor, " features"]
    of_a: Float[Tensor, "order features"]
    of_b: Float[Tensor, "order features"]
    variance: Float[Tensor, " features"]


def operand_means(x: Float[Tensor, "inputs features"], frame: Frame) -> OperandMeans:
    """The means of features over the operands of a task with two, in the order of the group.

    >>> from mechgrok import modular_task
    >>> found = operand_means(torch.tensor([[0.0], [1.0], [2.0], [7.0]]), modular_task("add", 2).frame)
    >>> [values.flatten().tolist() for values in found]
    [[2.5], [-2.0, 2.0], [-1.5, 1.5], [7.25]]
    """
    rows = frame.rows.flatten()
    in_order = torch.equal(rows, torch.arange(len(x)))
    chunks = x.split(FEATURES, dim=1)
    room = torch.empty(len(rows) * chunks[0].shape[1], dtype=torch.float64)
    parts = []
    for part in chunks:
        square = room[: len(rows) * part.shape[1]].view(frame.order, frame.order, -1)
        square.view(len(rows), -1).copy_(part if in_order else part[rows])
        parts.append(_means(square))
    return OperandMeans(*(torch.cat(column, dim=-1) for column in zip(*parts, strict=True)))


def _means(square: Float[Tensor, "order order features"]) -> OperandMeans:
    """Overwrites the square."""
    of_a, of_b = square.mean(1), square.mean(0)
    mean = of_a.mean(0)
    square -= mean
    return OperandMeans(mean, of_a - mean, of_b - mean, square.square_().mean((0, 1)))
