"""Files of Hugging Face's architectures: OPT exactly, its kin refused by name, whatever else the caller specifies."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

import mechgrok as mg
from mechgrok.models.layouts import model_from_tensors

P, D, HEADS, LAYERS, HIDDEN = 7, 12, 3, 2, 20
TASK = mg.modular_task("add", P)
CONFIG = {
    "model_type": "opt",
    "transformers_version": "4.57.0",
    "activation_function": "relu",
    "num_attention_heads": HEADS,
    "hidden_size": D,
    "word_embed_proj_dim": D,
    "do_layer_norm_before": True,
}
SAID = mg.ModelConfig(n_heads=HEADS, act_fn="relu", attention_dir="causal", norm_position="pre")


def opt() -> dict[str, Tensor]:
    """A drawn OPT under Hugging Face's names; the table of positions has two rows more than it has positions."""
    generator = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {
        "embed_tokens.weight": (P + 1, D),
        "embed_positions.weight": (3 + 2, D),
    }
    for i in range(LAYERS):
        for part in ("self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.out_proj"):
            shapes |= {f"layers.{i}.{part}.weight": (D, D), f"layers.{i}.{part}.bias": (D,)}
        for part in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"layers.{i}.{part}.weight": (D,), f"layers.{i}.{part}.bias": (D,)}
        shapes |= {f"layers.{i}.fc1.weight": (HIDDEN, D), f"layers.{i}.fc1.bias": (HIDDEN,)}
        shapes |= {f"layers.{i}.fc2.weight": (D, HIDDEN), f"layers.{i}.fc2.bias": (D,)}
    shapes |= {"final_layer_norm.weight": (D,), "final_layer_norm.bias": (D,)}
    return {
        f"model.decoder.{name}": 0.4 * torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }


