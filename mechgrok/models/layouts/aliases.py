"""Tensors that a file contains twice."""

from collections.abc import Mapping

import torch
from torch import Tensor

KNOWN = {"x_embed": "embed.W_E", "y_embed": "embed.W_E"}
"""Names under which published code saves another tensor a second time."""


def without_aliases(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors without those that repeat another one under a known name, and a line for each one removed.

    A tensor with such a name but different content stays, to be refused as unused.

    >>> ones = torch.arange(4.0).reshape(2, 2)
    >>> without_aliases({"embed.W_E": ones, "x_embed": ones})[1]
    ('x_embed repeats embed.W_E',)
    """
    repeats = {
        name: other
        for name, other in KNOWN.items()
        if name in tensors and other in tensors and torch.equal(tensors[name], tensors[other])
    }
    kept = {name: tensor for name, tensor in tensors.items() if name not in repeats}
    return kept, tuple(f"{name} repeats {other}" for name, other in repeats.items())
