"""Randomly drawn files as other people write them: names, orders, masks, configurations, and omissions."""

import json
import random
from dataclasses import dataclass
from typing import Any

import torch
from plain_transformer import Plain
from torch import Tensor

from mechgrok.config import ModelConfig

NORMS = [
    ("ln1", "ln2"),
    ("norm1", "norm2"),
    ("attn_norm", "ffn_norm"),
    ("self_attn_norm", "ffn_norm"),
    ("input_layernorm", "post_attention_layernorm"),
    ("ln_1", "ln_2"),
    ("norm_attn", "norm_mlp"),
    ("layer_norm1", "layer_norm2"),
    ("z_norm", "a_norm"),
    ("ln_attn", "ln_mlp"),
]
MLPS = [
    ("fc1", "fc2"),
    ("up", "down"),
    ("w1", "w2"),
    ("linear1", "linear2"),
    ("mlp.0", "mlp.2"),
    ("mlp.net.0", "mlp.net.3"),
    ("mlp.c_fc", "mlp.c_proj"),
    ("ffn.up_proj", "ffn.down_proj"),
    ("mlp.fc_in", "mlp.fc_out"),
    ("mlp.in", "mlp.out"),
    ("feed_forward.w_1", "feed_forward.w_2"),
    ("mlp.zig", "mlp.alf"),
    ("intermediate.dense", "output.dense"),
    ("ff.wide", "ff.narrow"),
]
GATED = [
    ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    ("ffn.w1", "ffn.w3", "ffn.w2"),
    ("mlp.gate", "mlp.up", "mlp.down"),
    ("mlp.w1", "mlp.w2", "mlp.w3"),
    ("ffn.x", "ffn.y", "ffn.z"),
]
SEPARATE = [
    ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.o_proj"),
    ("attn.query", "attn.key", "attn.value", "attn.proj"),
    ("attention.wq", "attention.wk", "attention.wv", "attention.wo"),
    ("mha.W_q", "mha.W_k", "mha.W_v", "mha.W_o"),
    ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.out"),
    ("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0"),
    ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
]
FUSED = [
    ("attn.qkv", "attn.proj"),
    ("attn.c_attn", "attn.c_proj"),
    ("attn.Wqkv", "attn.out_proj"),
    ("attn.to_qkv", "attn.to_out"),
    ("attn.in_proj", "attn.out_proj"),
    ("self_attn.qkv_proj", "self_attn.o_proj"),
]
OUTER = [
    ("tok_emb", "pos_emb", "head"),
    ("embed", "pos_embed", "unembed"),
    ("wte", "wpe", "lm_head"),
    ("token_embedding", "position_embedding", "fc_out"),
    ("embedding", "pos_encoding", "output"),
    ("tok", "pos", "out"),
    ("embed_tokens", "positions", "classifier"),
    ("word_embeddings", "position_embeddings", "decoder"),
]
FINAL = ["ln_f", "norm", "final_norm", "ln_final", "norm_f"]
STEMS = ["blocks.{}.", "layers.{}.", "transformer.h.{}.", "encoder.layers.{}.", "block_{}.", "net.blocks.{}."]
SPELLINGS: dict[str, list[str]] = {
    "n_heads": ["n_heads", "num_heads", "nhead", "n_head", "num_attention_heads"],
    "act_fn": ["act_fn", "activation", "hidden_act", "activation_function"],
    "attention_dir": ["attention_dir", "causal", "is_causal", "bidirectional"],
    "norm_position": ["norm_first", "pre_norm", "post_norm", "norm_position"],
    "normalization": ["normalization_type", "norm_type", "normalization"],
    "final_norm": ["final_norm", "use_final_norm"],
    "norm_eps": ["layer_norm_eps", "norm_eps", "rms_norm_eps", "layer_norm_epsilon"],
}


@dataclass
class DrawnFile:
    """A file and the truth about it.

    Attributes:
        complete: everything is told, each name says what it is, and our networks can represent it.
    """

    plain: Plain
    tensors: dict[str, Tensor]
    header: dict[str, str]
    config: ModelConfig | None
    complete: bool


