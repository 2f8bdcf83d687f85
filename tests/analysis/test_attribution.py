"""Direct logit attribution against the weights of the network, and its sum against the logits."""

import pytest
import torch

import mechgrok as mg

NETWORKS = {
    "plain": mg.ModelConfig(d_model=16, n_heads=2),
    "two layers, biases": mg.ModelConfig(
        d_model=16, n_heads=2, n_layers=2, attn_bias=True, unembed_bias=True
    ),
    "LayerNorm": mg.ModelConfig(d_model=16, n_heads=2, normalization="LN", unembed_bias=True),
    "RMSNorm": mg.ModelConfig(d_model=16, n_heads=2, normalization="RMS"),
    "LayerNorm without weights": mg.ModelConfig(d_model=16, n_heads=2, n_layers=2, normalization="LNPre"),
    "attention only": mg.ModelConfig(d_model=16, n_heads=2, n_layers=2, attn_only=True),
    "gated": mg.ModelConfig(d_model=16, n_heads=2, gated_mlp=True),
    "MLP": mg.MLPConfig(d_embed=8, d_mlp=16, unembed_bias=True),
    "one-hot MLP": mg.MLPConfig(inputs="one_hot", d_mlp=16, readout="direct"),
}


def network(config, task):
    model = mg.build_model(task, config, seed=0).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += torch.randn(weight.shape, generator=generator, dtype=weight.dtype) / 3
    return model


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize(
    "task", [mg.modular_task("mul", 7), mg.running_sum_task(3, 4)], ids=["product", "sequence"]
)
def test_components_add_up_to_the_logits(config, task):
    if task.signature.n_scored > 1 and not isinstance(config, mg.ModelConfig):
        with pytest.raises(mg.MechgrokError):
            mg.build_model(task, config, seed=0)
        return
    model = network(config, task)
    logits = mg.cache_grid(model, task).logits.flatten(0, -2)
    found = mg.direct_logit_attribution(model)
    torch.testing.assert_close(sum(found.logits(name) for name in found.components), logits)
    right = logits.gather(1, task.labels.flatten()[:, None])[:, 0] - logits.mean(1)
    torch.testing.assert_close(sum(found.effects.values()), right)
    assert found.total == pytest.approx(right.mean().item())
    assert found.frozen == bool(getattr(config, "normalization", None))
    neurons = [value for name, value in found.means.items() if name.startswith("neurons")]
    assert found.neurons.sum().item() == pytest.approx(sum(neurons))


def test_each_component_is_what_its_weights_write():
    task = mg.modular_task("add", 7)
    model = network(NETWORKS["two layers, biases"], task)
    _, cache = model.run_with_cache(task.tokens)
    found, W_U = mg.direct_logit_attribution(model), model.W_U
    by_hand = {
        "embed": cache["embed"][:, -1] @ W_U,
        "pos_embed": cache["pos_embed"][:, -1] @ W_U,
        "L0H1": cache["z", 0][:, -1, 1] @ model.W_O[0, 1] @ W_U,
        "L1H0": cache["z", 1][:, -1, 0] @ model.W_O[1, 0] @ W_U,
        "L0 neurons": cache["post", 0][:, -1] @ model.W_out[0] @ W_U,
        "L1 b_out": (model.b_out[1] @ W_U).expand(49, -1),
        "b_U": model.b_U.expand(49, -1),
    }
    for name, logits in by_hand.items():
        torch.testing.assert_close(found.logits(name), logits.detach(), msg=name)
    clusters = [name for name in found.components if name.startswith("neurons")]
    whole = cache["post", 1][:, -1] @ model.W_out[1] @ W_U
    torch.testing.assert_close(sum(found.logits(name) for name in clusters), whole.detach())
    effect = cache["post", 1][:, -1] * (model.W_out[1] @ (W_U - W_U.mean(1, keepdim=True))).T[task.labels]
    torch.testing.assert_close(found.neurons, effect.mean(0).detach())


@pytest.mark.parametrize("p", [7, 12, 15])
@pytest.mark.parametrize("make", [mg.clock_transformer, mg.cosine_network])
def test_clusters_of_planted_circuits_write_their_cosines(make, p):
    found = mg.direct_logit_attribution(make(p, {1: 9.0, p // 2 - 1: 4.0}))
    assert found.means[f"neurons {1}"] == pytest.approx(9, abs=1e-5)
    assert found.means[f"neurons {p // 2 - 1}"] == pytest.approx(4, abs=1e-5)
    others = [
        value for name, value in found.means.items() if name[:9] not in ("neurons 1", f"neurons {p // 2 - 1}")
    ]
    assert max(map(abs, others)) < 1e-5


def test_the_induction_head_writes_the_answer():
    task = mg.repeated_sequence_task(30, 12, subsequence=4, repeats=2, finite=50)
    model = mg.induction_network(d_vocab=task.signature.inputs.d_vocab, n_ctx=task.signature.inputs.n_ctx)
    model.task = task
    found = mg.direct_logit_attribution(model)
    assert max(found.means, key=found.means.get) == "L1H1"
    assert found.means["L1H1"] == pytest.approx(found.total)


def test_masks_bare_tensors_and_what_is_refused():
    task = mg.modular_task("add", 5)
    neurons, W_L = torch.randn(25, 3).double(), torch.randn(3, 5).double()
    logits = neurons @ W_L + torch.arange(5).double()
    grid = mg.grid_from_tensors(task, logits, {"blocks.0.mlp.hook_post": neurons}, weights={"W_L": W_L})
    found = mg.direct_logit_attribution(grid, task.labels < 2)
    assert len(found.effects["all else"]) == 10
    torch.testing.assert_close(found.logits("all else"), torch.arange(5).double().expand(10, -1))
    with pytest.raises(mg.ConfigError, match="components are"):
        found.logits("L0H0")
    post = mg.build_model(task, mg.ModelConfig(d_model=16, normalization="LN", norm_position="post"), seed=0)
    with pytest.raises(mg.UndefinedMetricError, match="post-norm"):
        mg.direct_logit_attribution(post)
