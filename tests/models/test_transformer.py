"""HookedTransformer against a plain implementation of the same formulas, for all its options."""

import math

import pytest
import torch
from torch import Tensor

import mechgrok as mg
from mechgrok.config import ModelConfig
from mechgrok.errors import ConfigError
from mechgrok.models.hooked import check_tokens
from mechgrok.models.transformer import HookedTransformer
from mechgrok.registries import INITS

SIZES = {"d_vocab": 7, "d_vocab_out": 6, "n_ctx": 4, "d_model": 8, "n_heads": 2, "d_head": 3, "d_mlp": 5}
OPTIONS = {
    "default": {},
    "two layers": {"n_layers": 2},
    "three layers with LayerNorm and all biases": {
        "n_layers": 3, "normalization": "LN", "attn_bias": True, "unembed_bias": True,
    },
    "LayerNorm": {"normalization": "LN"},
    "no biases": {"mlp_bias": False},
    "attention biases": {"attn_bias": True},
    "unembedding bias": {"unembed_bias": True},
    "attention rate 0": {"attention_rate": 0.0},
    "attention rate 0.3, two layers": {"attention_rate": 0.3, "n_layers": 2},
    "bidirectional": {"attention_dir": "bidirectional"},
    "bidirectional, rate 0.3, two layers": {
        "attention_dir": "bidirectional", "attention_rate": 0.3, "n_layers": 2,
    },
    "no positions": {"positions": "none"},
    "gelu": {"act_fn": "gelu"},
    "square": {"act_fn": "square"},
    "attention only, two layers": {"attn_only": True, "n_layers": 2},
    "attention only with LayerNorm": {"attn_only": True, "normalization": "LN"},
}  # fmt: skip

every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())


def random_network(options: dict, seed: int = 0) -> HookedTransformer:
    """Every parameter random, biases and LayerNorm included, in float64."""
    model = HookedTransformer(ModelConfig(**{**SIZES, **options})).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            draw = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(0.5 * draw)
    return model


def all_tokens(n: int = 30) -> Tensor:
    return torch.randint(SIZES["d_vocab"], (n, SIZES["n_ctx"]), generator=torch.Generator().manual_seed(1))


def layer_norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    if f"{name}.w" not in weights:
        return x
    spread = x.var(dim=-1, unbiased=False, keepdim=True)
    return (x - x.mean(-1, keepdim=True)) / (spread + 1e-5) ** 0.5 * weights[f"{name}.w"] + weights[
        f"{name}.b"
    ]


def reference(cfg: ModelConfig, weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """Logits of one sequence, head by head and position by position."""
    n = len(tokens)
    x = weights["embed.W_E"][tokens]
    if cfg.positions == "learned":
        x = x + weights["pos_embed.W_pos"][:n]
    for layer in range(cfg.n_layers):
        w = {name.split(".", 2)[2]: t for name, t in weights.items() if name.startswith(f"blocks.{layer}.")}
        normed, attended = layer_norm(x, w, "ln1"), torch.zeros_like(x)
        for head in range(cfg.n_heads):
            q, k, v = (
                normed @ w[f"attn.W_{m}"][head] + (w[f"attn.b_{m}"][head] if cfg.attn_bias else 0)
                for m in "QKV"
            )
            for i in range(n):
                seen = range(n) if cfg.attention_dir == "bidirectional" else range(i + 1)
                scores = torch.stack([q[i] @ k[j] / math.sqrt(cfg.d_head) for j in seen])
                softmax = scores.exp() / scores.exp().sum()
                share = torch.zeros(n, dtype=x.dtype)
                share[: len(seen)] = softmax
                share = cfg.attention_rate * share + (1 - cfg.attention_rate)
                attended[i] += share @ v @ w["attn.W_O"][head]
        x = x + attended + (w["attn.b_O"] if cfg.attn_bias else 0)
        if not cfg.attn_only:
            pre = layer_norm(x, w, "ln2") @ w["mlp.W_in"] + (w["mlp.b_in"] if cfg.mlp_bias else 0)
            post = {
                "relu": lambda z: z.clamp(min=0),
                "gelu": lambda z: z * (1 + torch.erf(z / math.sqrt(2))) / 2,
                "square": lambda z: z * z,
            }[cfg.act_fn](pre)
            x = x + post @ w["mlp.W_out"] + (w["mlp.b_out"] if cfg.mlp_bias else 0)
    logits = layer_norm(x, weights, "ln_final") @ weights["unembed.W_U"]
    return logits + (weights["unembed.b_U"] if cfg.unembed_bias else 0)


@every_option
def test_forward_equals_the_plain_formulas(options):
    model = random_network(options)
    tokens = all_tokens()
    expected = torch.stack([reference(model.cfg, model.state_dict(), row) for row in tokens])
    torch.testing.assert_close(model(tokens), expected, atol=1e-9, rtol=1e-9)


@every_option
def test_shorter_sequences_are_read_too(options):
    model = random_network(options)
    tokens = all_tokens()[:, :2]
    expected = torch.stack([reference(model.cfg, model.state_dict(), row) for row in tokens])
    torch.testing.assert_close(model(tokens), expected, atol=1e-9, rtol=1e-9)


@every_option
def test_readout_only_is_the_last_position(options):
    model = random_network(options)
    tokens = all_tokens()
    short = model(tokens, readout_only=True)
    assert short.shape == (len(tokens), 1, SIZES["d_vocab_out"])
    torch.testing.assert_close(short, model(tokens)[:, -1:], atol=1e-9, rtol=1e-9)


@every_option
def test_gradients_of_readout_only_are_those_of_the_last_position(options):
    model, tokens = random_network(options), all_tokens()
    gradients = []
    for readout_only in (False, True):
        model.zero_grad()
        model(tokens, readout_only=readout_only)[:, -1].square().mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-9, rtol=1e-7)


