"""Transformers written with `torch.nn.MultiheadAttention`, as blocks of one's own or a TransformerEncoder."""

import re

from torch import Tensor

from mechgrok.config import Activation, ModelConfig
from mechgrok.models.layouts.source import Converted, Layout, RefusedError, Source, number_of_heads

FUSED = "in_proj_weight"
ACTIVATIONS: dict[str, Activation] = {"relu": "relu", "gelu": "gelu"}
READOUT = re.compile(r"unemb|head|out|decoder|classif|logit|^fc|^linear|^proj")
WITHIN_BLOCK = re.compile(
    r"(^|\.)(ln_?[12]|(layer_?)?norm_?[12]|mlp|ffn?|feed_?forward|linear_?[12]|fc_?[12])\b"
)


def _is_fused(source: Source) -> bool:
    return any(name.endswith(FUSED) for name in source.tensors)


def _from_fused(source: Source) -> Converted:
    """Pre-LN blocks with a final LayerNorm, or no LayerNorm at all; the answer is read at the last position.

    Taken for granted where neither the caller nor the author's configuration says otherwise: GELU, and
    attention in both directions.
    """
    blocks, outside = _parts(source)
    n_heads = number_of_heads(source)
    state = _outer_state(outside)
    for i, block in enumerate(blocks):
        state |= {f"blocks.{i}.{name}": t for name, t in _block_state(block, n_heads).items()}
    normalised = "ln_final.w" in state
    if any((f"blocks.{i}.ln1.w" in state) != normalised for i in range(len(blocks))):
        raise RefusedError(
            "it has LayerNorms in the blocks or after them but not both, so it is post-LN or has no final "
            "LayerNorm; only pre-LN blocks with a final LayerNorm can be represented"
        )
    if normalised:
        _check_pre_norm(source)
    config = ModelConfig(
        d_vocab=state["embed.W_E"].shape[0],
        d_vocab_out=state["unembed.W_U"].shape[1],
        n_ctx=state["pos_embed.W_pos"].shape[0] if "pos_embed.W_pos" in state else 3,
        n_layers=len(blocks),
        d_model=state["embed.W_E"].shape[1],
        n_heads=n_heads,
        d_head=state["blocks.0.attn.W_Q"].shape[2],
        d_mlp=state["blocks.0.mlp.W_in"].shape[1] if "blocks.0.mlp.W_in" in state else 0,
        attn_only="blocks.0.mlp.W_in" not in state,
        act_fn=_activation(source),
        attention_dir="causal" if source.settings.get("causal") else "bidirectional",
        positions="learned" if "pos_embed.W_pos" in state else "none",
        normalization="LN" if normalised else None,
        attn_bias="blocks.0.attn.b_Q" in state,
        mlp_bias="blocks.0.mlp.b_in" in state,
        unembed_bias="unembed.b_U" in state,
    )
    return Converted(config, state)


def _activation(source: Source) -> Activation:
    name = str(source.settings.get("act_fn", source.settings.get("activation", "gelu"))).lower()
    if name not in ACTIVATIONS:
        raise RefusedError(
            f"its activation function is {name!r}; only {', '.join(ACTIVATIONS)} can be represented"
        )
    return ACTIVATIONS[name]


def _check_pre_norm(source: Source) -> None:
    """A `TransformerEncoderLayer` is post-LN unless told otherwise, and its tensors do not tell."""
    said = source.settings.get("norm_first", "normalization" in source.known or None)
    is_encoder_layer = any(name.endswith(f"self_attn.{FUSED}") for name in source.tensors) and any(
        name.endswith("linear1.weight") for name in source.tensors
    )
    if said is False or (is_encoder_layer and said is None):
        raise RefusedError(
            "only pre-LN blocks can be represented, and a torch.nn.TransformerEncoderLayer is post-LN unless it "
            "was built with norm_first=True. If it was, say config=ModelConfig(normalization='LN', ...), or put "
            '"norm_first": true into a config_<name>.json beside the file'
        )