def logits(w: dict[str, Tensor], *, before: bool = True) -> Tensor:
    """What OPT computes, at the last position."""

    def linear(x: Tensor, name: str) -> Tensor:
        return functional.linear(x, w[f"model.decoder.{name}.weight"], w[f"model.decoder.{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(
            x, (D,), w[f"model.decoder.{name}.weight"], w[f"model.decoder.{name}.bias"]
        )

    def attend(x: Tensor, place: str) -> Tensor:
        q, k, v = (
            linear(x, f"{place}.{n}_proj").unflatten(-1, (HEADS, -1)).transpose(1, 2) for n in ("q", "k", "v")
        )
        z = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return linear(z.transpose(1, 2).flatten(2), f"{place}.out_proj")

    def feed(x: Tensor, place: str) -> Tensor:
        return linear(functional.relu(linear(x, f"{place}.fc1")), f"{place}.fc2")

    places = torch.arange(3) + 2
    x = (
        w["model.decoder.embed_tokens.weight"][TASK.tokens]
        + w["model.decoder.embed_positions.weight"][places]
    )
    for i in range(LAYERS):
        first, second = f"layers.{i}.self_attn_layer_norm", f"layers.{i}.final_layer_norm"
        if before:
            x = x + attend(norm(x, first), f"layers.{i}.self_attn")
            x = x + feed(norm(x, second), f"layers.{i}")
        else:
            x = norm(x + attend(x, f"layers.{i}.self_attn"), first)
            x = norm(x + feed(x, f"layers.{i}"), second)
    if "model.decoder.final_layer_norm.weight" in w:
        x = norm(x, "final_layer_norm")
    readout = w.get("lm_head.weight", w["model.decoder.embed_tokens.weight"])
    return functional.linear(x, readout)[:, -1]


def assert_exact(model: mg.HookedTransformer, expected: Tensor) -> None:
    torch.testing.assert_close(model(TASK.tokens)[:, -1], expected, rtol=1e-5, atol=1e-5)


def header(**changes: object) -> dict[str, str]:
    return {"config": json.dumps(CONFIG | changes)}


@pytest.mark.parametrize("readout", ["left out", "stored", "of its own"])
def test_opt_is_read_exactly(readout: str):
    tensors, changes = opt(), {}
    if readout == "stored":
        tensors["lm_head.weight"] = tensors["model.decoder.embed_tokens.weight"].clone()
    if readout == "of its own":
        tensors["lm_head.weight"] = torch.randn(P + 1, D, generator=torch.Generator().manual_seed(1))
        changes = {"tie_word_embeddings": False}
    model = model_from_tensors(tensors, header(**changes))
    assert (model.cfg.n_ctx, model.cfg.norm_position, model.cfg.final_norm) == (3, "pre", True)
    assert "the first token is at row 2 of model.decoder.embed_positions.weight" in model.layout
    assert_exact(model, logits(tensors))


def test_opt_with_norms_after_the_sublayers():
    tensors = {name: t for name, t in opt().items() if "decoder.final_layer_norm" not in name}
    model = model_from_tensors(tensors, header(do_layer_norm_before=False))
    assert_exact(model, logits(tensors, before=False))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_as_hugging_face_writes_it(tmp_path: Path, name: str):
    tensors = opt()
    if name.endswith("bin"):
        torch.save(tensors, tmp_path / name)
    else:
        save_file(tensors, tmp_path / name, {"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    for path in (tmp_path, tmp_path / name):
        assert_exact(mg.load_model(path), logits(tensors))
    truth = mg.accuracy(mg.grid_from_tensors(TASK, logits(tensors)[:, :P]))
    assert mg.accuracy(mg.cache_grid(str(tmp_path), TASK)) == truth


@pytest.mark.parametrize("settings", [{}, {"num_attention_heads": HEADS, "activation_function": "relu"}])
def test_the_names_alone_tell_too_little(settings: dict[str, object]):
    with pytest.raises(mg.CheckpointError) as refused:
        model_from_tensors(opt(), {"config": json.dumps(settings)} if settings else {}, config=SAID)
    text = str(refused.value)
    assert "OPT, BioGPT, BART and fairseq" in text
    assert "the first token is at row 2 of the positions, or at row 0" in text
    assert "put their config.json beside the file" in text
    assert (
        "rename={'model.decoder.embed_positions.weight': 'pos_embed.W_pos', 'model.decoder.embed_tokens"
        in text
    )
    assert len(text) < 1000


def test_a_network_of_ones_own_with_these_names_is_renamed():
    tensors = opt()
    rename = {
        "model.decoder.embed_positions.weight": "pos_embed.W_pos",
        "model.decoder.embed_tokens.weight": "embed.W_E",
    }
    tied = {"config": '{"tie_word_embeddings": true}'}
    model = model_from_tensors(tensors, tied, config=SAID, rename=rename)
    shifted = {
        **tensors,
        "model.decoder.embed_positions.weight": tensors["model.decoder.embed_positions.weight"],
    }
    shifted["model.decoder.embed_positions.weight"] = shifted["model.decoder.embed_positions.weight"].roll(
        2, 0
    )
    assert_exact(model, logits(shifted))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model_type": "biogpt"}, "Hugging Face's 'biogpt'"),
        ({"model_type": "never_heard_of"}, "Hugging Face's 'never_heard_of'"),
        ({"scale_embedding": True}, "scale_embedding=True, which cannot be represented"),
        ({"word_embed_proj_dim": 6}, "word_embed_proj_dim=6, which cannot be represented"),
        ({"model_type": "gpt2"}, "Hugging Face's 'gpt2', but no tensor is called as there"),
    ],
)
def test_what_the_configuration_says_beyond_ours_is_refused(changes: dict[str, object], text: str):
    with pytest.raises(mg.CheckpointError, match=text):
        model_from_tensors(opt(), header(**changes))


def test_a_readout_that_is_tied_and_differs_is_refused():
    tensors = {**opt(), "lm_head.weight": torch.ones(P + 1, D)}
    with pytest.raises(mg.CheckpointError, match=r"tied to the embedding, but lm_head.weight and .* differ"):
        model_from_tensors(tensors, header(tie_word_embeddings=True))


def block(
    stem: str, attention: dict[str, str], norms: tuple[str, str], mlp: dict[str, str]
) -> dict[str, Tensor]:
    shapes = {"o": (D, D), "q": (D, D), "qkv": (3 * D, D), "wide": (HIDDEN, D), "narrow": (D, HIDDEN)}
    linear = attention | mlp
    return {
        **{f"{stem}{name}.weight": torch.ones(shapes[kind]) for name, kind in linear.items()},
        **{f"{stem}{name}.{part}": torch.ones(D) for name in norms for part in ("weight", "bias")},
    }


SEPARATE = {"q_proj": "q", "k_proj": "q", "v_proj": "q"}
KIN = {
    "OPT, BioGPT, BART and fairseq": {
        "biogpt.embed_tokens.weight": torch.ones(P + 1, D),
        "biogpt.embed_positions.weight": torch.ones(5, D),
        **block(
            "biogpt.layers.0.",
            {f"self_attn.{name}": kind for name, kind in (SEPARATE | {"out_proj": "o"}).items()},
            ("self_attn_layer_norm", "final_layer_norm"),
            {"fc1": "wide", "fc2": "narrow"},
        ),
        "output_projection.weight": torch.ones(P + 1, D),
    },
    "LLaMA, Gemma, Phi, XGLM and others": {
        "model.embed_tokens.weight": torch.ones(P + 1, D),
        **block(
            "model.layers.0.",
            {f"self_attn.{name}": kind for name, kind in (SEPARATE | {"o_proj": "o"}).items()},
            ("input_layernorm", "post_attention_layernorm"),
            {"mlp.gate_proj": "wide", "mlp.up_proj": "wide", "mlp.down_proj": "narrow"},
        ),
        "model.norm.weight": torch.ones(D),
        "lm_head.weight": torch.ones(P + 1, D),
    },
    "GPT-Neo": {
        "transformer.wte.weight": torch.ones(P + 1, D),
        "transformer.wpe.weight": torch.ones(3, D),
        **block(
            "transformer.h.0.",
            {f"attn.attention.{name}": kind for name, kind in (SEPARATE | {"out_proj": "o"}).items()},
            ("ln_1", "ln_2"),
            {"mlp.c_fc": "wide", "mlp.c_proj": "narrow"},
        ),
        "lm_head.weight": torch.ones(P + 1, D),
    },
    "GPT-NeoX, BLOOM, Falcon and Megatron": {
        "gpt_neox.embed_in.weight": torch.ones(P + 1, D),
        **block(
            "gpt_neox.layers.0.",
            {"attention.query_key_value": "qkv", "attention.dense": "o"},
            ("input_layernorm", "post_attention_layernorm"),
            {"mlp.dense_h_to_4h": "wide", "mlp.dense_4h_to_h": "narrow"},
        ),
        "embed_out.weight": torch.ones(P + 1, D),
    },
    "MPT": {
        "transformer.wte.weight": torch.ones(P + 1, D),
        **block(
            "transformer.blocks.0.",
            {"attn.Wqkv": "qkv", "attn.out_proj": "o"},
            ("norm_1", "norm_2"),
            {"ffn.up_proj": "wide", "ffn.down_proj": "narrow"},
        ),
        "lm_head.weight": torch.ones(P + 1, D),
    },
    "CTRL": {
        "transformer.w.weight": torch.ones(P + 1, D),
        **block(
            "transformer.h.0.",
            {f"multi_head_attention.{name}": "q" for name in ("Wq", "Wk", "Wv", "dense")},
            ("layernorm1", "layernorm2"),
            {"ffn.0": "wide", "ffn.2": "narrow"},
        ),
        "lm_head.weight": torch.ones(P + 1, D),
    },
}


@pytest.mark.parametrize("heads", [1, HEADS])
@pytest.mark.parametrize("who", KIN)
def test_kin_is_refused_by_name_whatever_the_caller_says(who: str, heads: int):
    said = SAID.model_dump(include=SAID.model_fields_set) | {"n_heads": heads, "positions": "none"}
    with pytest.raises(mg.CheckpointError, match=rf"Hugging Face's {who}.*config.json.*rename=") as refused:
        model_from_tensors(KIN[who], config=mg.ModelConfig(**said))
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "name", ["embeddings.LayerNorm", "emb_norm", "ln_pre", "layernorm_embedding", "norm_in"]
)
def test_a_norm_before_the_blocks_is_not_taken_for_the_last_one(name: str):
    tensors = {name: t for name, t in opt().items() if "decoder.final_layer_norm" not in name}
    tensors |= {f"{name}.weight": torch.ones(D), f"{name}.bias": torch.ones(D)}
    with pytest.raises(mg.CheckpointError, match=r"norm of the embedding, before the blocks.*ln_final"):
        model_from_tensors(tensors, header())


