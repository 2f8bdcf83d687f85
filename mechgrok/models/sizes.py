"""The memory that the weights of a network take, before it is made."""

import torch

from mechgrok.config import DenseConfig, MLPConfig, NetworkConfig
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
    if isinstance(cfg, DenseConfig):
        inner = cfg.d_mlp * (cfg.d_embed + cfg.d_mlp * (cfg.n_layers - 1) + cfg.d_vocab_out)
        return 4 * inner + PER_LAYER * cfg.n_layers
    if isinstance(cfg, MLPConfig):
        embedded = cfg.inputs == "embedding"
        first = cfg.d_embed * (cfg.d_vocab + cfg.d_mlp) if embedded else cfg.d_vocab * cfg.d_mlp
        inner = cfg.d_mlp * (
            cfg.d_mlp * (cfg.n_layers - 1) + min(cfg.d_embed or cfg.d_vocab_out, cfg.d_vocab_out)
        )
        return 4 * (first + inner) + PER_LAYER * cfg.n_layers
    outer = cfg.d_model * (cfg.d_vocab + cfg.d_vocab_out + cfg.n_ctx * (cfg.positions == "learned"))
    mlp = 0 if cfg.attn_only else (2 + cfg.gated_mlp) * cfg.d_mlp
    layer = cfg.d_model * (4 * cfg.n_heads * cfg.d_head + mlp)
    return 4 * (outer + cfg.n_layers * layer) + PER_LAYER * cfg.n_layers


def check_sizes(cfg: NetworkConfig) -> None:
    """Whether a network fits into memory; of one without numbers, on the meta device, that is not asked.

    Raises:
        ConfigError: it does not; the text has the estimate.
    """
    if torch.get_default_device().type != "meta":
        check_memory("A network of these sizes", least_bytes(cfg), SMALLER)