def _parts(source: Source) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """The tensors of each block, by the rest of their names, and those outside of the blocks."""
    fused = sorted(name for name in source.tensors if name.endswith(FUSED))
    numbered = [match for name in fused if (match := re.match(r"(.*?)(\d+)\.", name))]
    if not numbered:
        own = {name: t for name, t in source.tensors.items() if "proj" in name or WITHIN_BLOCK.search(name)}
        return [own], {name: t for name, t in source.tensors.items() if name not in own}
    numbered.sort(key=lambda match: int(match[2]))
    blocks = [
        {name[match.end() :]: t for name, t in source.tensors.items() if name.startswith(match[0])}
        for match in numbered
    ]
    stems = tuple(match[0] for match in numbered)
    return blocks, {name: t for name, t in source.tensors.items() if not name.startswith(stems)}


def _block_state(block: dict[str, Tensor], n_heads: int) -> dict[str, Tensor]:
    fused = next(t for name, t in block.items() if name.endswith(FUSED))
    d_model = fused.shape[1]
    if d_model % n_heads:
        raise RefusedError(f"{n_heads} heads do not divide a width of {d_model}")
    d_head = d_model // n_heads
    out = {}
    for letter, matrix in zip("QKV", fused.chunk(3), strict=True):
        out[f"attn.W_{letter}"] = matrix.reshape(n_heads, d_head, d_model).mT
    for name, t in block.items():
        if name.endswith("in_proj_bias"):
            for letter, bias in zip("QKV", t.chunk(3), strict=True):
                out[f"attn.b_{letter}"] = bias.reshape(n_heads, d_head)
        elif name.endswith("out_proj.weight"):
            out["attn.W_O"] = t.mT.reshape(n_heads, d_head, d_model)
        elif name.endswith("out_proj.bias"):
            out["attn.b_O"] = t
    rest = {name: t for name, t in block.items() if "in_proj_" not in name and "out_proj." not in name}
    return out | _norms(rest) | _mlp(rest)


def _norms(rest: dict[str, Tensor]) -> dict[str, Tensor]:
    weights = sorted(name for name, t in rest.items() if name.endswith("weight") and t.ndim == 1)
    out = {}
    for i, name in enumerate(weights, start=1):
        out |= {f"ln{i}.w": rest[name], f"ln{i}.b": rest[_bias_of(name)]}
    return out


def _mlp(rest: dict[str, Tensor]) -> dict[str, Tensor]:
    weights = sorted(name for name, t in rest.items() if name.endswith("weight") and t.ndim == 2)
    if len(weights) not in (0, 2):
        raise RefusedError(
            f"a block has the linear layers {weights}; only one hidden layer can be represented"
        )
    out = {}
    for name, ours in zip(weights, ("in", "out"), strict=False):
        out[f"mlp.W_{ours}"] = rest[name].mT
        if _bias_of(name) in rest:
            out[f"mlp.b_{ours}"] = rest[_bias_of(name)]
    return out


def _outer_state(outside: dict[str, Tensor]) -> dict[str, Tensor]:
    """Embedding, positions, final LayerNorm and read-out, told apart by their names."""
    found: dict[str, str] = {}
    for name, tensor in outside.items():
        if name.endswith("bias"):
            continue
        role = _role(name, tensor)
        if role in found:
            raise RefusedError(f"{found[role]} and {name} both look like the {role}")
        found[role] = name
    missing = {"embedding", "read-out"} - found.keys()
    if missing:
        raise RefusedError(f"no tensor looks like the {' or the '.join(sorted(missing))}")
    state = {"embed.W_E": outside[found["embedding"]], "unembed.W_U": outside[found["read-out"]].mT}
    if "positions" in found:
        positions = outside[found["positions"]]
        state["pos_embed.W_pos"] = positions.reshape(-1, positions.shape[-1])
    if "norm" in found:
        state["ln_final.w"] = outside[found["norm"]]
    biases = {"norm": "ln_final.b", "read-out": "unembed.b_U"}
    owners = {_bias_of(found[role]): ours for role, ours in biases.items() if role in found}
    return state | {owners.get(name, name): t for name, t in outside.items() if name.endswith("bias")}


def _role(name: str, tensor: Tensor) -> str:
    if tensor.ndim == 1:
        return "norm"
    if "pos" in name.lower():
        return "positions"
    return "read-out" if READOUT.search(name.lower()) else "embedding"


def _bias_of(weight: str) -> str:
    return re.sub(r"weight$", "bias", weight)


TORCH_ATTENTION = (
    Layout(
        "torch_attention",
        "a transformer with torch.nn.MultiheadAttention",
        _is_fused,
        _from_fused,
    ),
)
