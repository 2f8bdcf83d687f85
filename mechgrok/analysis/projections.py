"""Projections of functions of the inputs onto blocks of the task's basis.

All of them need only the means over the inputs with the same answer, [order, ...], so that nothing of size inputs
x inputs is ever formed: on a group every answer has equally many inputs, and the projection of the table is the
projection of the function.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.algebra.bases import Label
from mechgrok.tasks import Frame


def product_part(
    means: Float[Tensor, "order *rest"], frame: Frame, labels: Iterable[Label]
) -> Float[Tensor, "order *rest"]:
    """The part of a function of the answer that lies in the given blocks, without the mean over the inputs.

    On Z_p these are the directions cos(w_k(a+b)) and sin(w_k(a+b)) of Nanda et al. 2023, separately for each
    trailing index.
    """
    rows = frame.basis.matrix[frame.basis.rows_of(labels)].to(means.dtype)
    counts = frame.counts.to(means.dtype)
    flat = means.reshape(frame.order, -1)
    if is_even(frame):
        coefficients = rows @ flat
    else:
        # Unequal numbers of inputs per answer (polynomials): as functions of the inputs, the basis functions are
        # neither orthogonal nor zero-mean. They are centred, so that the mean stays out of the projection, which
        # solves the weighted normal equations.
        rows = rows - (rows @ counts)[:, None] / counts.sum()
        gram = (rows * counts) @ rows.T
        coefficients = torch.linalg.pinv(gram, hermitian=True) @ ((rows * counts) @ flat)
    return (rows.T @ coefficients).view_as(means)


def character_part(
    means: Float[Tensor, "order classes"], frame: Frame, labels: Iterable[Label]
) -> Float[Tensor, "order classes"]:
    """The part of logits, given as their means per answer, along the direction chi(a∘b∘c^-1) of each given block.

    On Z_p this is cos(w_k(a+b-c)), one coefficient per frequency. Classes outside the frame get 0.
    """
    labels = frame.basis.check_labels(labels)
    part = torch.zeros_like(means)
    if frame.is_operation and is_even(frame):
        directions = torch.stack([frame.basis.character(label) for label in labels]).to(means.dtype)
        profile = directions.T @ (directions @ mean_by_quotient(means, frame))
        part[:, frame.classes] = profile[frame.basis.quotients]
    else:
        directions = [_centred_direction(frame, label, means.dtype) for label in labels]
        coefficients = character_coefficients(means, frame, directions)
        part[:, frame.classes] = torch.tensordot(coefficients, torch.stack(directions), dims=1)
    return part


def character_coefficients(
    means: Float[Tensor, "order classes"], frame: Frame, directions: Sequence[Float[Tensor, "order _"]]
) -> Float[Tensor, " directions"]:
    """The coefficients of some directions that fit logits, given as their means per answer, best over the inputs.

    The directions are centred over the inputs; they may overlap.
    """
    counts = frame.counts.to(means.dtype)
    centred = torch.stack([centred_over_inputs(direction, frame) for direction in directions])
    weighted = (centred * counts[:, None]).flatten(1)
    along = weighted @ means[:, frame.classes].flatten()
    return torch.linalg.pinv(weighted @ centred.flatten(1).T, hermitian=True) @ along


def mean_by_quotient(means: Float[Tensor, "order classes"], frame: Frame) -> Float[Tensor, " order"]:
    """Mean logit over all inputs and classes with the same a∘b∘c^-1, from the means per answer."""
    table = means[:, frame.classes] * frame.counts.to(means.dtype)[:, None]
    sums = means.new_zeros(frame.order).index_add_(0, frame.basis.quotients.flatten(), table.flatten())
    return sums / frame.counts.sum()


def character_power(means: Float[Tensor, "order classes"], frame: Frame) -> Float[Tensor, " blocks"]:
    """Squared norm along chi(a∘b∘c^-1), over inputs and classes, for each non-trivial block in basis order.

    Takes logits as their means per answer. If answers are not equally frequent, the directions are centred over
    the inputs, so that a bias of the classes does not count as power; they then overlap slightly, and the powers
    of several blocks add up to more than their joint power.
    """
    labels = frame.basis.labels
    if frame.is_operation and is_even(frame):
        directions = torch.stack([frame.basis.character(label) for label in labels]).to(means.dtype)
        # Each of the `order` values of the character occurs once for every input.
        return (directions @ mean_by_quotient(means, frame)).square() * frame.counts.sum()
    table, counts = means[:, frame.classes], frame.counts.to(means.dtype)[:, None]
    powers = []
    for label in labels:
        direction = _centred_direction(frame, label, means.dtype)
        norm = (counts * direction.square()).sum()
        along = (counts * direction * table).sum()
        powers.append(along.square() / norm if norm > 1e-12 * counts.sum() else torch.zeros_like(norm))
    return torch.stack(powers)


def is_even(frame: Frame) -> bool:
    """Whether all answers are equally frequent, as on a group."""
    return bool((frame.counts == frame.counts[0]).all())


def _centred_direction(frame: Frame, label: Label, dtype: torch.dtype) -> Tensor:
    """[order, classes], the direction of a block, less its mean over the inputs for each class."""
    return centred_over_inputs(frame.direction_of(label).to(dtype), frame)


def centred_over_inputs(
    direction: Float[Tensor, "order classes"], frame: Frame
) -> Float[Tensor, "order classes"]:
    """A function of answer and class, less its mean over the inputs for each class."""
    counts = frame.counts.to(direction.dtype)
    return direction - counts @ direction / counts.sum()
