"""Exchanging keys between inputs of planted networks, and the formula's prediction of the effect."""

import pytest
import torch
from planted import cosine_logits, extreme_frequencies

import mechgrok as mg

RESID = "blocks.0.hook_resid_post"


@pytest.mark.parametrize("p", [3, 10, 15, 53])
@pytest.mark.parametrize("site", ["logits", "neurons", RESID])
def test_a_cosine_network_does_what_its_formula_says(p: int, site: str):
    amplitudes = {k: 9.0 + k for k in extreme_frequencies(p)}
    found = mg.interchange(mg.cosine_network(p, amplitudes), amplitudes, site, n=100)
    assert found.accuracy == found.together.accuracy == 1
    assert found.stayed.accuracy < 0.5
    assert found.r2 == pytest.approx(1, abs=1e-9)
    assert set(found.by_key) == set(amplitudes)
    for exchange in found.by_key.values():
        assert (exchange.r2, exchange.accuracy) == (pytest.approx(1, abs=1e-9), 1)


def test_one_key_alone_gives_the_predicted_answer_and_not_that_of_the_source():
    # With one strong and one weak frequency, exchanging the weak one leaves most answers as they are.
    found = mg.interchange(mg.cosine_network(11, {2: 30.0, 5: 1.0}), [5], n=None)
    assert found.n_pairs == 121
    assert found.by_key[5] == found.together
    assert (found.together.accuracy, found.stayed.accuracy) == (1, 1)
    assert found.accuracy < 0.2
    assert found.loss > 10


@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div"])
def test_every_operation_with_a_cyclic_group(operation: str):
    task = mg.modular_task(operation, 11)
    grid = mg.grid_from_tensors(task, cosine_logits(task, {1: 5.0, 3: 9.0}))
    found = mg.interchange(grid, [1, 3], n=50)
    assert (found.accuracy, found.r2) == (1, pytest.approx(1, abs=1e-9))


def test_irreps():
    network = mg.character_network("S3", {"standard": 5.0, "sign": 2.0})
    found = mg.interchange(network, ["standard", "sign"], "neurons", n=None)
    assert (found.accuracy, found.r2) == (1, pytest.approx(1, abs=1e-9))
    assert found.by_key["sign"].r2 == pytest.approx(1, abs=1e-9)


def test_what_is_no_function_of_the_answer_is_not_predicted():
    # Half of the inputs have the wave, as in a network that has memorised them: each coefficient is 0 or 10, the
    # formula says 5 for all. Of the squares of 10, 10, -10 and 0 in a change it explains about half.
    task = mg.modular_task("add", 53)
    known = task.split(0.5).train
    grid = mg.grid_from_tensors(task, cosine_logits(task, {7: 10.0}) * known[:, None])
    found = mg.interchange(grid, [7], n=None)
    assert found.r2 == pytest.approx(0.5, abs=0.03)
    assert found.accuracy == pytest.approx(0.5, abs=0.05)


def test_noise_of_known_size():
    # Of each pair, noise on the coefficients of cos and sin of the class adds to what the formula does not say.
    task, noise = mg.modular_task("add", 53), 2.0
    clean = cosine_logits(task, {7: 10.0})
    dice = torch.Generator().manual_seed(0)
    grid = mg.grid_from_tensors(
        task, clean + noise * torch.randn(clean.shape, generator=dice, dtype=torch.float64)
    )
    # A change has the sum of squares of two waves of 10, 2 * 10^2 * 53/2, and of noise in two directions, 2 * 2 * 2^2.
    wave, rest = 2 * 10**2 * 53 / 2, 2 * 2 * noise**2
    assert mg.interchange(grid, [7], n=None).r2 == pytest.approx(wave / (wave + rest), abs=2e-3)


def test_the_same_seed_takes_the_same_pairs():
    task = mg.modular_task("add", 11)
    network = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    found = [mg.interchange(network, [1], n=20, seed=seed).r2 for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_what_cannot_be_exchanged_is_refused_in_words():
    network = mg.cosine_network(7, {2: 5.0})
    with pytest.raises(mg.UndefinedMetricError, match="nothing to exchange"):
        mg.interchange(network, [2], "blocks.0.hook_resid_pre")
    with pytest.raises(mg.ConfigError, match="at least 1"):
        mg.interchange(network, [2], n=0)
    with pytest.raises(mg.UndefinedMetricError, match="no key"):
        mg.interchange(network, [])
    with pytest.raises(mg.ActivationError, match="no hook"):
        mg.interchange(network, [2], "neuron")
