"""Reading a network's outputs: the only module that knows at which positions they are scored."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.models.protocol import Hook, HookedModel, device_of, evaluation_mode

LAST = (-1,)
"""The scored positions of a network that is read at the last position."""
Positions = Sequence[int] | Int[Tensor, "batch scored"]
"""Scored positions: the same for all inputs, or separate ones for each."""


def options_for(model: Any, scored: Positions = LAST) -> dict[str, bool]:
    """Arguments for a forward pass that computes only what the outputs at some positions need."""
    reads_last = _are_last(scored) and getattr(model, "can_read_out_only", False)
    return {"readout_only": True} if reads_last else {}


def at_scored(outputs: Tensor, scored: Positions = LAST) -> Float[Tensor, "batch scored d_out"]:
    """The scored outputs, from outputs at all positions [batch, pos, d_out], or at a single one.

    >>> at_scored(torch.arange(6.0).view(1, 3, 2), (0, -1)).tolist()
    [[[0.0, 1.0], [4.0, 5.0]]]
    """
    return outputs[:, -1:] if _are_last(scored) else outputs[index_of(scored)]


def index_of(scored: Positions) -> tuple[Any, Any]:
    """Index expression that selects some positions of a tensor [batch, pos, ...].

    >>> each = torch.tensor([[0, 2], [1, 1]])
    >>> torch.arange(6).view(2, 3)[index_of(each)].tolist()
    [[0, 2], [4, 4]]
    """
    if isinstance(scored, Tensor):
        return torch.arange(len(scored), device=scored.device)[:, None], scored
    return slice(None), list(scored)


def _are_last(scored: Positions) -> bool:
    return not isinstance(scored, Tensor) and tuple(scored) == LAST


def outputs_of(model: Any, inputs: Tensor, scored: Positions = LAST) -> Float[Tensor, "batch scored d_out"]:
    """The scored outputs of a network, with a graph if gradients are enabled."""
    return at_scored(model(inputs, **options_for(model, scored)), scored)


def outputs_at(
    model: HookedModel, d_out: int, inputs: Tensor, scored: Positions = LAST, hooks: Sequence[Hook] = ()
) -> Float[Tensor, "batch scored d_out"]:
    """The scored outputs under the given hooks, without gradients and without side effects.

    Columns beyond the first `d_out`, such as logits of special tokens, are omitted.
    """
    return _run(model, inputs, hooks, scored)[..., :d_out]


def run_at_readout(
    model: HookedModel, tokens: Tensor, hooks: Sequence[Hook] = ()
) -> Float[Tensor, "batch d_vocab_out"]:
    """All outputs at the last position under the given hooks, without gradients and without side effects."""
    return _run(model, tokens, hooks, LAST)[:, 0]


def outputs_everywhere(
    model: HookedModel, tokens: Tensor, hooks: Sequence[Hook] = ()
) -> Float[Tensor, "batch pos d_vocab_out"]:
    """All outputs at all positions under the given hooks, which see all positions, without side effects."""
    return _run(model, tokens, hooks, range(tokens.shape[1]))


def _run(model: HookedModel, inputs: Tensor, hooks: Sequence[Hook], scored: Positions) -> Tensor:
    device = device_of(model)
    with torch.no_grad(), evaluation_mode(model):
        outputs = model.run_with_hooks(inputs.to(device), fwd_hooks=list(hooks), **options_for(model, scored))
    return at_scored(outputs, scored.to(device) if isinstance(scored, Tensor) else scored)
