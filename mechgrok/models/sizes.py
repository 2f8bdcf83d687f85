"""The memory that a network's weights will take, before it is built."""

import torch

from mechgrok.config import NetworkConfig
from mechgrok.memory import check_memory

PER_LAYER = 20 * 2**10
"""Minimum number of bytes of a layer's objects."""
SMALLER = "Smaller sizes take less: d_model, d_mlp, n_heads, d_head, n_layers; d_embed of an MLP"


def least_bytes(cfg: NetworkConfig) -> int:
    """Bytes of the large weights in float32; biases and norms are not counted.

    >>> from mechgrok import ModelConfig
    >>> least_bytes(ModelConfig(d_vocab=114, d_vocab_out=113, n_ctx=3)) // 1000
    924
    """
    return 4 * cfg.least_weights + PER_LAYER * getattr(cfg, "n_layers", 1)


def check_sizes(cfg: NetworkConfig) -> None:
    """Check that a network fits into memory; skipped on the meta device, where tensors have no data.

    Raises:
        ConfigError: it does not; the message gives the estimate.
    """
    if torch.get_default_device().type != "meta":
        check_memory("A network of these sizes", least_bytes(cfg), SMALLER)
