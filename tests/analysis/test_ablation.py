"""Ablations on networks whose circuits are planted."""

import math

import pytest
import torch

import mechgrok as mg

SITES = ("embed", "neurons", "logits")
NETWORKS = [(3, {1: 9.0}), (10, {1: 20.0, 5: 15.0}), (53, {1: 30.0, 26: 30.0}), (96, {7: 60.0, 48: 60.0})]


@pytest.fixture(params=NETWORKS, ids=lambda case: f"p={case[0]}")
def planted(request):
    p, amplitudes = request.param
    return mg.cosine_network(p, amplitudes), tuple(amplitudes), p


@pytest.mark.parametrize("site", ["neurons", "logits"])
def test_removing_all_keys_leaves_a_guess(planted, site):
    model, keys, p = planted
    ablation = mg.ablate(model, keys, site=site)
    assert ablation.loss == pytest.approx(math.log(p), rel=1e-9)
    assert ablation.loss_before == pytest.approx(mg.full_loss(model), rel=1e-12)
    assert ablation.accuracy_before == 1


def test_removing_all_keys_from_the_embedding_makes_all_tokens_alike(planted):
    model, keys, p = planted
    ablation = mg.ablate(model, keys, site="embed")
    tokens = mg.cache_grid(model).task.tokens
    ablated = model.run_with_hooks(tokens, fwd_hooks=ablation.hooks)[:, -1]
    assert torch.allclose(ablated, ablated[:1].expand_as(ablated), atol=1e-9)
    assert ablation.loss == pytest.approx(math.log(p))


@pytest.mark.parametrize("site", SITES)
def test_keeping_all_keys_changes_nothing(planted, site):
    model, keys, _ = planted
    ablation = mg.ablate(model, keys, site=site, keep=True)
    assert ablation.loss == pytest.approx(ablation.loss_before, rel=1e-6)
    assert ablation.accuracy == 1


@pytest.mark.parametrize("site", SITES)
def test_keys_that_the_network_does_not_use_change_nothing(site):
    model = mg.cosine_network(13, {2: 20.0, 6: 20.0})
    ablation = mg.ablate(model, [1, 3], site=site)
    assert ablation.loss == pytest.approx(ablation.loss_before, rel=1e-6)


@pytest.mark.parametrize("site", ["neurons", "logits"])
def test_the_cosine_alone_is_what_remains_without_the_sine(site):
    p, k = 13, 2
    model = mg.cosine_network(p, {k: 20.0})
    without_sine, cosine = mg.ablate(model, [k], "sin", site), mg.ablate(model, [k], "cos", site, keep=True)
    w = 2 * math.pi * k / p
    a, b, c = torch.meshgrid(*[torch.arange(p).double()] * 3, indexing="ij")
    half = (20 * (w * (a + b)).cos() * (w * c).cos()).view(p * p, p)
    expected = mg.full_loss(mg.grid_from_tensors(mg.modular_task("add", p), half))
    assert without_sine.loss == pytest.approx(expected, rel=1e-9)
    assert cosine.loss == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("keep", [False, True])
def test_hooks_do_the_same_on_a_shuffled_part_of_the_inputs(site, keep):
    model = mg.cosine_network(11, {2: 9.0, 5: 4.0})
    task = mg.cache_grid(model).task
    ablation = mg.ablate(model, [5], site=site, keep=keep)
    rows = torch.randperm(task.n_inputs, generator=torch.Generator().manual_seed(0))[:17]
    everything = model.run_with_hooks(task.tokens, fwd_hooks=ablation.hooks)
    part = model.run_with_hooks(task.tokens[rows], fwd_hooks=ablation.hooks)
    assert torch.allclose(part, everything[rows], atol=1e-9)
    loss = mg.full_loss(mg.grid_from_tensors(task, everything[:, -1].detach()))
    assert loss == pytest.approx(ablation.loss, rel=1e-9)
    assert not torch.allclose(everything, model(task.tokens), atol=1e-3)