def test_causal_networks_do_not_look_ahead():
    model, tokens = random_network({"n_layers": 2}), all_tokens()
    later = tokens.clone()
    later[:, -1] = (later[:, -1] + 1) % SIZES["d_vocab"]
    before, after = model(tokens), model(later)
    torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert not torch.allclose(before[:, -1], after[:, -1])


BLOCK_HOOKS = (
    "hook_resid_pre", "hook_attn_out", "hook_resid_mid", "hook_mlp_out", "hook_resid_post", "attn.hook_q",
    "attn.hook_k", "attn.hook_v", "attn.hook_attn_scores", "attn.hook_pattern", "attn.hook_z", "mlp.hook_pre",
    "mlp.hook_post",
)  # fmt: skip
LN_HOOKS = ("hook_scale", "hook_normalized")


def test_hooks_carry_transformer_lens_names():
    model = random_network({"n_layers": 2})
    blocks = {f"blocks.{layer}.{name}" for layer in (0, 1) for name in BLOCK_HOOKS}
    assert set(model.hook_dict) == blocks | {"hook_embed", "hook_pos_embed", "unembed.hook_out"}


def test_options_add_and_remove_hooks():
    normed = random_network({"normalization": "LN"}).hook_dict
    assert {f"{ln}.{h}" for ln in ("blocks.0.ln1", "blocks.0.ln2", "ln_final") for h in LN_HOOKS} <= set(
        normed
    )
    bare = random_network({"attn_only": True, "positions": "none"}).hook_dict
    absent = (
        "hook_pos_embed",
        "hook_resid_mid",
        "hook_mlp_out",
        "mlp.hook_pre",
        "mlp.hook_post",
        "ln2.hook_scale",
    )
    assert not [name for name in bare if name.endswith(absent)]


@every_option
def test_every_hook_fires_and_rebuilds_the_residual_stream(options):
    model, tokens = random_network(options), all_tokens()
    logits, cache = model.run_with_cache(tokens)
    assert set(cache.keys()) == set(model.hook_dict)
    last = model.cfg.n_layers - 1
    residual = cache["hook_embed"] + (cache["hook_pos_embed"] if model.cfg.positions == "learned" else 0)
    for layer in range(last + 1):
        block = f"blocks.{layer}."
        torch.testing.assert_close(cache[block + "hook_resid_pre"], residual.expand(len(tokens), -1, -1))
        residual = residual + cache[block + "hook_attn_out"]
        if not model.cfg.attn_only:
            torch.testing.assert_close(cache[block + "hook_resid_mid"], residual)
            residual = residual + cache[block + "hook_mlp_out"]
        torch.testing.assert_close(cache[block + "hook_resid_post"], residual)
    torch.testing.assert_close(cache["unembed.hook_out"], logits)
    pattern = cache[f"blocks.{last}.attn.hook_pattern"]
    assert pattern.shape == (len(tokens), 2, 4, 4)
    if model.cfg.attention_rate == 1:
        torch.testing.assert_close(pattern.sum(-1), torch.ones_like(pattern[..., 0]))


def test_hooks_can_edit():
    model, tokens = random_network({}), all_tokens()
    silent = model.run_with_hooks(tokens, fwd_hooks=[("blocks.0.mlp.hook_post", lambda x, hook: 0 * x)])
    weights = {**model.state_dict(), "blocks.0.mlp.W_out": 0 * model.state_dict()["blocks.0.mlp.W_out"]}
    expected = torch.stack([reference(model.cfg, weights, row) for row in tokens])
    torch.testing.assert_close(silent, expected, atol=1e-9, rtol=1e-9)


