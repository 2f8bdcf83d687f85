"""The quick forward pass is the network's own."""

import pytest
import torch
from mechgrok.progress.forward import read_grid

import mechgrok as mg
from mechgrok.progress.snapshot import Snapshot

NETWORKS = {
    "nanda": mg.ModelConfig(d_model=16, n_heads=2),
    "vocabulary": mg.ModelConfig(d_model=16, n_heads=2, output="vocabulary"),
    "no attention": mg.ModelConfig(d_model=16, n_heads=2, attention_rate=0.0, attention_dir="bidirectional"),
    "half attention, biases": mg.ModelConfig(
        d_model=16, n_heads=2, attention_rate=0.5, attn_bias=True, unembed_bias=True, act_fn="gelu"
    ),
    "bare": mg.ModelConfig(d_model=16, n_heads=2, positions="none", mlp_bias=False, act_fn="square"),
    "not folded": mg.ModelConfig(d_model=2, n_heads=1, d_mlp=64, unembed_bias=True),
    "two layers": mg.ModelConfig(d_model=16, n_heads=2, n_layers=2),
    "LayerNorm": mg.ModelConfig(d_model=16, n_heads=2, normalization="LN"),
    "attention only": mg.ModelConfig(d_model=16, n_heads=2, attn_only=True),
    "MLP": mg.MLPConfig(d_embed=8, d_mlp=16),
}


def network(config, task):
    model = mg.build_model(task, config, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / 3)
    return model


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("operation", ["add", "div"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_activations(config, operation, dtype):
    task = mg.modular_task(operation, 11)
    model = network(config, task).to(dtype)
    task = Snapshot(0, model, task).task
    quick, usual = read_grid(model, task), mg.cache_grid(model, task)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-10}
    assert torch.allclose(quick.logits, usual.logits, **close)
    assert quick.logits.dtype == dtype
    assert list(quick.activations) == list(usual.activations)
    for name, activation in usual.activations.items():
        assert torch.allclose(quick[name], activation, **close)
    assert not quick.logits.requires_grad


def test_hooks_that_are_attached_are_run():
    task = mg.modular_task("add", 7)
    model = network(NETWORKS["nanda"], task)
    model.blocks[0].mlp.hook_post.add_hook(lambda activation, hook: activation * 0)
    assert read_grid(model, task).neurons.abs().max() == 0


def test_other_hooks_come_with_the_neurons():
    task = mg.modular_task("add", 7)
    grid = read_grid(network(NETWORKS["nanda"], task), task, ["hook_embed"])
    assert set(grid.activations) == {"blocks.0.mlp.hook_post", "hook_embed"}
    flat = read_grid(network(NETWORKS["attention only"], task), task, ["hook_embed"])
    assert set(flat.activations) == {"hook_embed"}
    with pytest.raises(mg.ActivationError, match="no hook 'hook_embedd'"):
        read_grid(network(NETWORKS["nanda"], task), task, ["hook_embedd"])
