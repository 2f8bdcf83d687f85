"""Norms of every kind and position, gated MLPs and every activation function, against plain torch functions."""

import random

import pytest
import torch
from drawn_files import draw_file
from plain_transformer import TOKENS, Plain

from mechgrok.config import Activation, ModelConfig
from mechgrok.fast.transformer import TabledNetwork
from mechgrok.models.transformer import ACTIVATIONS, HookedTransformer


def build(plain: Plain) -> HookedTransformer:
    """The same network as ours, weight by weight."""
    config = ModelConfig(
        d_vocab=6, d_vocab_out=5, n_ctx=3, d_model=plain.d, n_heads=plain.heads, n_layers=plain.layers,
        d_mlp=plain.hidden, attn_only=plain.attn_only, act_fn=plain.act_fn,
        attention_dir="causal" if plain.causal else "bidirectional",
        normalization=plain.norm, norm_position="post" if plain.post else "pre", final_norm=plain.final,
        norm_eps=plain.eps, gated_mlp=plain.gated, attn_bias=plain.attn_bias,
        mlp_bias=plain.mlp_bias and not plain.gated, unembed_bias=plain.read_bias,
    )  # fmt: skip
    model = HookedTransformer(config)
    state, w = model.state_dict(), plain.w
    state["embed.W_E"], state["pos_embed.W_pos"], state["unembed.W_U"] = w["E"], w["pos"], w["U"]
    for name in state:
        *stem, last = name.split(".")
        if last == "b_U":
            state[name] = w["U.b"]
        elif stem[0] == "ln_final":
            state[name] = w["final" if last == "w" else "final.b"]
        elif stem[0] == "blocks":
            i, part = stem[1], stem[2]
            if part in ("ln1", "ln2"):
                state[name] = w[f"{i}.{part}" + (".b" if last == "b" else "")]
            elif part == "attn":
                value = w[f"{i}.{last[-1].lower()}" + (".b" if last[0] == "b" else "")]
                if last == "W_O":
                    value = value.reshape(plain.heads, -1, plain.d)
                elif last[0] == "W":
                    value = value.reshape(plain.d, plain.heads, -1).permute(1, 0, 2)
                state[name] = value.reshape(state[name].shape)
            else:
                short = {"in": "up", "gate": "gate", "out": "down"}[last[2:]]
                state[name] = w[f"{i}.{short}" + (".b" if last[0] == "b" else "")]
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("seed", range(60))
def test_forward_equals_plain_torch(seed: int):
    plain = Plain.draw(random.Random(seed))
    if plain.act_fn == "mish":
        plain.act_fn = "tanh"
    model, expected = build(plain), plain.logits()
    tolerance = 1e-5 * max(1.0, expected.abs().max().item())
    torch.testing.assert_close(model(TOKENS)[:, -1], expected, rtol=1e-4, atol=tolerance)
    torch.testing.assert_close(model(TOKENS, readout_only=True)[:, -1], expected, rtol=1e-4, atol=tolerance)


def test_the_draw_covers_everything():
    drawn = [draw_file(seed).plain for seed in range(200)]
    assert {plain.norm for plain in drawn} == {None, "LN", "LNPre", "RMS", "RMSPre"}
    assert {plain.act_fn for plain in drawn} >= set(ACTIVATIONS)
    for name in ("post", "final", "gated", "causal", "attn_only"):
        assert {getattr(plain, name) for plain in drawn} == {True, False}


SIZES = {"d_vocab": 6, "d_vocab_out": 5, "n_ctx": 3, "d_model": 8}


def test_torchs_own_norms():
    x = torch.randn(4, 3, 8, generator=torch.Generator().manual_seed(0))
    for kind, norm in (("LN", torch.nn.LayerNorm(8, eps=1e-3)), ("RMS", torch.nn.RMSNorm(8, eps=1e-3))):
        model = HookedTransformer(ModelConfig(**SIZES, normalization=kind, norm_eps=1e-3), seed=0)
        torch.testing.assert_close(model.ln_final(x), norm(x))


def test_hooks_of_new_parts():
    gated = HookedTransformer(ModelConfig(**SIZES, gated_mlp=True, act_fn="silu"), seed=0)
    _, cache = gated.run_with_cache(TOKENS)
    mlp, x = gated.blocks[0].mlp, cache["blocks.0.hook_resid_mid"]
    torch.testing.assert_close(cache["blocks.0.mlp.hook_pre"], x @ mlp.W_gate)
    torch.testing.assert_close(cache["blocks.0.mlp.hook_pre_linear"], x @ mlp.W_in)
    assert gated.W_gate.shape == (1, 8, 32)
    post = HookedTransformer(ModelConfig(**SIZES, normalization="RMS", norm_position="post"), seed=0)
    _, cache = post.run_with_cache(TOKENS)
    after = cache["blocks.0.hook_normalized_resid_post"]
    torch.testing.assert_close(after, post.blocks[0].ln2(cache["blocks.0.hook_resid_post"]))


@pytest.mark.parametrize(
    "change",
    [{"normalization": "RMSPre"}, {"gated_mlp": True}, {"normalization": "LNPre", "norm_position": "post"}],
)
def test_the_step_by_hand_leaves_them_to_autograd(change: dict):
    assert TabledNetwork.supports(HookedTransformer(ModelConfig(**SIZES), seed=0))
    assert not TabledNetwork.supports(HookedTransformer(ModelConfig(**SIZES, **change), seed=0))


def test_configurations_stored_before_these_options_mean_what_they_meant():
    old = {"kind": "transformer", "d_model": 16, "normalization": "LN", "act_fn": "gelu"}
    cfg = ModelConfig(**old)
    assert (cfg.norm_position, cfg.final_norm, cfg.norm_eps, cfg.gated_mlp) == ("pre", True, 1e-5, False)


def test_every_activation_function_has_a_name_in_the_configuration():
    assert set(ACTIVATIONS) == set(Activation.__args__)