def test_weights_have_transformer_lens_names_and_shapes():
    model = random_network({"n_layers": 2, "attn_bias": True, "unembed_bias": True})
    assert model.W_E.shape == (7, 8)
    assert model.W_pos.shape == (4, 8)
    assert model.W_U.shape == (8, 6)
    assert model.b_U.shape == (6,)
    for name in ("W_Q", "W_K", "W_V"):
        assert getattr(model, name).shape == (2, 2, 8, 3)
    for name, shape in {"W_O": (2, 2, 3, 8), "W_in": (2, 8, 5), "W_out": (2, 5, 8)}.items():
        assert getattr(model, name).shape == shape
    for name, shape in {"b_Q": (2, 2, 3), "b_O": (2, 8), "b_in": (2, 5), "b_out": (2, 8)}.items():
        assert getattr(model, name).shape == shape
    for layer in (0, 1):
        assert torch.equal(model.W_Q[layer], model.state_dict()[f"blocks.{layer}.attn.W_Q"])
        assert torch.equal(model.W_out[layer], model.state_dict()[f"blocks.{layer}.mlp.W_out"])
    model.W_in.sum().backward()
    assert torch.equal(model.blocks[1].mlp.W_in.grad, torch.ones(8, 5).double())


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, "b_Q"), ({}, "b_O"), ({"attn_only": True}, "W_in"), ({"mlp_bias": False}, "b_in"),
     ({"positions": "none"}, "W_pos"), ({}, "W_X")],
)  # fmt: skip
def test_weights_that_the_network_lacks_are_no_attributes(options, name):
    model = random_network(options)
    assert not hasattr(model, name)
    with pytest.raises(AttributeError):
        getattr(model, name)


@pytest.mark.parametrize("missing", [("d_vocab",), ("n_ctx", "d_vocab_out")])
def test_open_sizes_are_refused_by_name(missing):
    sizes = {name: size for name, size in SIZES.items() if name not in missing}
    with pytest.raises(ConfigError, match="build_model") as caught:
        HookedTransformer(ModelConfig(**sizes))
    assert all(name in str(caught.value) for name in missing)


WIDE = {
    "d_vocab": 100,
    "d_vocab_out": 90,
    "n_ctx": 50,
    "d_model": 64,
    "d_mlp": 200,
    "n_heads": 4,
    "d_head": 16,
}
D, MLP, VOCAB, OUT = (WIDE[name] ** -0.5 for name in ("d_model", "d_mlp", "d_vocab", "d_vocab_out"))
DEVIATIONS = {
    "nanda": {"W_U": OUT},
    "nanda-heads": {"W_U": OUT, **dict.fromkeys(("W_Q", "W_K", "W_V"), WIDE["d_head"] ** -0.5)},
    "pizza": {"W_U": OUT, "W_in": MLP},
    "furuta": {"W_E": VOCAB},
    "tl": dict.fromkeys(("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out", "W_U"), 0.8 * D),
}
"""Per scheme what differs from 1/sqrt(d_model) (literature: released code of the papers)."""


@pytest.mark.parametrize("scheme", INITS)
def test_initial_weights_have_the_papers_deviation(scheme):
    cfg = ModelConfig(**WIDE, init=scheme, attn_bias=True, normalization="LN", unembed_bias=True)
    for path, weight in HookedTransformer(cfg, seed=0).state_dict().items():
        name = path.rsplit(".", 1)[-1]
        if name.startswith("W_"):
            # The standard deviation of n draws scatters by 1/sqrt(2n), here at most 1.3%.
            assert weight.std().item() == pytest.approx(DEVIATIONS[scheme].get(name, D), rel=0.05), path
            assert abs(weight.mean().item()) < 5 * weight.std().item() / weight.numel() ** 0.5, path
        else:
            assert (weight == (1 if name == "w" else 0)).all(), path


@pytest.mark.parametrize("scheme", INITS)
def test_initial_weights_follow_the_seed_alone(scheme):
    cfg = ModelConfig(**SIZES, init=scheme)
    torch.manual_seed(1)
    first = HookedTransformer(cfg, seed=5).state_dict()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second, other = (HookedTransformer(cfg, seed=seed).state_dict() for seed in (5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["embed.W_E"], other["embed.W_E"])


def test_without_a_seed_weights_wait_to_be_loaded():
    assert all((p == 0).all() for p in HookedTransformer(ModelConfig(**SIZES)).parameters())


@pytest.mark.parametrize("tokens", [[[1, -1]], [[1, 99]]])
@pytest.mark.parametrize("config", [mg.ModelConfig(d_model=8, n_heads=2), mg.MLPConfig(d_embed=8, d_mlp=8)])
def test_numbers_that_are_no_tokens_are_refused(config, tokens):
    network = mg.build_model(mg.modular_task("add", 7), config, seed=0)
    with pytest.raises(mg.ActivationError, match=r"knows the tokens 0 to \d; got "):
        network(torch.tensor(tokens))


@pytest.mark.parametrize(
    "tokens", [torch.zeros(1, 3), torch.zeros(3, dtype=torch.long), [[1, 2, 3]]], ids=str
)
def test_what_is_no_tensor_of_tokens_is_refused(tokens):
    with pytest.raises(mg.ActivationError, match=r"reads whole numbers \[batch, position\]; got"):
        check_tokens(tokens, 8)
