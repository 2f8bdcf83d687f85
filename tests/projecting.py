"""Projections of functions of the inputs, via the means of their answers."""

from torch import Tensor

from mechgrok.analysis.by_answer import means_by_answer
from mechgrok.analysis.projections import character_part, product_part


def project_on_product(x: Tensor, frame, labels) -> Tensor:
    """The part of x [inputs, features] that depends on the answer alone and lies in the blocks; 0 outside the frame."""
    return frame.spread_by_result(product_part(means_by_answer(x, frame), frame, labels), len(x))


def project_on_characters(logits: Tensor, frame, labels) -> Tensor:
    """The part of the logits along the directions of the blocks; 0 outside the frame."""
    return frame.spread_by_result(character_part(means_by_answer(logits, frame), frame, labels), len(logits))
