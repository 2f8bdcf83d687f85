"""Transformers: our own files, TransformerLens, and the released code of two papers."""

import json

from torch import Tensor

from mechgrok.config import MLPConfig, ModelConfig
from mechgrok.models.layouts.source import Converted, Layout, RefusedError, Source, has_shape
from mechgrok.models.layouts.zhong import activation_of, task_of

CONFIG_KEY = "mechgrok_config"
"""Where our own files keep the configuration of the network in their header."""
KINDS = {"transformer": ModelConfig, "mlp": MLPConfig}


def _is_own(source: Source) -> bool:
    return CONFIG_KEY in source.header


def _from_own(source: Source) -> Converted:
    values = json.loads(source.header[CONFIG_KEY])
    config = KINDS[values.get("kind", "transformer")](**values)
    return Converted(config, dict(source.tensors))


def _is_transformer_lens(source: Source) -> bool:
    return has_shape(source, "blocks.0.attn.W_O", 3) and has_shape(source, "embed.W_E", 2)


def from_transformer_lens(source: Source) -> Converted:
    """State dict of a `HookedTransformer` of TransformerLens 0.2 to 3.9, or tensors named as in one."""
    tensors = source.tensors
    n_heads, d_model, d_head = tensors["blocks.0.attn.W_Q"].shape
    d_vocab_out = tensors["unembed.W_U"].shape[1]
    learned = "pos_embed.W_pos" in tensors
    mlp = tensors.get("blocks.0.mlp.W_in")
    config = ModelConfig(
        d_vocab=tensors["embed.W_E"].shape[0],
        d_vocab_out=d_vocab_out,
        n_ctx=tensors["pos_embed.W_pos"].shape[0] if learned else 3,
        n_layers=1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks.")),
        d_model=d_model,
        n_heads=n_heads,
        d_head=d_head,
        d_mlp=0 if mlp is None else mlp.shape[1],
        attn_only=mlp is None,
        positions="learned" if learned else "none",
        normalization="LN" if "ln_final.w" in tensors else None,
        attn_bias="blocks.0.attn.b_Q" in tensors,
        mlp_bias="blocks.0.mlp.b_in" in tensors,
        unembed_bias="unembed.b_U" in tensors,
    )
    return Converted(config, dict(tensors))


def _is_nanda(source: Source) -> bool:
    return has_shape(source, "blocks.0.attn.W_O", 2) and has_shape(source, "embed.W_E", 2)


def _from_nanda(source: Source) -> Converted:
    """Released code of Nanda et al. 2023: matrices act from the left, heads are rows of W_O's columns."""
    n_heads, d_head, d_model = source.tensors["blocks.0.attn.W_Q"].shape
    state: dict[str, Tensor] = {}
    for name, tensor in source.tensors.items():
        match name.rsplit(".", 1)[-1]:
            case "W_E" | "W_in" | "W_out":
                state[name] = tensor.mT
            case "W_Q" | "W_K" | "W_V":
                state[name] = tensor.transpose(1, 2)
            case "W_O":
                state[name] = tensor.mT.reshape(n_heads, d_head, d_model)
            case _:
                state[name] = tensor
    return from_transformer_lens(Source({name: tensor.contiguous() for name, tensor in state.items()}))


ATTENTION_ONLY = "attn_blocks."


def _is_attention_only(source: Source) -> bool:
    return has_shape(source, f"{ATTENTION_ONLY}0.attn.W_O", 2) and has_shape(source, "embed.W_E", 2)


def _from_attention_only(source: Source) -> Converted:
    """The attention-only networks of the same authors' other tasks, whose blocks map x to 2x + attention(x).

    Ours map x to x + attention(x). With a residual stream that is half of theirs after each block, the same
    function comes out exactly: before block i it is smaller by 2^i, which its queries, keys and values make up
    for; block i writes half as much of that; and the unembedding makes up for the rest. Multiplying by powers of
    two loses nothing.
    """
    plain = _from_nanda(
        Source({name.replace(ATTENTION_ONLY, "blocks."): t for name, t in source.tensors.items()})
    )
    state = dict(plain.state)
    for i in range(plain.config.n_layers):
        for letter in "QKV":
            state[f"blocks.{i}.attn.W_{letter}"] = state[f"blocks.{i}.attn.W_{letter}"] * 2**i
        state[f"blocks.{i}.attn.W_O"] = state[f"blocks.{i}.attn.W_O"] / 2 ** (i + 1)
    state["unembed.W_U"] = state["unembed.W_U"] * 2**plain.config.n_layers
    return Converted(plain.config, state)


def _is_pizza(source: Source) -> bool:
    positions = source.tensors.get("pos_embed.W_pos")
    reads_two = positions is not None and len(positions) == 2
    return _is_nanda(source) and ("attn_coeff" in source.settings or reads_two)


def _from_pizza(source: Source) -> Converted:
    """Released code of Zhong et al. 2023: Nanda's, with an attention rate and without a causal mask.

    The mask is saved but never applied, whatever `attention_dir` says.
    """
    settings = source.settings
    if "attn_coeff" not in settings and "attention_rate" not in source.known:
        raise RefusedError(
            "its attention rate is not in the tensors: put the author's config_<id>.json beside the file, or "
            "say config=ModelConfig(attention_rate=...), with 0 for the pizza and 1 for the plain softmax"
        )
    plain = _from_nanda(source)
    config = plain.config.replace(
        attention_rate=settings.get("attn_coeff", 1.0),
        attention_dir="bidirectional",
        act_fn=activation_of(source),
        init="pizza",
    )
    return Converted(config, plain.state, task_of(source, config.d_vocab))


TRANSFORMERS = (
    Layout("mechgrok", "a mechgrok network", _is_own, _from_own),
    Layout(
        "transformer_lens",
        "a TransformerLens HookedTransformer (0.2 to 3.9), taken to be causal with ReLU",
        _is_transformer_lens,
        from_transformer_lens,
    ),
    Layout(
        "pizza",
        "a transformer of Zhong et al. 2023's released code (clock and pizza)",
        _is_pizza,
        _from_pizza,
    ),
    Layout("nanda", "a network of Nanda et al. 2023's released code", _is_nanda, _from_nanda),
    Layout(
        "nanda_attention_only",
        "an attention-only network of Nanda et al. 2023's released notebook, whose blocks double the residual stream",
        _is_attention_only,
        _from_attention_only,
    ),
)