def draw_file(seed: int) -> DrawnFile:
    """The file of a seed."""
    rng = random.Random(seed)
    plain = Plain.draw(rng)
    lens = rng.random() < 0.2 and not plain.post
    clear = not (plain.mlp_bias and plain.gated) and plain.act_fn != "mish"
    if lens:
        tensors = _lens(plain)
        clear = clear and (plain.final or plain.norm is None)
    else:
        tensors, named = _torch(plain, rng)
        clear = clear and named
    masked = rng.random() < 0.3
    if masked:
        tensors |= _masks(plain, rng, lens=lens)
    if rng.random() < 0.3:
        tensors = dict(sorted(tensors.items()))
        clear = clear and not any(vague in name for vague in ("zig", "z_norm", "ff.wide") for name in tensors)
    facts = _facts(plain, lens=lens)
    if masked and not lens and rng.random() < 0.5:
        del facts["attention_dir"]
    # Nobody says the usual eps of a LayerNorm, so that another one has to be said.
    usual = plain.norm in ("LN", "LNPre")
    granted = ({"norm_eps"} if usual else set()) | ({"final_norm"} if lens else set())
    forgettable = [name for name in facts if name not in granted]
    forgotten = rng.choice(forgettable) if rng.random() < 0.2 else None
    told = {name: value for name, value in facts.items() if name != forgotten}
    config, settings = _tell(told, rng)
    return DrawnFile(
        plain,
        tensors,
        {"config": json.dumps(settings)} if settings else {},
        config,
        clear and forgotten is None,
    )


def _lens(plain: Plain) -> dict[str, Tensor]:
    """As TransformerLens names its weights."""
    w, h = plain.w, plain.heads
    out = {"embed.W_E": w["E"], "pos_embed.W_pos": w["pos"], "unembed.W_U": w["U"]}
    names = {"up": "mlp.W_in", "gate": "mlp.W_gate", "down": "mlp.W_out"}
    for name, tensor in w.items():
        layer, _, rest = name.partition(".")
        if name == "U.b":
            out["unembed.b_U"] = tensor
        elif name.startswith("final"):
            out["ln_final.b" if name.endswith(".b") else "ln_final.w"] = tensor
        elif layer.isdigit():
            part, _, bias = rest.partition(".")
            stem = f"blocks.{layer}."
            if part in ("ln1", "ln2"):
                out[f"{stem}{part}.{bias or 'w'}"] = tensor
            elif part in names:
                out[stem + (names[part].replace("W_", "b_") if bias else names[part])] = tensor
            elif bias:
                out[f"{stem}attn.b_{part.upper()}"] = tensor if part == "o" else tensor.reshape(h, -1)
            elif part == "o":
                out[f"{stem}attn.W_O"] = tensor.reshape(h, -1, plain.d)
            else:
                out[f"{stem}attn.W_{part.upper()}"] = tensor.reshape(plain.d, h, -1).permute(1, 0, 2)
    return {name: tensor.contiguous() for name, tensor in out.items()}


class _Writer:
    """Collects tensors of torch modules under drawn names."""

    def __init__(self, rng: random.Random, *, conv: bool, greek: bool) -> None:
        self.out: dict[str, Tensor] = {}
        self.conv, self.greek = conv, greek
        del rng

    def linear(self, name: str, matrix: Tensor, bias: Tensor | None, *, conv: bool | None = None) -> None:
        stored_as_it_is = self.conv if conv is None else conv
        self.out[f"{name}.weight"] = (matrix if stored_as_it_is else matrix.T).contiguous()
        if bias is not None:
            self.out[f"{name}.bias"] = bias

    def norm(self, name: str, weight: Tensor, bias: Tensor | None) -> None:
        self.out[f"{name}.{'gamma' if self.greek else 'weight'}"] = weight
        if bias is not None:
            self.out[f"{name}.{'beta' if self.greek else 'bias'}"] = bias


