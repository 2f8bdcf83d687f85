"""Every analysis gives the same numbers for our network and for TransformerLens's with the same weights."""

import pytest
import torch
from natives import KEYS, KINDS, P, as_native, planted_network

import mechgrok as mg

NEURONS = "blocks.0.mlp.hook_post"
TRAIN = mg.modular_task("add", P).split(0.4, seed=0).train


def _losses(measure):
    return {
        f"{measure.__name__}": lambda m: measure(m, KEYS),
        f"{measure.__name__} of one key on a mask": lambda m: measure(m, KEYS[:1], TRAIN),
        f"{measure.__name__} by character": lambda m: measure(m, KEYS, space="character"),
        f"{measure.__name__} at the neurons": lambda m: measure(m, KEYS, site=NEURONS),
        f"{measure.__name__} at the attention": lambda m: measure(m, KEYS, site="blocks.0.attn.hook_z"),
        f"{measure.__name__} at the pattern": lambda m: measure(m, KEYS, site="blocks.0.attn.hook_pattern"),
    }


def _ablation(component, site, keep):
    def measure(model):
        ablation = mg.ablate(model, KEYS[1:], component, site, keep=keep)
        tokens = mg.cache_grid(model).task.tokens
        logits = model.run_with_hooks(tokens, fwd_hooks=ablation.hooks)[:, -1]
        return [ablation.loss, ablation.loss_before, ablation.accuracy, *logits.flatten().tolist()]

    return measure


ANALYSES = {
    "full_loss": mg.full_loss,
    "full_loss on a mask": lambda m: mg.full_loss(m, TRAIN),
    "accuracy": mg.accuracy,
    **_losses(mg.restricted_loss),
    **_losses(mg.excluded_loss),
    **{
        f"key frequencies by {method}": lambda m, method=method: mg.find_key_frequencies(m, method).power
        for method in ("logits", "neurons", "embedding")
    },
    "neuron_frequencies": lambda m: mg.neuron_frequencies(m).power,
    **{
        f"logit_fve, centre {centre}": lambda m, centre=centre: float(mg.logit_fve(m, KEYS, centre=centre))
        for centre in ("class", "double", "none")
    },
    **{
        f"ablation of {component} at {site}, keep={keep}": _ablation(component, site, keep)
        for site, component, keep in (
            ("embed", "both", False),
            ("neurons", "cos", True),
            ("logits", "sin", False),
        )
    },
    "fourier_frequency_density": mg.fourier_frequency_density,
    "fourier_coefficient_ratio": mg.fourier_coefficient_ratio,
    "frequency_norms of W_E": mg.frequency_norms,
    "frequency_norms of W_L": lambda m: mg.frequency_norms(m, matrix="W_L"),
    "sum_squared_weights": mg.sum_squared_weights,
}  # fmt: skip

BIASES = {"attn_bias": True, "unembed_bias": True}


@pytest.mark.parametrize("kind", KINDS)
def test_every_bias_counts_among_the_weights(kind):
    task = mg.modular_task("add", P)
    model = mg.build_model(task, mg.ModelConfig(d_model=16, n_heads=2, **BIASES), seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    expected = sum(weight.detach().double().square().sum().item() for weight in model.parameters())
    native = as_native(model, kind)
    assert mg.sum_squared_weights(native) == pytest.approx(expected, rel=1e-9)
    parts = mg.MEASURES["sum_squared_weights_per_tensor"].function(mg.Snapshot(0, native, task))
    assert sum(parts.values()) == pytest.approx(expected, rel=1e-9)
    assert len(parts) == len(list(model.named_parameters()))


RECORDED = {
    "full_loss": 0.00036352313019371,
    "restricted_loss": 0.00035272037409455,
    "excluded_loss": 2.44013337136992,
    "logit_fve, centre class": 0.99701251123319,
}
"""Values of the planted network, which every version of TransformerLens must reproduce."""


@pytest.fixture(scope="module", params=[torch.float64, torch.float32], ids=["float64", "float32"])
def model(request):
    return planted_network().to(request.param)


@pytest.fixture(scope="module", params=KINDS)
def native(request, model):
    return as_native(model, request.param)


@pytest.mark.parametrize("analysis", ANALYSES)
def test_same_numbers(model, native, analysis):
    tolerance = 1e-10 if model.W_E.dtype == torch.float64 else 1e-6
    measure = ANALYSES[analysis]
    ours, theirs = (torch.as_tensor(measure(m), dtype=torch.float64) for m in (model, native))
    torch.testing.assert_close(theirs, ours, rtol=tolerance, atol=tolerance)


def test_same_keys_and_clusters(native):
    for method in ("logits", "neurons", "embedding"):
        assert mg.find_key_frequencies(native, method).frequencies == KEYS
    assert mg.neuron_frequencies(native).clusters == dict.fromkeys(KEYS, 25)
    assert mg.accuracy(native) == 1


@pytest.mark.parametrize("analysis", RECORDED)
def test_the_numbers_are_those_of_every_other_version(native, analysis):
    tolerance = 1e-10 if native.W_E.dtype == torch.float64 else 1e-6
    assert ANALYSES[analysis](native) == pytest.approx(RECORDED[analysis], rel=tolerance, abs=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-6)])
def test_same_numbers_for_a_network_that_others_trained(peer_data, dtype, tolerance):
    model = mg.load_model(peer_data / "nanda/wd_10-1_mod_addition_loss_curve.safetensors").to(dtype)
    ours, theirs = (_measured(mg.cache_grid(m)) for m in (model, as_native(model)))
    assert theirs == pytest.approx(ours, rel=tolerance)


def _measured(grid):
    keys = mg.find_key_frequencies(grid)
    losses = [mg.full_loss(grid), mg.restricted_loss(grid, keys), mg.excluded_loss(grid, keys)]
    return [*keys, *losses, float(mg.logit_fve(grid, keys))]


def test_the_comparison_can_fail(model):
    changed = as_native(model)
    with torch.no_grad():
        changed.W_E[3, 0] += 0.05
    assert abs(mg.full_loss(changed) - mg.full_loss(model)) > 1e-6
