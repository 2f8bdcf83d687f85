"""Names of hooks: TransformerLens's full and short names, and the shapes that our networks pass to them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

Key = str | tuple[Any, ...]
"""A full name, "blocks.0.attn.hook_z", or a short one, ("z", 0)."""

_TOP = {"embed": "hook_embed", "pos_embed": "hook_pos_embed", "logits": "unembed.hook_out"}
_PARTS = {
    "attn": ("q", "k", "v", "z", "pattern", "attn_scores", "result"),
    "mlp": ("pre", "post"),
    "": ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "attn_in", "mlp_in"),
}
_PART_OF = {name: part for part, names in _PARTS.items() for name in names}
_OTHER_NAMES = {"attn": "pattern", "attn_logits": "attn_scores", "neurons": "post", "mlp": "post"}

SHORT_NAMES = (*_TOP, *_PART_OF)
"""Short names of hooks."""

TRANSFORMER_HOOKS: dict[str, tuple[str, str]] = {
    "hook_embed": ("batch pos d_model", "token embedding"),
    "hook_pos_embed": ("batch pos d_model", "positional embedding; with learned positions"),
    "blocks.0.hook_resid_pre": ("batch pos d_model", "residual stream before the block"),
    "blocks.0.ln1.hook_scale": ("batch pos 1", "what the stream is divided by; with a norm"),
    "blocks.0.ln1.hook_normalized": ("batch pos d_model", "the stream after that; with a norm"),
    "blocks.0.attn.hook_q": ("batch pos head d_head", "queries"),
    "blocks.0.attn.hook_k": ("batch pos head d_head", "keys"),
    "blocks.0.attn.hook_v": ("batch pos head d_head", "values"),
    "blocks.0.attn.hook_attn_scores": ("batch head query key", "scores before the softmax"),
    "blocks.0.attn.hook_pattern": ("batch head query key", "attention pattern, after the attention rate"),
    "blocks.0.attn.hook_z": ("batch pos head d_head", "values mixed by each head"),
    "blocks.0.hook_attn_out": ("batch pos d_model", "what the attention adds to the stream"),
    "blocks.0.hook_resid_mid": (
        "batch pos d_model",
        "residual stream between attention and MLP; not attn_only",
    ),
    "blocks.0.ln2.hook_scale": ("batch pos 1", "as ln1, before the MLP; with a norm, not attn_only"),
    "blocks.0.ln2.hook_normalized": (
        "batch pos d_model",
        "as ln1, before the MLP; with a norm, not attn_only",
    ),
    "blocks.0.mlp.hook_pre": ("batch pos d_mlp", "neurons before the activation function; not attn_only"),
    "blocks.0.mlp.hook_post": ("batch pos d_mlp", "neurons after it; not attn_only"),
    "blocks.0.hook_mlp_out": ("batch pos d_model", "what the MLP adds to the stream; not attn_only"),
    "blocks.0.hook_resid_post": ("batch pos d_model", "residual stream after the block"),
    "ln_final.hook_scale": ("batch pos 1", "as ln1, before the unembedding; with a norm"),
    "ln_final.hook_normalized": ("batch pos d_model", "as ln1, before the unembedding; with a norm"),
    "unembed.hook_out": ("batch pos d_vocab_out", "logits"),
}
"""Shape and meaning of each hook of a `HookedTransformer` of one layer; block i has the same hooks as block 0."""

MLP_HOOKS: dict[str, tuple[str, str]] = {
    "hook_embed": ("batch 2 d_model", "embeddings of the operands"),
    "hook_mlp_in": ("batch 1 d_in", "the operands combined, d_model or twice that"),
    "blocks.0.mlp.hook_pre": ("batch 1 d_mlp", "neurons before the activation function"),
    "blocks.0.mlp.hook_post": ("batch 1 d_mlp", "neurons after it"),
    "unembed.hook_out": ("batch 1 d_vocab_out", "logits"),
}
"""Shape and meaning of each hook of a `HookedMLP`."""


def hook_name(key: Key, n_layers: int = 1) -> str:
    """The full name of a hook.

    Args:
        key: the full name, returned unchanged; or TransformerLens's short form: ("z", 0), ("resid_post", -1) for
            the last of `n_layers` layers, "embed", ("scale", 0, "ln1"), ("scale",) for the final norm.

    >>> hook_name(("z", 0)), hook_name(("post", -1), 2), hook_name("embed")
    ('blocks.0.attn.hook_z', 'blocks.1.mlp.hook_post', 'hook_embed')
    """
    short, layer, *part = key if isinstance(key, tuple) and len(key) > 1 else (key, None)
    if isinstance(short, tuple):
        short = short[0] if short else ""
    short = _OTHER_NAMES.get(short, short)
    if not isinstance(short, str) or "hook_" in short:
        return str(short)
    if short in ("scale", "normalized") and not part:
        part = ["ln_final"] if layer is None else ["ln1"]
    place = part[0] if part else _PART_OF.get(short)
    if short in _TOP:
        return _TOP[short]
    if not isinstance(layer, int):
        return f"{place}.hook_{short}" if place == "ln_final" else short
    layer = layer + n_layers if layer < 0 else layer
    return ".".join(filter(None, (f"blocks.{layer}", place, f"hook_{short}")))


class NamedActivations(dict[str, Tensor]):
    """Activations by hook name, also in TransformerLens's short form: `cache["z", 0]`.

    >>> import torch
    >>> NamedActivations({"blocks.0.attn.hook_z": torch.ones(2)}, n_layers=1)["z", 0]
    tensor([1., 1.])
    """

    def __init__(self, activations: Mapping[str, Tensor], n_layers: int) -> None:
        super().__init__(activations)
        self.n_layers = n_layers

    def __missing__(self, key: Key) -> Tensor:
        from mechgrok.models.protocol import unknown_hook

        name = hook_name(key, self.n_layers)
        if name in self.keys():
            return self[name]
        raise unknown_hook(name, self, "the cache")
