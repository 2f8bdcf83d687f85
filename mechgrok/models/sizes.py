"""The memory that the weights of a network take, before it is made."""

import torch

from mechgrok.config import NetworkConfig
from mechgrok.memory import check_memory

PER_LAYER = 20 * 2**10
"""Bytes of the objects that a layer consists of, at least."""
SMALLER = "Smaller sizes take less: d_model, d_mlp, n_heads, d_head, n_layers; d_embed of an MLP"


def least_bytes(cfg: NetworkConfig) -> int:
    """Bytes in float32 of the large weights; biases and norms are left out.

    >>> from mechgrok import ModelConfig
    >>> least_bytes(ModelConfig(d_vocab=114, d_vocab_out=113, n_ctx=3)) // 1000
    924
    """
    return 4 * cfg.least_weights + PER_LAYER * getattr(cfg, "n_layers", 1)


def check_sizes(cfg: NetworkConfig) -> None:
    """Whether a network fits into memory; of one without numbers, on the meta device, that is not asked.

    Raises:
        ConfigError: it does not; the text has the estimate.
    """
    if torch.get_default_device().type != "meta":
        check_memory("A network of these sizes", least_bytes(cfg), SMALLER)
