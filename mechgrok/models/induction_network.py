"""Two hand-built attention layers that continue a previously seen sequence: the induction circuit."""

import math
from typing import Any

import torch

from mechgrok.config import ModelConfig
from mechgrok.door import door
from mechgrok.errors import ConfigError
from mechgrok.models.transformer import HookedTransformer

SHARPNESS = 40.0
"""Score of the one key that a head looks for, with 0 for all others: e^-40 of the attention goes elsewhere."""
LARGEST = 512
"""Maximum number of tokens and of positions: the residual stream has a direction for each."""


@door
def induction_network(
    d_vocab: int, n_ctx: int, n_heads: int = 2, *, height: int | float = 10.0
) -> HookedTransformer:
    """A two-layer attention-only transformer with known heads: after A B ... A it predicts B.

    Head 0 of layer 0 is a previous-token head: it attends to the preceding position, and records its token. The last
    head of layer 1 is an induction head: it looks for positions whose previous token is the current one, and copies
    their token to the logits. All other heads are 0, and attend uniformly. Weights are in float64.

    Args:
        d_vocab: number of tokens, 2 to 512; the logits are over the same tokens.
        n_ctx: maximum length of a sequence, 2 to 512.
        n_heads: heads per layer.
        height: logit of a token to which the induction head attends fully, above 0.

    Raises:
        ConfigError: too few or too many tokens, no heads, or a height that is not above 0.

    Source: the circuit of Elhage et al. 2021 (A mathematical framework for transformer circuits), with one direction
    of the residual stream per token, position, previous token and prediction.

    >>> network = induction_network(5, 8)
    >>> network(torch.tensor([[3, 1, 4, 0, 3]]))[0, -1].argmax().item()
    1
    """
    for name, size in (("d_vocab", d_vocab), ("n_ctx", n_ctx)):
        if not 2 <= size <= LARGEST:
            raise ConfigError(f"{name} is a whole number from 2 to {LARGEST}, got {size}")
    if not 1 <= n_heads <= LARGEST:
        raise ConfigError(f"n_heads is a whole number from 1 to {LARGEST}, got {n_heads}")
    if not 0 < height < math.inf:
        raise ConfigError(f"height is a number above 0, got {height}")
    cfg = ModelConfig(
        d_vocab=d_vocab,
        d_vocab_out=d_vocab,
        n_ctx=n_ctx,
        n_layers=2,
        n_heads=n_heads,
        d_model=3 * d_vocab + n_ctx,
        d_head=max(d_vocab + 1, n_ctx),
        attn_only=True,
    )
    model = HookedTransformer(cfg).double()
    model.layout = "an induction circuit built by hand"
    token, before, output = (slice(i * d_vocab, (i + 1) * d_vocab) for i in range(3))
    position = slice(3 * d_vocab, cfg.d_model)
    sharp = SHARPNESS * math.sqrt(cfg.d_head)
    same, places = torch.eye(d_vocab, dtype=torch.float64), torch.eye(n_ctx, dtype=torch.float64)
    blocks: Any = model.blocks
    first, second = (block.attn for block in blocks)
    with torch.no_grad():
        model.W_E[:, token] = same
        model.W_pos[:, position] = places
        first.W_Q[0, position, :n_ctx] = sharp * places.roll(-1, 1)  # position p looks for p-1
        first.W_Q[0, position.start] = 0  # nothing precedes the first position
        first.W_K[0, position, :n_ctx] = places
        first.W_V[0, token, :d_vocab] = same
        first.W_O[0, :d_vocab, before] = same
        second.W_Q[-1, token, :d_vocab] = sharp * same
        second.W_K[-1, before, :d_vocab] = same
        # The first position has no previous token and records its own: every query is kept away from it.
        second.W_Q[-1, position, d_vocab] = sharp
        second.W_K[-1, position.start, d_vocab] = -2
        second.W_V[-1, token, :d_vocab] = same
        second.W_O[-1, :d_vocab, output] = same
        model.unembed.W_U[output] = height * same
    return model
