"""TransformerLens 4's native networks, named as in the state dict of a `TransformerBridge`."""

from torch import Tensor

from mechgrok.models.layouts.architecture import as_transformer
from mechgrok.models.layouts.facts import Facts
from mechgrok.models.layouts.refusals import RefusedError
from mechgrok.models.layouts.stored_network import LAYOUTS, Converted, StoredNetwork, has_shape

OUTER = {"embed": "E", "pos_embed": "pos", "unembed": "U"}
INNER = {"q": "Q", "k": "K", "v": "V", "o": "O", "in": "in", "out": "out", "gate": "gate"}
LOOKED_UP = ("embed", "pos_embed")
"""Parts whose rows are looked up; all others are matrices of linear layers, [outputs, inputs]."""


def _is_bridge(stored: StoredNetwork) -> bool:
    return has_shape(stored, "blocks.0.attn.q.weight", 2) and has_shape(stored, "embed.weight", 2)


@LAYOUTS.add("transformer_bridge", title="a TransformerLens TransformerBridge (4)", detect=_is_bridge)
def _from_bridge(stored: StoredNetwork) -> Converted:
    facts = Facts(stored)
    n_heads = facts.find("n_heads") or 1  # if missing, refused together with everything else missing
    width = stored.tensors["blocks.0.attn.q.weight"].shape[0]
    if width % int(n_heads):
        raise RefusedError(f"{n_heads} heads do not divide a width of {width}")
    state = dict(_renamed(name, tensor, int(n_heads)) for name, tensor in stored.tensors.items())
    return as_transformer(state, facts, lens=True)


def _renamed(name: str, tensor: Tensor, n_heads: int) -> tuple[str, Tensor]:
    """A tensor under the name, and in the shape, of a `HookedTransformer`."""
    module, _, kind = name.rpartition(".")
    parent, _, part = module.rpartition(".")
    if part.startswith("ln"):
        return f"{module}.{kind[0]}", tensor
    if part not in OUTER | INNER:
        # Left over, and reported by the caller as an unused tensor.
        return name, tensor
    if part in "qkv":
        tensor = tensor.unflatten(0, (n_heads, -1))
    if kind == "weight" and part not in LOOKED_UP:
        tensor = tensor.mT
        if part == "o":
            tensor = tensor.unflatten(0, (n_heads, -1))
    letter = "W" if kind == "weight" else "b"
    own = f"{letter}_{(OUTER | INNER)[part]}"
    return f"{part if part in OUTER else parent}.{own}", tensor.contiguous()