def _torch(plain: Plain, rng: random.Random) -> tuple[dict[str, Tensor], bool]:
    """As torch modules of one's own, and whether every name says what it is."""
    w, clear = plain.w, True
    style = rng.choice(["mha", "fused", "fused", "separate", "separate", "raw"])
    fused, conv = rng.choice(FUSED), False
    if style == "fused":
        conv = rng.random() < 0.3
    writer = _Writer(rng, conv=conv, greek=rng.random() < 0.3)
    norms, mlp, gated, separate = rng.choice(NORMS), rng.choice(MLPS), rng.choice(GATED), rng.choice(SEPARATE)
    token, position, read = rng.choice(OUTER)
    stem = rng.choice(STEMS) if plain.layers > 1 or rng.random() < 0.7 else ""
    parallel_lists = plain.layers > 1 and rng.random() < 0.1
    writer.out[f"{token}.weight"] = w["E"]
    writer.out[rng.choice([position, f"{position}.weight"])] = w["pos"].reshape(
        rng.choice([(3, -1), (1, 3, -1)])
    )
    for i in range(plain.layers):
        place = _place(stem.format(i), i, parallel_lists=parallel_lists)
        for j, name in enumerate(norms if not plain.attn_only else norms[:1], start=1):
            if f"{i}.ln{j}" in w:
                writer.norm(place(name), w[f"{i}.ln{j}"], w.get(f"{i}.ln{j}.b"))
                clear = clear and (name not in ("z_norm", "a_norm") or plain.attn_only or stem != "")
        qkv = [w[f"{i}.{x}"] for x in "qkv"]
        biases = [w.get(f"{i}.{x}.b") for x in "qkvo"]
        if style in ("mha", "fused"):
            interleaved = style == "fused" and fused[0].endswith("qkv_proj")
            clear = clear and not (interleaved and plain.heads > 1)
            matrix, bias = _fuse(qkv, biases, plain.heads if interleaved and rng.random() < 0.5 else 1)
            if style == "mha":
                writer.out[place("attn.in_proj_weight")] = matrix.T.contiguous()
                if bias is not None:
                    writer.out[place("attn.in_proj_bias")] = bias
                writer.linear(place("attn.out_proj"), w[f"{i}.o"], biases[3])
            else:
                writer.linear(place(fused[0]), matrix, bias)
                writer.linear(place(fused[1]), w[f"{i}.o"], biases[3])
        elif style == "separate":
            for name, x, bias in zip(separate, "qkvo", biases, strict=True):
                writer.linear(place(name), w[f"{i}.{x}"], bias)
        else:
            clear = _raw_heads(writer, plain, i, place, biases) and clear
        if not plain.attn_only:
            if plain.gated:
                clear = clear and gated[0] not in ("mlp.w1", "ffn.x")
                parts = zip(gated, ("gate", "up", "down"), strict=True)
                if gated[0] == "ffn.w1" and plain.hidden == plain.d:
                    clear = False
            else:
                parts = zip(mlp, ("up", "down"), strict=True)
                # Without a number or a list, such names could stand for anything.
            for name, x in parts:
                writer.linear(place(name), w[f"{i}.{x}"], w.get(f"{i}.{x}.b"))
    if plain.norm in ("LN", "RMS") and plain.final:
        writer.norm(rng.choice(FINAL), w["final"], w.get("final.b"))
    writer.linear(read, w["U"], w.get("U.b"), conv=False)
    if stem == "" or parallel_lists:
        clear = False  # opened more often than not, but which part is whose is for the names to say
    return writer.out, clear


def _place(stem: str, i: int, *, parallel_lists: bool) -> Any:
    if parallel_lists:
        return lambda name: f"{name.partition('.')[0]}_list.{i}.{name.partition('.')[2] or 'inner'}"
    return lambda name: stem + name


def _fuse(matrices: list[Tensor], biases: list[Tensor | None], groups: int) -> tuple[Tensor, Tensor | None]:
    """Queries, keys and values beside each other, as a whole or in turn for each of some groups."""
    parts = [m.unflatten(-1, (groups, -1)) for m in matrices]
    bias = (
        None
        if biases[0] is None
        else torch.stack([b.reshape(groups, -1) for b in biases[:3]], dim=1).flatten()
    )
    return torch.stack(parts, dim=2).flatten(1), bias


