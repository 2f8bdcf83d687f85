"""Our networks as TransformerLens's own objects, for the installed version."""

import warnings
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from mechgrok.door import door
from mechgrok.errors import ConfigError
from mechgrok.models.protocol import device_of
from mechgrok.models.transformer import HookedTransformer

ACTIVATIONS = ("relu", "gelu", "gelu_new", "silu")
"""Activation functions that TransformerLens also supports, under the same names."""


@door
def to_transformer_lens(model: HookedTransformer) -> Any:
    """The same network as an object of the installed TransformerLens, with its own copy of the weights.

    The result is a native `TransformerBridge` from TransformerLens 4 on, and a `transformer_lens.HookedTransformer`
    before. Both need all biases and positions: those that our network lacks become zeros. An attention rate other
    than 1 becomes a permanent hook on every `hook_pattern`; it is not a weight, so a state dict saved from the result
    does not contain it, and weight processing that folds value biases ignores it.

    Returns:
        The network, in the precision, on the device and in the training mode of `model`.

    Raises:
        ConfigError: the activation function, the position of the norms or a missing final norm has no counterpart,
            or a gated MLP has biases.

    >>> from mechgrok.config import ModelConfig
    >>> model = HookedTransformer(ModelConfig(d_vocab=8, d_vocab_out=7, n_ctx=3, d_model=16), seed=0)
    >>> native = to_transformer_lens(model)
    >>> tokens = torch.tensor([[2, 3, 7]])
    >>> torch.allclose(native(tokens), model(tokens), atol=1e-5)
    True
    """
    cfg = model.cfg
    if cfg.act_fn not in ACTIVATIONS:
        raise ConfigError(
            f"TransformerLens does not know the activation function {cfg.act_fn!r}; of ours it knows "
            f"{', '.join(ACTIVATIONS)}. The analyses accept the network as it is"
        )
    if cfg.normalization and (cfg.norm_position == "post" or not cfg.final_norm):
        raise ConfigError(
            "TransformerLens's networks have norms before the parts of a block and before the unembedding; got "
            f"norm_position={cfg.norm_position!r}, final_norm={cfg.final_norm}. The analyses accept the network as "
            "it is"
        )
    build = _bridge if _major_version() >= 4 else _hooked_transformer
    # Both draw initial weights, some of them even if told not to.
    with torch.random.fork_rng(devices=[]):
        native = build(_settings(model), _full_state(model))
    if cfg.attention_rate != 1:
        for layer in range(cfg.n_layers):
            hook = partial(_apply_rate, rate=cfg.attention_rate)
            native.add_perma_hook(f"blocks.{layer}.attn.hook_pattern", hook)
    native.task = model.task
    return native.train(model.training)


def _major_version() -> int:
    return int(version("transformer-lens").partition(".")[0])


def _bridge(settings: dict[str, Any], state: dict[str, Tensor]) -> Any:
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources.native import boot
    from transformer_lens.utilities.tl_checkpoint_conversion import convert_tl_checkpoint

    gated = (
        [name for name in state if name.endswith(("mlp.b_in", "mlp.b_out"))] if settings["gated_mlp"] else []
    )
    if any(bool(state[name].any()) for name in gated):
        raise ConfigError("a gated MLP of TransformerLens 4 has no biases; this network has them")
    state = {name: tensor for name, tensor in state.items() if name not in gated}
    native = boot(TransformerBridgeConfig(**settings), device=settings["device"], dtype=settings["dtype"])
    native.load_state_dict(convert_tl_checkpoint(state, native.cfg))
    return native


def _hooked_transformer(settings: dict[str, Any], state: dict[str, Tensor]) -> Any:
    # These classes do not exist in version 4, hence no types.
    library: Any = import_module("transformer_lens")
    with warnings.catch_warnings():
        # A user of this version's native class need not be warned that the next version has another.
        warnings.filterwarnings("ignore", "HookedTransformer is deprecated", DeprecationWarning)
        native = library.HookedTransformer(library.HookedTransformerConfig(**settings))
    buffers = {name: buffer for name, buffer in native.state_dict().items() if name not in state}
    native.load_state_dict(state | buffers)
    return native


def _settings(model: HookedTransformer) -> dict[str, Any]:
    """The settings with the same names in both versions."""
    cfg = model.cfg
    same = ("d_vocab", "d_vocab_out", "n_ctx", "n_layers", "d_model", "n_heads", "d_head", "act_fn")
    return {name: getattr(cfg, name) for name in same} | {
        "d_mlp": cfg.d_mlp or None,
        "attn_only": cfg.attn_only,
        "attention_dir": cfg.attention_dir,
        "normalization_type": cfg.normalization,
        "eps": cfg.norm_eps,
        "gated_mlp": cfg.gated_mlp,
        "init_weights": False,
        "dtype": model.W_E.dtype,
        "device": str(device_of(model)),
    }


def _full_state(model: HookedTransformer) -> dict[str, Tensor]:
    """The weights under TransformerLens's names, with zeros for those that our network lacks."""
    cfg = model.cfg
    shapes = {"pos_embed.W_pos": (cfg.n_ctx, cfg.d_model), "unembed.b_U": (cfg.d_vocab_out,)}
    for layer in range(cfg.n_layers):
        attn, mlp = f"blocks.{layer}.attn", f"blocks.{layer}.mlp"
        shapes |= dict.fromkeys((f"{attn}.b_Q", f"{attn}.b_K", f"{attn}.b_V"), (cfg.n_heads, cfg.d_head))
        shapes[f"{attn}.b_O"] = (cfg.d_model,)
        if not cfg.attn_only:
            shapes |= {f"{mlp}.b_in": (cfg.d_mlp,), f"{mlp}.b_out": (cfg.d_model,)}
    return {name: model.W_E.new_zeros(shape) for name, shape in shapes.items()} | model.state_dict()


def _apply_rate(pattern: Tensor, hook: Any, *, rate: float) -> Tensor:
    return rate * pattern + (1 - rate)
