"""Other people's tensors: recognised, converted without changing the function, or refused by name."""

import json
import math

import pytest
import torch
from torch import Tensor

from mechgrok.config import ModelConfig
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.layouts import CONFIG_KEY, LAYOUTS, model_from_tensors
from mechgrok.models.transformer import HookedTransformer

CFG = ModelConfig(d_vocab=8, d_vocab_out=8, n_ctx=3, d_model=6, n_heads=2, d_head=5, d_mlp=9)
SAID = ModelConfig(act_fn="relu", attention_dir="causal", normalization=None)
"""What no tensor tells."""
TOKENS = torch.cartesian_prod(torch.arange(7), torch.arange(7), torch.tensor([7]))


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def nanda_tensors() -> dict[str, Tensor]:
    """As the released code saves them: matrices act from the left, W_O holds the heads side by side."""
    shapes = {
        "embed.W_E": (6, 8), "pos_embed.W_pos": (3, 6), "unembed.W_U": (6, 8),
        "blocks.0.attn.W_K": (2, 5, 6), "blocks.0.attn.W_Q": (2, 5, 6), "blocks.0.attn.W_V": (2, 5, 6),
        "blocks.0.attn.W_O": (6, 10), "blocks.0.mlp.W_in": (9, 6), "blocks.0.mlp.b_in": (9,),
        "blocks.0.mlp.W_out": (6, 9), "blocks.0.mlp.b_out": (6,),
    }  # fmt: skip
    tensors = {name: draw(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}
    return {**tensors, "blocks.0.attn.mask": torch.tril(torch.ones(3, 3))}


def nanda_forward(w: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """The released code's formulas in its own layout, at all positions."""
    x = w["embed.W_E"][:, tokens].permute(1, 2, 0) + w["pos_embed.W_pos"][: tokens.shape[1]]
    q, k, v = (torch.einsum("ihd,bpd->biph", w[f"blocks.0.attn.W_{m}"], x) for m in "QKV")
    scores = torch.einsum("biph,biqh->biqp", k, q) / math.sqrt(q.shape[-1])
    scores = scores.masked_fill(w["blocks.0.attn.mask"] == 0, -1e10)
    z = torch.einsum("biph,biqp->biqh", v, scores.softmax(-1))
    flat = z.permute(0, 2, 1, 3).flatten(2)
    x = x + torch.einsum("df,bqf->bqd", w["blocks.0.attn.W_O"], flat)
    hidden = torch.einsum("md,bpd->bpm", w["blocks.0.mlp.W_in"], x) + w["blocks.0.mlp.b_in"]
    x = x + torch.einsum("dm,bpm->bpd", w["blocks.0.mlp.W_out"], hidden.relu()) + w["blocks.0.mlp.b_out"]
    return torch.einsum("dv,bpd->bpv", w["unembed.W_U"], x)


def transformer_lens_tensors(cfg: ModelConfig) -> dict[str, Tensor]:
    """A state dict under TransformerLens's names, with the buffers of its attention."""
    shapes: dict[str, tuple[int, ...]] = {"embed.W_E": (cfg.d_vocab, cfg.d_model)}
    if cfg.positions == "learned":
        shapes["pos_embed.W_pos"] = (cfg.n_ctx, cfg.d_model)
    for layer in range(cfg.n_layers):
        block = f"blocks.{layer}."
        for m in "QKV":
            shapes[f"{block}attn.W_{m}"] = (cfg.n_heads, cfg.d_model, cfg.d_head)
            shapes[f"{block}attn.b_{m}"] = (cfg.n_heads, cfg.d_head)
        shapes[f"{block}attn.W_O"] = (cfg.n_heads, cfg.d_head, cfg.d_model)
        shapes[f"{block}attn.b_O"] = (cfg.d_model,)
        if not cfg.attn_only:
            shapes[f"{block}mlp.W_in"] = (cfg.d_model, cfg.d_mlp)
            shapes[f"{block}mlp.b_in"] = (cfg.d_mlp,)
            shapes[f"{block}mlp.W_out"] = (cfg.d_mlp, cfg.d_model)
            shapes[f"{block}mlp.b_out"] = (cfg.d_model,)
        norms = ("ln1",) if cfg.attn_only else ("ln1", "ln2")
        for name in norms if cfg.normalization else ():
            shapes |= {f"{block}{name}.w": (cfg.d_model,), f"{block}{name}.b": (cfg.d_model,)}
    if cfg.normalization:
        shapes |= {"ln_final.w": (cfg.d_model,), "ln_final.b": (cfg.d_model,)}
    shapes |= {"unembed.W_U": (cfg.d_model, cfg.d_vocab_out), "unembed.b_U": (cfg.d_vocab_out,)}
    return {name: draw(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}


def buffers(n_layers: int) -> dict[str, Tensor]:
    masks = {f"blocks.{i}.attn.mask": torch.tril(torch.ones(3, 3)).bool() for i in range(n_layers)}
    return masks | {f"blocks.{i}.attn.IGNORE": torch.tensor(-1e5) for i in range(n_layers)}


def test_nanda_layout_computes_what_the_released_code_computes():
    tensors = nanda_tensors()
    model = model_from_tensors(tensors)
    torch.testing.assert_close(model(TOKENS), nanda_forward(tensors, TOKENS), atol=1e-4, rtol=1e-4)
    assert model.cfg == CFG
    assert "Nanda" in model.layout


FULL = {"attn_bias": True, "unembed_bias": True}


@pytest.mark.parametrize(
    "options",
    [{}, {"n_layers": 2}, {"normalization": "LN"}, {"d_vocab_out": 7}, {"positions": "none"},
     {"attn_only": True, "mlp_bias": False, "n_layers": 2},
     {"attn_only": True, "mlp_bias": False, "normalization": "LN"}],
)  # fmt: skip
def test_transformer_lens_state_dict_is_taken_as_it_is(options):
    cfg = CFG.replace(**FULL, **options)
    tensors = transformer_lens_tensors(cfg)
    none = {} if cfg.positions == "learned" else {"positions": "none"}
    said = ModelConfig(act_fn="relu", attention_dir="causal", normalization=cfg.normalization, **none)
    model = model_from_tensors({**tensors, **buffers(cfg.n_layers)}, config=said)
    assert model.cfg == cfg
    assert "TransformerLens" in model.layout
    state = model.state_dict()
    assert state.keys() == tensors.keys()
    assert all(torch.equal(state[name], tensors[name]) for name in tensors)


def own(cfg: ModelConfig = CFG) -> tuple[dict[str, Tensor], dict[str, str]]:
    model = HookedTransformer(cfg, seed=3)
    return model.state_dict(), {CONFIG_KEY: json.dumps(cfg.to_json())}


@pytest.mark.parametrize(
    "options",
    [{}, {"attention_rate": 0.3, "attention_dir": "bidirectional", "act_fn": "gelu"}, {"mlp_bias": False},
     {"attn_only": True, "normalization": "LN"}, {"positions": "none", "n_ctx": 2}, FULL],
)  # fmt: skip
def test_own_header_brings_everything_back(options):
    cfg = CFG.replace(**options)
    tensors, header = own(cfg)
    model = model_from_tensors(tensors, header)
    assert model.cfg == cfg
    assert model.layout == "a mechgrok network"
    assert all(torch.equal(model.state_dict()[name], tensors[name]) for name in tensors)


def test_own_tensors_without_their_header_still_load():
    tensors, _ = own()
    assert model_from_tensors(tensors, config=SAID).cfg == CFG
    with pytest.raises(CheckpointError, match=r"say config=ModelConfig\(act_fn=.*attention_dir="):
        model_from_tensors(tensors)


def test_float64_stays_float64():
    tensors, header = own()
    wide = {name: t.double() + 1e-12 for name, t in tensors.items()}
    model = model_from_tensors(wide, header)
    assert all(torch.equal(model.state_dict()[name], wide[name]) for name in wide)


def test_float16_is_read_exactly():
    tensors, header = own()
    narrow = {name: t.half() for name, t in tensors.items()}
    state = model_from_tensors(narrow, header).state_dict()
    assert all(torch.equal(state[name], narrow[name].float()) for name in narrow)


def test_config_overrides_what_shapes_cannot_tell():
    tensors = nanda_tensors()
    config = ModelConfig(
        d_model=6,
        n_heads=2,
        d_head=5,
        d_mlp=9,
        attention_rate=0.0,
        attention_dir="bidirectional",
        output="vocabulary",
    )
    model = model_from_tensors(tensors, config=config)
    assert (model.cfg.attention_rate, model.cfg.attention_dir) == (0.0, "bidirectional")
    assert (model.cfg.d_vocab, model.cfg.d_vocab_out, model.cfg.n_ctx) == (8, 8, 3)
    with pytest.raises(CheckpointError, match="expected"):
        model_from_tensors(tensors, config=config.replace(d_mlp=10))


def test_layout_can_be_named():
    assert model_from_tensors(nanda_tensors(), layout="nanda").cfg == CFG
    with pytest.raises(
        ConfigError, match="unknown layout 'pt'; allowed: mechgrok, transformer_lens, pizza, nanda"
    ):
        model_from_tensors(nanda_tensors(), layout="pt")
    with pytest.raises(CheckpointError, match=r"known \(transformer_lens\)"):
        model_from_tensors(nanda_tensors(), layout="transformer_lens")


def test_unknown_tensors_are_listed_with_their_shapes():
    linear = {"l1.weight": torch.zeros(4, 3), "l1.bias": torch.zeros(4)}
    with pytest.raises(CheckpointError, match=r"l1.weight \(4, 3\), l1.bias \(4,\)") as caught:
        model_from_tensors(linear)
    assert all(name in str(caught.value) for name in LAYOUTS)
    assert "cache_grid(model, task)" in str(caught.value)


MAKERS = {
    "mechgrok": own,
    "transformer_lens": lambda: (transformer_lens_tensors(CFG.replace(**FULL)), {}),
    "nanda": lambda: (nanda_tensors(), {}),
}


def each_tensor(kind: str) -> list[str]:
    """Those by which the layout is recognised are another test's matter."""
    recognised = () if kind == "mechgrok" else ("embed.W_E", "blocks.0.attn.W_O")
    return [name for name in MAKERS[kind]()[0] if name not in recognised and not name.endswith("mask")]


# Without these the tensors are those of a smaller architecture, which is then what they are taken for.
OPTIONAL = {"pos_embed.W_pos", "unembed.b_U"}
ZERO = {
    "blocks.0.attn.b_Q",
    "blocks.0.attn.b_K",
    "blocks.0.attn.b_V",
    "blocks.0.attn.b_O",
    "blocks.0.mlp.b_in",
    "blocks.0.mlp.b_out",
}
"""Where others of their kind are there, a network without one of these has zeros in their place."""
UNTOLD = ModelConfig(act_fn="relu", attention_dir="causal", normalization=None, positions="none")
CASES = [(kind, name) for kind in MAKERS for name in each_tensor(kind)]


def told(kind: str) -> ModelConfig | None:
    """What no tensor tells; our own header tells everything."""
    return None if kind == "mechgrok" else SAID


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_missing_tensor_is_named(kind, name):
    tensors, header = MAKERS[kind]()
    rest = {n: t for n, t in tensors.items() if n != name}
    if kind != "mechgrok" and name in OPTIONAL:
        assert (
            name
            not in model_from_tensors(rest, header, config=UNTOLD if "pos" in name else SAID).state_dict()
        )
        return
    if kind != "mechgrok" and name in ZERO:
        assert not model_from_tensors(rest, header, config=told(kind)).state_dict()[name].any()
        return
    with pytest.raises(CheckpointError, match=f"the file looks like .*{LAYOUTS[kind].title[:12]}"):
        model_from_tensors(rest, header, config=told(kind))


@pytest.mark.parametrize("kind", MAKERS)
def test_missing_tensor_that_gives_a_size_is_named(kind):
    tensors, header = MAKERS[kind]()
    rest = {n: t for n, t in tensors.items() if n != "unembed.W_U"}
    with pytest.raises(CheckpointError, match=r"unembed\.W_U is missing"):
        model_from_tensors(rest, header, config=told(kind))


@pytest.mark.parametrize("kind", MAKERS)
def test_extra_tensor_is_named(kind):
    tensors, header = MAKERS[kind]()
    with pytest.raises(CheckpointError, match=r"blocks\.0\.attn\.b_X \(4,\) is not part of the network"):
        model_from_tensors({**tensors, "blocks.0.attn.b_X": torch.zeros(4)}, header, config=told(kind))


@pytest.mark.parametrize(("kind", "name"), CASES)
@pytest.mark.parametrize("change", ["longer", "flat"])
def test_wrong_shape_is_refused(kind, name, change):
    tensors, header = MAKERS[kind]()
    old = tensors[name]
    new = torch.cat([old, old[:1]]) if change == "longer" else old.reshape(-1)[None, None, None]
    if change == "longer" and kind != "mechgrok" and name == "pos_embed.W_pos":
        assert model_from_tensors({**tensors, name: new}, header, config=told(kind)).cfg.n_ctx == 4
        return
    with pytest.raises(CheckpointError, match="the file looks like"):
        model_from_tensors({**tensors, name: new}, header, config=told(kind))


@pytest.mark.parametrize(
    "header",
    ["{", "[1]", "null", '"text"', '{"d_model": "wide"}', '{"d_modell": 6}', '{"d_model": -1}'],
)
def test_damaged_header_is_refused(header):
    tensors, _ = own()
    with pytest.raises(CheckpointError, match="looks like a mechgrok network"):
        model_from_tensors(tensors, {CONFIG_KEY: header})


def test_a_configuration_overrides_what_the_released_code_does_by_default():
    tensors = nanda_tensors()
    model = model_from_tensors(tensors, {"config": json.dumps({"act_type": "GeLU"})})
    assert model.cfg.act_fn == "gelu"
    assert model_from_tensors(tensors).cfg.act_fn == "relu"
    assert "act_fn='relu' (Nanda et al. 2023's code)" in model_from_tensors(tensors).layout


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"attn_scale": 1.0}, "attn_scale=1.0; only the root of d_head=5"),
        ({"attn_types": ["local"]}, "attn_types="),
        ({"use_attn_scale": False}, "use_attn_scale=False, which cannot be represented"),
        ({"attention_dir": "sideways"}, "attention_dir='sideways', which is not known"),
        ({"n_heads": 3}, "n_heads=3, but its tensors says 2"),
    ],
)
def test_settings_of_transformer_lens_that_cannot_be_are_refused(settings, text):
    tensors = transformer_lens_tensors(CFG.replace(**FULL))
    told = {"act_fn": "relu", "attention_dir": "causal", "attn_scale": 5**0.5}
    assert model_from_tensors(tensors, {"config": json.dumps(told)}).cfg.act_fn == "relu"
    with pytest.raises(CheckpointError, match=text):
        model_from_tensors(tensors, {"config": json.dumps(told | settings)})


def test_our_configuration_beside_our_names_tells_everything():
    cfg = CFG.replace(
        normalization="LN", norm_position="post", final_norm=False, act_fn="silu", norm_eps=1e-3
    )
    model = HookedTransformer(cfg, seed=0)
    found = model_from_tensors(model.state_dict(), {"config": json.dumps(cfg.to_json())})
    assert found.cfg == cfg