def _raw_heads(writer: _Writer, plain: Plain, i: int, place: Any, biases: list[Tensor | None]) -> bool:
    """Parameters of one's own, [head, d_model, d_head]; the axes tell themselves apart unless they are equal."""
    d, h = plain.d, plain.heads
    for x, bias in zip("QKV", biases, strict=False):
        writer.out[place(f"attn.W_{x}")] = (
            plain.w[f"{i}.{x.lower()}"].reshape(d, h, -1).permute(1, 0, 2).contiguous()
        )
        if bias is not None:
            writer.out[place(f"attn.b_{x}")] = bias.reshape(h, -1)
    writer.out[place("attn.W_O")] = plain.w[f"{i}.o"].reshape(h, -1, d).contiguous()
    if biases[3] is not None:
        writer.out[place("attn.b_O")] = biases[3]
    return h > 1


def _masks(plain: Plain, rng: random.Random, *, lens: bool) -> dict[str, Tensor]:
    """A mask in one of its usual forms; TransformerLens saves a causal one whatever it does."""
    size = rng.choice([3, 8])
    past = torch.ones(size, size).tril()
    if lens:
        return {f"blocks.{i}.attn.mask": past.bool() for i in range(plain.layers)} | {
            "blocks.0.attn.IGNORE": torch.tensor(-1e5)
        }
    if not plain.causal:
        return {"mask": torch.zeros(size, size)}
    forms = [
        past.bool(),
        past,
        past[None, None],
        (1 - past).bool(),
        torch.zeros(size, size).masked_fill(past == 0, -torch.inf),
    ]
    return {rng.choice(["mask", "causal_mask", "attn_mask", "tril"]): rng.choice(forms)}


def _facts(plain: Plain, *, lens: bool) -> dict[str, Any]:
    """What no tensor tells about this network, in our words."""
    facts: dict[str, Any] = {"attention_dir": "causal" if plain.causal else "bidirectional"}
    if not plain.attn_only:
        facts["act_fn"] = plain.act_fn
    if not lens:
        facts["n_heads"] = plain.heads
    if (
        plain.norm or lens
    ):  # TransformerLens folds the weights of norms away, so that no norms have to be said too
        facts["normalization"] = plain.norm
    if plain.norm:
        if plain.eps != 1e-5 or plain.norm.startswith("RMS"):
            facts["norm_eps"] = plain.eps
        if not lens:
            facts["norm_position"] = "post" if plain.post else "pre"
        if plain.norm.endswith("Pre"):
            facts["final_norm"] = plain.final
    return facts


def _tell(facts: dict[str, Any], rng: random.Random) -> tuple[ModelConfig | None, dict[str, Any]]:
    """Some facts by the caller, the others in the author's configuration, in its words."""
    by_caller = {name: value for name, value in facts.items() if value != "mish" and rng.random() < 0.5}
    if "norm_position" not in facts:
        by_caller.pop(
            "normalization", None
        )  # in our configuration it means pre-norm, unless that is said too
    settings: dict[str, Any] = {}
    for name in facts.keys() - by_caller.keys():
        key = rng.choice(SPELLINGS[name])
        settings[key] = _in_their_words(name, key, facts[name], rng)
    nested = {"model": settings, "lr": 1e-3} if rng.random() < 0.3 else settings
    return ModelConfig(**by_caller) if by_caller else None, nested if settings else {}


def _in_their_words(name: str, key: str, value: Any, rng: random.Random) -> Any:
    if key in ("causal", "is_causal"):
        return value == "causal"
    if key == "bidirectional":
        return value == "bidirectional"
    if key in ("norm_first", "pre_norm"):
        return value == "pre"
    if key == "post_norm":
        return value == "post"
    if name == "normalization" and value == "LN":
        return rng.choice(["LN", "LayerNorm", "layernorm"])
    if name == "act_fn":
        names = {
            "relu": ["ReLU", "relu", "nn.ReLU()"],
            "gelu": ["GELU", "gelu"],
            "silu": ["silu", "swish", "SiLU"],
        }
        return rng.choice(names.get(value, [value]))
    return value
