"""Names of hooks: the documented list matches the networks, and short names resolve to the full ones."""

from pathlib import Path

import pytest
import torch

import mechgrok as mg
from mechgrok.config import MLPConfig
from mechgrok.models.hook_names import MLP_HOOKS, TRANSFORMER_HOOKS, hook_name


def sizes(cfg, batch, pos):
    named = {name: getattr(cfg, name) for name in ("d_model", "d_mlp", "d_vocab_out")}
    named |= {"d_head": getattr(cfg, "d_head", 0), "head": getattr(cfg, "n_heads", 0), "d_in": cfg.d_model}
    return named | {"batch": batch, "pos": pos, "query": pos, "key": pos}


@pytest.mark.parametrize(
    ("config", "listed"),
    [
        (mg.ModelConfig(d_model=12, n_heads=3, normalization="LN"), TRANSFORMER_HOOKS),
        (MLPConfig(d_embed=12), MLP_HOOKS),
    ],
)
def test_the_list_names_every_hook_with_its_shape(config, listed):
    network = mg.build_model(mg.modular_task("add", 7), config, seed=0)
    tokens = torch.zeros(4, network.cfg.n_ctx, dtype=torch.long)
    _, cache = network.run_with_cache(tokens)
    assert set(cache) == set(network.hook_dict) == set(listed)
    known = sizes(network.cfg, 4, network.cfg.n_ctx)
    for name, (shape, meaning) in listed.items():
        expected = tuple(int(axis) if axis.isdecimal() else known[axis] for axis in shape.split())
        assert tuple(cache[name].shape) == expected, name
        assert meaning


@pytest.mark.parametrize("listed", [TRANSFORMER_HOOKS, MLP_HOOKS])
def test_the_documentation_has_the_list(listed):
    page = (Path(__file__).parents[2] / "docs" / "api" / "networks.md").read_text(encoding="utf-8")
    for name, (shape, meaning) in listed.items():
        assert f"| `{name}` | [{', '.join(shape.split())}] | {meaning} |\n" in page


def test_short_names():
    network = mg.build_model(mg.modular_task("add", 7), mg.ModelConfig(d_model=16, n_layers=2), seed=0)
    _, cache = network.run_with_cache(network.task.tokens[:3])
    for short, full in {
        ("z", 0): "blocks.0.attn.hook_z",
        ("z", -1): "blocks.1.attn.hook_z",
        ("pattern", 1): "blocks.1.attn.hook_pattern",
        ("post", 0): "blocks.0.mlp.hook_post",
        ("resid_mid", 1): "blocks.1.hook_resid_mid",
        "embed": "hook_embed",
        ("logits", None): "unembed.hook_out",
    }.items():
        assert cache[short] is cache[full]
    assert hook_name(("scale", 0, "ln1")) == "blocks.0.ln1.hook_scale"
    assert hook_name(("scale",)) == "ln_final.hook_scale"
    grid = mg.cache_grid(network, names=[("z", -1)])
    assert grid["z", -1] is grid["blocks.1.attn.hook_z"]


@pytest.mark.parametrize("use", ["cache", "filter", "hooks", "hooks context"])
def test_a_misspelt_hook_is_refused(use):
    network = mg.cosine_network(7, {2: 5.0})
    tokens = network.task.tokens[:3]

    def run():
        if use == "cache":
            return network.run_with_cache(tokens)[1]["zz", 0]
        if use == "filter":
            return network.run_with_cache(tokens, names_filter="hook_embd")
        if use == "hooks":
            return network.run_with_hooks(tokens, fwd_hooks=[("hook_embd", print)])
        with network.hooks(fwd_hooks=[("hook_embd", print)]):
            return network(tokens)

    with pytest.raises(mg.ActivationError, match=r"has no hook '.*'; did you mean .*hook_"):
        run()


def test_more_tokens_than_the_network_reads():
    network = mg.build_model(mg.modular_task("add", 7), mg.ModelConfig(d_model=16), seed=0)
    with pytest.raises(mg.ActivationError, match="at most n_ctx = 3 tokens, got 4"):
        network(torch.zeros(1, 4, dtype=torch.long))
