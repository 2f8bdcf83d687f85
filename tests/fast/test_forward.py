"""The hand-written forward pass gives the network's results, and is not used for networks that it does not know."""

import pytest
import torch

import mechgrok as mg
from mechgrok.activations import fit_task
from mechgrok.activations.forward import run_grid
from mechgrok.fast.forward import has_hand_written_pass, run_by_hand
from mechgrok.models.unaltered import NetworkState, is_unaltered

NETWORKS = {
    "nanda": mg.ModelConfig(d_model=16, n_heads=2),
    "vocabulary": mg.ModelConfig(d_model=16, n_heads=2, output="vocabulary"),
    "no attention": mg.ModelConfig(d_model=16, n_heads=2, attention_rate=0.0, attention_dir="bidirectional"),
    "half attention, biases": mg.ModelConfig(
        d_model=16, n_heads=2, attention_rate=0.5, attn_bias=True, unembed_bias=True, act_fn="gelu"
    ),
    "bare": mg.ModelConfig(d_model=16, n_heads=2, positions="none", mlp_bias=False, act_fn="square"),
    "not folded": mg.ModelConfig(d_model=2, n_heads=1, d_mlp=64, unembed_bias=True),
    "attention only": mg.ModelConfig(d_model=16, n_heads=2, attn_only=True),
    "MLP": mg.MLPConfig(d_embed=8, d_mlp=16),
    "MLP, operands apart": mg.MLPConfig(d_embed=8, d_mlp=16, embeddings="separate", combine="concat"),
    "MLP, two layers, factored": mg.MLPConfig(
        d_embed=8, d_mlp=16, n_layers=2, readout="factored", act_fn="gelu"
    ),
    "MLP, tied and wide": mg.MLPConfig(d_embed=2, d_mlp=64, readout="tied", unembed_bias=True),
    "MLP on one-hot operands": mg.MLPConfig(inputs="one_hot", d_mlp=16, act_fn="square"),
}
OTHERS = {
    "two layers": mg.ModelConfig(d_model=16, n_heads=2, n_layers=2),
    "LayerNorm": mg.ModelConfig(d_model=16, n_heads=2, normalization="LN"),
    "gated": mg.ModelConfig(d_model=16, n_heads=2, gated_mlp=True),
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
def test_the_same_logits_and_neurons(config, operation, dtype):
    task = mg.modular_task(operation, 11)
    model = network(config, task).to(dtype)
    task = fit_task(model, task)
    assert has_hand_written_pass(model)
    logits, cache = model.run_with_cache(task.tokens)
    by_hand = run_by_hand(model, task.tokens, neurons=True)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-10}
    torch.testing.assert_close(by_hand.logits, logits[:, -1].detach(), **close)
    assert not by_hand.logits.requires_grad
    assert run_by_hand(model, task.tokens, neurons=False).neurons is None
    if model.cfg.d_mlp:
        neurons = cache[f"blocks.{model.cfg.n_layers - 1}.mlp.hook_post"][:, -1].detach()
        torch.testing.assert_close(by_hand.neurons, neurons, **close)


@pytest.mark.parametrize(
    "config", [NETWORKS["nanda"], NETWORKS["MLP, two layers, factored"]], ids=["one", "MLP"]
)
def test_chunks_change_nothing(config, monkeypatch):
    task = mg.modular_task("add", 11)
    model = network(config, task)
    tokens = fit_task(model, task).tokens
    whole = run_by_hand(model, tokens, neurons=True)
    monkeypatch.setattr("mechgrok.fast.kernels.CHUNK_BYTES", 4 * model.cfg.d_mlp * 7)
    parts = run_by_hand(model, tokens, neurons=True)
    torch.testing.assert_close(parts.logits, whole.logits)
    torch.testing.assert_close(parts.neurons, whole.neurons)


@pytest.mark.parametrize("config", OTHERS.values(), ids=OTHERS)
def test_other_networks_run_as_they_are(config):
    task = mg.modular_task("add", 11)
    model = network(config, task)
    assert is_unaltered(model)
    assert not has_hand_written_pass(model)
    grid = mg.cache_grid(model, task)
    torch.testing.assert_close(grid.logits, model(task.tokens)[:, -1, :11].detach())


class Doubled(mg.HookedTransformer):
    def forward(self, *args, **kwargs):
        return 2 * super().forward(*args, **kwargs)


def test_a_class_of_the_users_own_runs_as_it_is():
    task = mg.modular_task("add", 7)
    cfg = network(NETWORKS["nanda"], task).cfg
    model = Doubled(cfg, seed=0)
    assert not has_hand_written_pass(model)
    expected = 2 * mg.cache_grid(mg.HookedTransformer(cfg, seed=0), task).logits
    torch.testing.assert_close(mg.cache_grid(model, task).logits, expected)


def silence_by_hook_point(model):
    model.blocks[0].mlp.hook_post.add_hook(lambda activation, hook: activation * 0)


def silence_by_module_hook(model):
    model.blocks[0].mlp.hook_post.register_forward_hook(lambda module, args, output: output * 0)


def silence_by_module_pre_hook(model):
    model.blocks[0].mlp.hook_post.register_forward_pre_hook(lambda module, args: (args[0] * 0,))


def silence_by_another_part(model):
    class Zero(torch.nn.Module):
        def forward(self, x):
            return x * 0

    model.blocks[0].mlp.hook_post = Zero()


def silence_by_another_function(model):
    model.blocks[0].mlp.forward = lambda x: x * 0


@pytest.mark.parametrize(
    "silence",
    [
        silence_by_hook_point,
        silence_by_module_hook,
        silence_by_module_pre_hook,
        silence_by_another_part,
        silence_by_another_function,
    ],
)
def test_what_is_hooked_in_is_run(silence):
    task = mg.modular_task("add", 7)
    model = network(NETWORKS["nanda"], task)
    silence(model)
    assert not is_unaltered(model)
    assert not has_hand_written_pass(model)
    whole = run_grid(network(NETWORKS["nanda"], task), task, []).logits
    logits = mg.cache_grid(model, task, []).logits
    torch.testing.assert_close(logits, model(task.tokens)[:, -1, :7].detach())
    assert not torch.allclose(logits, whole, atol=1e-2)


def test_a_network_with_another_activation_function_is_in_another_state():
    model = network(NETWORKS["nanda"], mg.modular_task("add", 7))
    state = NetworkState.of(model)
    assert state.is_that_of(model)
    model.blocks[0].mlp.act = torch.tanh
    assert not state.is_that_of(model)
    assert not has_hand_written_pass(model)


def test_other_hooks_come_with_the_logits():
    task = mg.modular_task("add", 7)
    model = network(NETWORKS["nanda"], task)
    grid = run_grid(model, task, ["hook_embed"])
    assert set(grid.activations) == {"hook_embed"}
    torch.testing.assert_close(grid.logits, run_grid(model, task, []).logits)


def test_logits_that_overflow_are_refused_in_words():
    task = mg.modular_task("add", 7)
    model = network(NETWORKS["nanda"], task)
    with torch.no_grad():
        model.unembed.W_U.fill_(torch.inf)
    with pytest.raises(mg.ActivationError, match=r"not finite are the weights unembed\.W_U"):
        mg.cache_grid(model, task)