def gpt(*, in_turn: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """nanoGPT's tensors, or those of GPT-BigCode with a key and a value for each head, and the queries and so on."""
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(3, HEADS, D // HEADS, D, generator=generator)
    biases = torch.randn(3, HEADS, D // HEADS, generator=generator)
    order = (1, 0, 2) if in_turn else (0, 1, 2)
    fused = {
        "attn.c_attn.weight": qkv.permute(*order, 3).reshape(3 * D, D),
        "attn.c_attn.bias": biases.permute(*order).flatten(),
    }
    shapes = {"attn.c_proj": (D, D), "mlp.c_fc": (HIDDEN, D), "mlp.c_proj": (D, HIDDEN)}
    parts = {f"{name}.weight": torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    parts |= {f"{name}.bias": torch.randn(shape[0], generator=generator) for name, shape in shapes.items()}
    norms = {
        f"{name}.{part}": torch.ones(D)
        for name in ("h.0.ln_1", "h.0.ln_2", "ln_f")
        for part in ("weight", "bias")
    }
    embeddings = {"wte.weight": torch.randn(P + 1, D, generator=generator), "wpe.weight": torch.ones(3, D)}
    inside = {**embeddings, **{f"h.0.{name}": t for name, t in (fused | parts).items()}, **norms}
    return {f"transformer.{name}": t for name, t in inside.items()}, {"Q": qkv[0], "K": qkv[1], "V": qkv[2]}


def nano(n_heads: int) -> mg.ModelConfig:
    return mg.ModelConfig(
        n_heads=n_heads, act_fn="gelu", attention_dir="causal", normalization="LN", norm_position="pre"
    )


NANO = nano(HEADS)
TIED = {"lm_head.weight": "transformer.wte.weight"}


def nano_tensors() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    tensors, heads = gpt(in_turn=False)
    return tensors | {new: tensors[old] for new, old in TIED.items()}, heads


@pytest.mark.parametrize("in_turn", [True, False])
def test_names_that_nanogpt_and_gpt_bigcode_share_do_not_tell_the_order(in_turn: bool):
    tensors, _ = gpt(in_turn=in_turn)
    with pytest.raises(mg.CheckpointError, match="GPT-BigCode, where these three lie in turn") as refused:
        model_from_tensors(tensors, config=NANO)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("told", ["configuration", "mask", "rename"])
def test_nanogpt_is_told_by_its_configuration_its_mask_or_the_caller(told: str):
    tensors, heads = nano_tensors()
    header = {"config": '{"model_args": {"block_size": 3}}'} if told == "configuration" else {}
    if told == "mask":
        tensors["transformer.h.0.attn.bias"] = torch.ones(3, 3).tril()[None, None]
    names = [name for name in tensors if "c_attn" in name]
    rename = {name: name.replace("c_attn", "qkv") for name in names} if told == "rename" else None
    model = model_from_tensors(tensors, header, config=NANO, rename=rename)
    for letter, weight in heads.items():
        torch.testing.assert_close(getattr(model.blocks[0].attn, f"W_{letter}"), weight.mT)


def test_with_one_head_both_orders_are_the_same():
    tensors, heads = nano_tensors()
    model = model_from_tensors(tensors, config=nano(1))
    torch.testing.assert_close(model.blocks[0].attn.W_Q[0], heads["Q"].flatten(0, 1).T)


def test_without_biases_it_is_nanogpt():
    tensors, _ = nano_tensors()
    model = model_from_tensors(
        {name: t for name, t in tensors.items() if not name.endswith("bias")}, config=NANO
    )
    assert "all Q, then all K, then all V" in model.layout
