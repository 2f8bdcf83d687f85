"""Tensors in a file that are not weights: masks, which show the direction of attention, and constants."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mechgrok.models.layouts.refusals import RefusedError

Direction = Literal["causal", "bidirectional"]
MASK = re.compile(r"mask|^(tril|triu)$")
CONSTANT = re.compile(r"^(ignore|masked_bias)$")
POSITION_IDS = re.compile(r"^(pos(ition)?_ids|positions?_index)$")
ROTARY = re.compile(r"^(inv_freq|freqs?(_cis)?|rotary_(sin|cos)|(sin|cos)_cached|(sin|cos)_cache)$")
FORBIDDEN = -1e4
"""An additive mask is at most this at positions that it hides."""


@dataclass(frozen=True)
class Buffers:
    """The information in the buffers of a file.

    Attributes:
        direction: direction of attention, if there is a mask; None if not.
        mask: name of the mask that shows it.
    """

    direction: Direction | None = None
    mask: str = ""


def is_buffer(name: str, tensor: Tensor) -> bool:
    """Whether a tensor is a mask or another known constant, by its name; never a weight of ours."""
    last = name.rsplit(".", 1)[-1].lower()
    known = (MASK, CONSTANT, POSITION_IDS, ROTARY)
    # GPT-2 calls its mask "bias": no bias of a linear layer has two axes.
    return any(rule.search(last) for rule in known) or (last == "bias" and tensor.ndim > 1)


def read_buffers(buffers: Mapping[str, Tensor]) -> Buffers:
    """Read what the buffers imply about attention.

    Raises:
        RefusedError: rotary positions; a mask that is neither causal nor fully visible; two contradictory
            masks; positions in a different order.
    """
    found: dict[Direction, str] = {}
    for name, tensor in buffers.items():
        last = name.rsplit(".", 1)[-1].lower()
        if CONSTANT.search(last):
            continue
        if ROTARY.search(last):
            raise RefusedError(f"{name} belongs to rotary positions, which cannot be represented")
        if POSITION_IDS.search(last):
            _check_ids(name, tensor)
        elif tensor.numel() > 1:
            found.setdefault(_direction(name, tensor), name)
    if len(found) > 1:
        raise RefusedError(
            f"the masks {' and '.join(found.values())} differ in direction; only one for all layers can be "
            "represented. If they are not applied, drop them from the state dict and say "
            "config=ModelConfig(attention_dir=...)"
        )
    return next((Buffers(direction, name) for direction, name in found.items()), Buffers())


def _check_ids(name: str, tensor: Tensor) -> None:
    ids = tensor.flatten()
    if not torch.equal(ids.double(), torch.arange(len(ids)).double()):
        raise RefusedError(f"{name} numbers the positions in another order than 0, 1, 2, ...")


def _direction(name: str, mask: Tensor) -> Direction:
    """Causal if nothing later is visible; bidirectional if everything is; nothing else can be represented."""
    square = mask.reshape(-1, *mask.shape[-2:])[0] if mask.ndim >= 2 else mask
    if square.ndim != 2 or square.shape[0] != square.shape[1] or square.numel() != mask.numel():
        raise RefusedError(f"{name} {tuple(mask.shape)} is not one square mask; {_WAY_OUT}")
    past = torch.ones(square.shape).tril().bool()
    additive = square.is_floating_point() and not bool(((square == 0) | (square == 1)).all())
    marked = (square.double() <= FORBIDDEN) if additive else square.bool()
    if additive and not bool((marked | (square == 0)).all()):
        raise RefusedError(f"{name} holds other values than 0 and minus infinity; {_WAY_OUT}")
    # The mask marks either the allowed pairs, as in `tril`, or the forbidden pairs, as in `triu(1)`.
    if torch.equal(marked, ~past) or (torch.equal(marked, past) and not additive):
        return "causal"
    if not bool(marked.any()) or (bool(marked.all()) and not additive):
        return "bidirectional"
    raise RefusedError(f"{name} is neither a causal mask nor one that lets everything be seen; {_WAY_OUT}")


_WAY_OUT = "if it is not applied, drop it from the state dict and say config=ModelConfig(attention_dir=...)"
