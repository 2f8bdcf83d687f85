"""Gradient symmetricity: against manually computed gradients, and on networks with known values."""

import random

import pytest
import torch
from planted import cosine_logits
from torch.nn import functional

import mechgrok as mg
from mechgrok.analysis.symmetricity import gradient_symmetricity
from mechgrok.config import MLPConfig, ModelConfig
from mechgrok.errors import ActivationError, ConfigError, UndefinedMetricError
from mechgrok.models.constructed import cosine_network, pizza_network
from mechgrok.models.mlp import HookedMLP
from mechgrok.models.transformer import HookedTransformer

P = 5
ADD = mg.modular_task("add", P)
NETWORKS = {
    "nanda": ModelConfig(d_vocab=P + 1, d_vocab_out=P, n_ctx=3, d_model=8, n_heads=2),
    "rate and two layers": ModelConfig(
        d_vocab=P, d_vocab_out=P, n_ctx=2, d_model=8, n_heads=2, n_layers=2, attention_rate=0.4,
        attention_dir="bidirectional", act_fn="gelu",
    ),
    "own tokens of b": ModelConfig(
        d_vocab=2 * P + 1, d_vocab_out=2 * P, n_ctx=3, d_model=8, n_heads=2, normalization="LN"
    ),
    "delta": MLPConfig(d_vocab=P, d_vocab_out=P, d_embed=4, d_mlp=16, combine="concat"),
}  # fmt: skip


def build(name: str):
    cfg = NETWORKS[name]
    model = HookedMLP(cfg, seed=3) if isinstance(cfg, MLPConfig) else HookedTransformer(cfg, seed=3)
    model.task = mg.modular_task("add", P, sequence=("a", "b'", "=")) if name == "own tokens of b" else ADD
    return model


def one_by_one(model, triples: list[tuple[int, int, int]]) -> float:
    """Each triple on its own: embeddings as separate leaves, one backward pass, no hooks of ours."""
    task = mg.cache_grid(model).task
    cosines = []
    for a, b, c in triples:
        tokens = task.tokens[a * P + b][None]
        leaf = []

        def keep(x, hook, leaf=leaf):
            leaf.append(x.detach().clone().requires_grad_(True))
            return leaf[0]

        model.run_with_hooks(tokens, fwd_hooks=[("hook_embed", keep)])[0, -1, c].backward()
        cosines.append(functional.cosine_similarity(leaf[0].grad[0, 0], leaf[0].grad[0, 1], dim=0).item())
    return sum(cosines) / len(cosines)


@pytest.mark.parametrize("name", NETWORKS)
def test_all_triples(name: str, monkeypatch):
    model = build(name)
    triples = [(a, b, c) for a in range(P) for b in range(P) for c in range(P)]
    expected = one_by_one(model, triples)
    found = gradient_symmetricity(model)
    assert float(found) == pytest.approx(expected, abs=1e-5)
    assert (found.exact, found.n_triples, found.undefined) == (True, P**3, 0)
    monkeypatch.setattr("mechgrok.analysis.symmetricity.CHUNK_BYTES", 1)
    assert gradient_symmetricity(model).value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_published_sample(name: str):
    """The first n of Python's shuffle of the list of triples itself, with the published seed."""
    model = build(name)
    triples = [(a, b, c) for a in range(P) for b in range(P) for c in range(P)]
    random.Random(42).shuffle(triples)
    found = gradient_symmetricity(model, 40)
    assert found.value == pytest.approx(one_by_one(model, triples[:40]), abs=1e-5)
    assert (found.exact, found.n_triples) == (False, 40)
    assert "a sample of 40 triples" in repr(found)


def test_the_sample_of_100_is_the_published_one():
    """Of p = 59 the shuffle begins with these triples, whatever version of Python runs it."""
    order = list(range(59**3))
    random.Random(42).shuffle(order)
    assert [(i // 59**2, i // 59 % 59, i % 59) for i in order[:3]] == [(29, 1, 57), (49, 36, 24), (40, 38, 8)]


def test_gradients_of_the_weights_are_left_alone():
    model = build("nanda")
    gradient_symmetricity(model, 10)
    assert all(parameter.grad is None for parameter in model.parameters())
    model.requires_grad_(False)
    with torch.no_grad():
        assert -1 <= float(gradient_symmetricity(model, 10)) <= 1


@pytest.mark.parametrize("p", [3, 7, 13])
def test_planted_algorithms(p: int):
    assert float(gradient_symmetricity(pizza_network(p, {1: 1.0}))) == pytest.approx(1)
    assert abs(float(gradient_symmetricity(cosine_network(p, {1: 1.0})))) < 0.3


@pytest.mark.parametrize("combine", ["sum", "concat"])
def test_adding_up_gives_exactly_one(combine):
    cfg = MLPConfig(
        d_vocab=P, d_vocab_out=P, d_embed=4, d_mlp=16, combine=combine, n_layers=2, mlp_bias=False
    )
    model = HookedMLP(cfg, seed=0)
    model.task = ADD
    assert (float(gradient_symmetricity(model)) == pytest.approx(1, abs=1e-6)) == (combine == "sum")


def test_triples_without_an_angle_are_left_out_and_counted():
    model = pizza_network(P, {1: 1.0})
    with torch.no_grad():
        model.unembed.W_U[:, 2] = 0
    found = gradient_symmetricity(model)
    assert (found.value, found.undefined) == (pytest.approx(1), P * P)
    with torch.no_grad():
        model.unembed.W_U.zero_()
    with pytest.raises(UndefinedMetricError, match="the gradients of all 125 logits are 0"):
        gradient_symmetricity(model)


def test_errors_at_the_door():
    for triples in (0, -1, P**3 + 1):
        with pytest.raises(ConfigError, match=rf"number in 1\.\.125; got {triples}"):
            gradient_symmetricity(build("nanda"), triples)
    with pytest.raises(ActivationError, match="needs the network"):
        gradient_symmetricity(mg.grid_from_tensors(ADD, cosine_logits(ADD, {1: 1.0})))