CONFIGS = {
    "transformer": mg.ModelConfig(d_model=16, n_heads=2),
    "two layers": mg.ModelConfig(d_model=16, n_heads=2, n_layers=2),
    "final norm": mg.ModelConfig(d_model=16, n_heads=2, normalization="LN"),
    "mlp": mg.MLPConfig(d_embed=8, d_mlp=16),
    "tied mlp": mg.MLPConfig(d_embed=8, d_mlp=16, readout="tied"),
}


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("site", ["embed", "neurons"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_what_is_not_run_again_is_what_the_hooks_give(config, site, keep):
    model = mg.build_model(mg.modular_task("add", 7), config, seed=1)
    ablation = mg.ablate(model, [1, 3], site=site, keep=keep)
    task = mg.cache_grid(model).task
    logits = model.run_with_hooks(task.tokens, fwd_hooks=ablation.hooks)[:, -1, : task.n_classes].detach()
    assert ablation.loss == pytest.approx(mg.full_loss(mg.grid_from_tensors(task, logits)), rel=1e-5)
    assert abs(ablation.loss - ablation.loss_before) > 1e-5 * ablation.loss, "the ablation does something"


def test_the_mask_selects_the_inputs():
    model = mg.cosine_network(11, {2: 3.0})
    split = mg.cache_grid(model).task.split(0.4)
    ablation = mg.ablate(model, [2], site="embed", mask=split.train)
    assert ablation.loss_before == pytest.approx(mg.full_loss(model, split.train))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([7],), mg.ConfigError, "7 is not a frequency of Z11; allowed: 1..5"),
        (([],), mg.UndefinedMetricError, "no key frequency given"),
        (([2], "tan"), mg.ConfigError, "component must be one of cos, sin, both; got 'tan'"),
        (
            ([2], "cos", "somewhere"),
            mg.ConfigError,
            "ablate takes site, 'embed' or 'neurons' or 'logits'; got 'somewhere'",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_errors(arguments, error, text):
    with pytest.raises(error, match=text):
        mg.ablate(mg.cosine_network(11, {2: 3.0}), *arguments)


def test_the_alternating_frequency_has_no_sine():
    with pytest.raises(mg.UndefinedMetricError, match="has no sin: nothing to ablate"):
        mg.ablate(mg.cosine_network(6, {3: 3.0}), [3], "sin")


def test_operands_with_embeddings_of_their_own():
    model = mg.build_model(mg.modular_task("add", 7), mg.MLPConfig(embeddings="separate", d_embed=8, d_mlp=8))
    with pytest.raises(mg.ActivationError, match="embeddings of their own"):
        mg.ablate(model, [2], site="embed")
    assert mg.ablate(model, [2], site="neurons").loss > 0


KEYS = {"sign": 4.0, "standard": 9.0, "2d": 5.0}


@pytest.mark.parametrize("site", ["neurons", "logits"])
def test_removing_the_irreps_leaves_a_guess_and_keeping_them_changes_nothing(site):
    model = mg.character_network("S4", KEYS)
    removed = mg.ablate(model, KEYS, site=site)
    assert removed.accuracy_before == 1
    assert removed.loss == pytest.approx(math.log(24), rel=1e-9)
    assert mg.ablate(model, KEYS, site=site, keep=True).loss == pytest.approx(removed.loss_before, rel=1e-6)
    assert mg.ablate(model, ["standard_sign"], site=site).loss == pytest.approx(removed.loss_before, rel=1e-6)


@pytest.mark.parametrize("site", ["neurons", "logits"])
@pytest.mark.parametrize("entry", ["11", "23"])
def test_one_entry_of_an_irrep(site, entry):
    """The trace of rho(a∘b) rho(c)^T is a sum over entries, of which one is taken away."""
    model = mg.character_network("S4", {"standard": 9.0})
    task = mg.cache_grid(model).task
    rho = next(r for r in mg.real_irreps(mg.named_group("S4")) if r.label == "standard").matrices
    i, j = int(entry[0]) - 1, int(entry[1]) - 1
    trace = torch.einsum("nij,cij->nc", rho[task.labels], rho)
    without = 9 * (trace - rho[task.labels, i, j][:, None] * rho[:, i, j])
    expected = mg.full_loss(mg.grid_from_tensors(task, without))
    assert mg.ablate(model, ["standard"], entry, site).loss == pytest.approx(expected, rel=1e-9)


def test_components_are_those_of_the_basis():
    model = mg.character_network("S4", {"standard": 9.0})
    with pytest.raises(mg.ConfigError, match=r"component must be one of 11, 12, 21, .*, both; got '44'"):
        mg.ablate(model, ["standard"], "44", "logits")
    with pytest.raises(mg.UndefinedMetricError, match="has no cos: nothing to ablate"):
        mg.ablate(model, ["standard"], "cos", "logits")
    with pytest.raises(mg.UndefinedMetricError, match="has no 22: nothing to ablate"):
        mg.ablate(model, ["sign"], "22", "logits")


@pytest.mark.parametrize(
    ("group", "amplitudes"),
    [("Z2xZ4", {"1d_a": 3.0, "2d_a": 3.0}), ("A5", {"3d_a": 2.0}), ("S4", {"2d": 2.0, "standard": 2.0})],
)
@pytest.mark.parametrize("site", ["logits", "neurons"])
def test_where_rounding_alone_is_left_the_accuracy_is_that_of_a_guess(group, amplitudes, site):
    model = mg.character_network(group, amplitudes)
    guess = 1 / mg.group_task(group).n_classes
    assert mg.ablate(model, list(amplitudes), site=site).accuracy == pytest.approx(guess)
