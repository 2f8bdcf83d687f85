"""The networks that TransformerLens 4 builds by itself, named as in the state dict of a `TransformerBridge`."""

from torch import Tensor

from mechgrok.models.layouts.source import Converted, Layout, RefusedError, Source, has_shape, number_of_heads
from mechgrok.models.layouts.transformers import from_transformer_lens

OUTER = {"embed": "E", "pos_embed": "pos", "unembed": "U"}
INNER = {"q": "Q", "k": "K", "v": "V", "o": "O", "in": "in", "out": "out"}
LOOKED_UP = ("embed", "pos_embed")
"""Parts whose rows are looked up; the matrices of all others are those of linear layers, [outputs, inputs]."""


def _is_bridge(source: Source) -> bool:
    return has_shape(source, "blocks.0.attn.q.weight", 2) and has_shape(source, "embed.weight", 2)


def _from_bridge(source: Source) -> Converted:
    n_heads = number_of_heads(source)
    state = dict(_renamed(name, tensor, n_heads) for name, tensor in source.tensors.items())
    return from_transformer_lens(Source(state))


def _renamed(name: str, tensor: Tensor, n_heads: int) -> tuple[str, Tensor]:
    """A tensor under the name, and in the shape, of a `HookedTransformer`."""
    module, _, kind = name.rpartition(".")
    parent, _, part = module.rpartition(".")
    if part.startswith("ln"):
        return f"{module}.{kind[0]}", tensor
    if part not in OUTER | INNER:
        raise RefusedError(f"{name} has no counterpart in our networks")
    if part in "qkv":
        tensor = tensor.unflatten(0, (n_heads, -1))
    if kind == "weight" and part not in LOOKED_UP:
        tensor = tensor.mT
        if part == "o":
            tensor = tensor.unflatten(0, (n_heads, -1))
    letter = "W" if kind == "weight" else "b"
    own = f"{letter}_{(OUTER | INNER)[part]}"
    return f"{part if part in OUTER else parent}.{own}", tensor.contiguous()


BRIDGE = (
    Layout(
        "transformer_bridge",
        "a TransformerLens TransformerBridge (4), taken to be causal with ReLU",
        _is_bridge,
        _from_bridge,
    ),
)
