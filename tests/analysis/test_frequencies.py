"""Key frequencies: the frequencies used by the network are found, and no others, by a stated rule."""

import inspect
import math
from math import sqrt

import pytest
import torch
from planted import (
    MODULI,
    NEURONS,
    cosine_logits,
    extreme_frequencies,
    gromov_logits,
    gromov_waves,
    lookup_logits,
    phase_grid,
    wave_network,
    wave_neurons,
)

import mechgrok as mg
from mechgrok.analysis.frequencies import find_key_frequencies
from mechgrok.errors import ActivationError, ConfigError
from mechgrok.registries import INITS

METHODS = ("logits", "neurons", "embedding")


def grid_of(task: mg.Task, logits: torch.Tensor) -> mg.ActivationGrid:
    return mg.grid_from_tensors(task, logits)


@pytest.mark.parametrize("p", MODULI)
def test_planted_network_by_every_method(p):
    """The frequencies 1 and floor(p/2), which loops lose, are among them."""
    keys = extreme_frequencies(p)
    grid = mg.cache_grid(mg.cosine_network(p, {k: 2.0 + i for i, k in enumerate(keys)}))
    for method in METHODS:
        found = find_key_frequencies(grid, method)
        assert found.frequencies == tuple(keys), method
        assert found.explained == pytest.approx(1, abs=1e-9)
        assert found.method == method


@pytest.mark.parametrize("p", [3, 10, 53, 59, 97, 113])
@pytest.mark.parametrize("operation", ["sub", "mul", "div"])
def test_other_operations_by_their_own_waves(operation, p):
    task = mg.modular_task(operation, p)
    keys = extreme_frequencies(task.frame.order)
    grid = grid_of(task, cosine_logits(task, dict.fromkeys(keys, 4.0)))
    assert find_key_frequencies(grid).frequencies == tuple(keys)


@pytest.mark.parametrize("operation", ["sub", "mul", "div"])
def test_networks_for_other_operations_by_every_method(operation):
    task = mg.modular_task(operation, 29)
    grid = mg.cache_grid(wave_network(task, phase_grid([1, 5, 14])), task)
    for method in METHODS:
        assert find_key_frequencies(grid, method).frequencies == (1, 5, 14), method


@pytest.mark.parametrize("p", [10, 59])
def test_shares_are_the_squared_amplitudes(p):
    amplitudes = {1: 3.0, p // 3: 4.0, p // 2: 2.0}
    task = mg.modular_task("add", p)
    found = find_key_frequencies(grid_of(task, cosine_logits(task, amplitudes)))
    # A cosine has the variance 1/2; the alternating function of an even p has 1.
    power = {k: a * a * (1 if 2 * k == p else 0.5) for k, a in amplitudes.items()}
    for k in task.frame.basis.labels:
        assert found.share(k) == pytest.approx(power.get(k, 0) / sum(power.values()), abs=1e-12)


def test_a_hundredth_of_the_strongest_is_the_limit():
    task = mg.modular_task("add", 59)
    for small, expected in ((sqrt(0.011), (5, 9)), (sqrt(0.009), (5,))):
        found = find_key_frequencies(grid_of(task, cosine_logits(task, {5: 1.0, 9: small})))
        assert found.frequencies == expected
        assert found.threshold == pytest.approx(0.01 * found.share(5))


@pytest.mark.parametrize("p", [59, 97, 113])
def test_gromovs_weights_use_every_frequency(p):
    waves = gromov_waves(p, {59: 256, 97: 500, 113: 512}[p], seed=0)
    logits = gromov_logits(p, waves)
    task = mg.modular_task("add", p)
    grid = grid_of(task, logits)
    assert mg.accuracy(grid) == 1
    found = find_key_frequencies(grid)
    assert found.frequencies == task.frame.basis.labels
    # Whatever its phases, a neuron adds exactly cos(w(a+b-c))/2; everything else is orthogonal to that.
    counts = torch.tensor([sum(k == label for k, _, _ in waves) for label in found.labels]).double()
    torch.testing.assert_close(found.power / found.power.sum(), counts.square() / counts.square().sum())


def test_gromovs_network_computes_gromovs_formula():
    task = mg.modular_task("add", 23)
    waves = gromov_waves(23, 60, seed=1)
    grid = mg.cache_grid(wave_network(task, waves), task)
    torch.testing.assert_close(grid.logits, gromov_logits(23, waves), atol=1e-9, rtol=0)


def test_neurons_that_are_77_percent_pure_are_not_dropped():
    """Each neuron leaks into the other frequency; none reaches the 85% that others take as a definition."""
    task = mg.modular_task("add", 59)
    leak = sqrt((1 / 0.77 - 1.25) / 1.25)
    own, other = wave_neurons(task, phase_grid([5])), wave_neurons(task, phase_grid([17]))
    neurons = torch.cat([own + leak * other, other + leak * own], dim=1)
    grid = mg.grid_from_tensors(task, cosine_logits(task, {5: 3.0, 17: 3.0}), {NEURONS: neurons})
    tuned = mg.neuron_frequencies(grid)
    torch.testing.assert_close(tuned.fve, torch.full((50,), 0.77, dtype=torch.float64))
    assert tuned.clusters == {}
    assert find_key_frequencies(grid).frequencies == (5, 17)
    assert find_key_frequencies(grid, "neurons").frequencies == (5, 17)


def test_embedding_residue_that_nothing_reads_is_no_key():
    task = mg.modular_task("add", 59)
    model = wave_network(task, phase_grid([5, 17, 23]))
    unread = slice(50, 75)
    with torch.no_grad():
        model.blocks[0].mlp.W_in[:, unread] = 0
    grid = mg.cache_grid(model, task)
    assert find_key_frequencies(grid, "embedding").frequencies == (5, 17, 23)
    assert find_key_frequencies(grid).frequencies == (5, 17)
    assert find_key_frequencies(grid, "neurons").frequencies == (5, 17)


def test_neurons_that_nothing_reads_are_no_key():
    task = mg.modular_task("add", 59)
    model = wave_network(task, phase_grid([5, 17, 23]))
    with torch.no_grad():
        model.blocks[0].mlp.W_out[50:75] = 0
    grid = mg.cache_grid(model, task)
    assert mg.neuron_frequencies(grid, threshold=0.75).clusters == {5: 25, 17: 25, 23: 25}
    assert find_key_frequencies(grid, "neurons").frequencies == (5, 17)
    assert find_key_frequencies(grid).frequencies == (5, 17)


def test_three_stray_neurons_are_no_key():
    task = mg.modular_task("add", 59)
    stray = [(23, 0.3, 1.0), (23, 2.0, 0.5), (23, 4.0, 3.0)]
    model = wave_network(task, phase_grid([5, 17], n_phases=8) + stray)
    grid = mg.cache_grid(model, task)
    assert mg.neuron_frequencies(grid, threshold=0.75).clusters[23] == 3
    assert find_key_frequencies(grid).frequencies == (5, 17)
    with torch.no_grad():
        model.blocks[0].mlp.W_out[-3:] *= 0.2
    grid = mg.cache_grid(model, task)
    for method in ("logits", "neurons"):
        assert find_key_frequencies(grid, method).frequencies == (5, 17), method


@pytest.mark.parametrize("scheme", INITS)
@pytest.mark.parametrize("p", [10, 53, 113])
def test_untrained_networks_have_no_keys(scheme, p):
    task = mg.modular_task("add", p)
    for seed in range(1 if p == 113 else 4):
        model = mg.build_model(task, mg.ModelConfig(init=scheme), seed=seed)
        found = find_key_frequencies(model)
        assert found.frequencies == ()
        assert len(found) == 0
        assert list(found) == []
        assert "none" in repr(found)


@pytest.mark.parametrize("p", [10, 53, 97])
def test_noise_has_no_keys(p):
    task = mg.modular_task("add", p)
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(task.n_inputs, p, generator=generator, dtype=torch.float64)
        found = find_key_frequencies(grid_of(task, noise))
        assert found.frequencies == ()
        assert found.power.max() < found.threshold


def noise_with_a_wave(amplitude: float) -> mg.ActivationGrid:
    task = mg.modular_task("add", 53)
    noise = torch.randn(task.n_inputs, 53, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return grid_of(task, noise + cosine_logits(task, {26: amplitude}))


def test_weak_signal_stands_out_from_noise():
    """A wave of amplitude a has n a^2/2 of an input's variance, noise 2 in the block and n in all."""
    found = find_key_frequencies(noise_with_a_wave(0.4))
    assert found.frequencies == (26,)
    assert found.explained == pytest.approx(0.08 / 1.08, rel=0.05)
    assert found.alignment is not None
    assert found.alignment[25].item() == pytest.approx(4.24 / 6.24, rel=0.05)


def test_a_signal_that_explains_next_to_nothing_is_a_candidate():
    found = find_key_frequencies(noise_with_a_wave(0.05))
    assert found.frequencies == ()
    assert found.candidates == (26,)
    assert str(found) == "no key frequencies: the only candidate explains 0.1% of the logits"


@pytest.mark.parametrize("p", [5, 10, 31])
@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.45])
def test_a_memory_of_the_train_inputs_has_no_keys(fraction: float, p: int):
    task = mg.modular_task("add", p)
    train = task.split(fraction, seed=0).train
    found = find_key_frequencies(grid_of(task, lookup_logits(task) * train[:, None]))
    assert found.frequencies == ()


def test_a_memory_is_aligned_as_far_as_it_reaches():
    """A lookup table of some inputs lies along each direction as far as it has inputs."""
    task = mg.modular_task("add", 53)
    train = task.split(0.3, seed=0).train
    found = find_key_frequencies(grid_of(task, lookup_logits(task) * train[:, None]))
    assert found.candidates == found.labels
    assert found.alignment is not None
    torch.testing.assert_close(found.alignment, torch.full((26,), 0.3).double(), atol=0.01, rtol=0)
    assert found.reason == "the strongest 26 candidates explain 30.0% of the logits"


@pytest.mark.parametrize("name", ["add113", "add113-fast", "clock59", "pizza59", "mul113"])
def test_keys_come_with_the_circuit(name: str):
    """Each shipped run has none at the start, and all that it uses at the end."""
    run = mg.load_run(name)
    first, last = (find_key_frequencies(run.grid(step)) for step in (run.steps[0], run.steps[-1]))
    assert first.frequencies == ()
    assert len(last) in (4, 5)
    assert last.explained > 0.95


def test_a_run_that_has_memorised_has_candidates_alone():
    found = find_key_frequencies(mg.load_run("add113").grid(100))
    assert found.frequencies == ()
    assert len(found.candidates) > 10
    assert str(found).endswith("candidates explain 0.1% of the logits")


def test_a_pizza_is_aligned_as_far_as_its_logits_fade():
    found = find_key_frequencies(mg.pizza_network(31, {5: 9.0}))
    assert found.alignment is not None
    assert found.frequencies == (5,)
    assert found.alignment[4].item() == pytest.approx(8 / math.pi**2, rel=0.05)


@pytest.mark.parametrize("p", [*MODULI, 2, 4, 5])
def test_lookup_table_uses_every_frequency_alike(p):
    task = mg.modular_task("add", p)
    found = find_key_frequencies(grid_of(task, lookup_logits(task)))
    assert found.frequencies == task.frame.basis.labels
    assert found.explained == pytest.approx(1)
    pair, single = 2 / (p - 1), 1 / (p - 1)
    expected = [single if 2 * k == p else pair for k in found.labels]
    torch.testing.assert_close(found.power, torch.tensor(expected, dtype=torch.float64))


BIAS = torch.rand(7, generator=torch.Generator().manual_seed(0))
FLAT = {
    "all zero": torch.zeros(49, 7),
    "a bias per class": torch.arange(7.0).expand(49, 7),
    "a bias whose mean rounds": BIAS.expand(49, 7),
    "the same in float64": BIAS.double().expand(49, 7),
    "a constant per input": torch.arange(49.0)[:, None].expand(49, 7),
    "both": torch.arange(49)[:, None] / 3 + BIAS.double(),
}


@pytest.mark.parametrize("logits", FLAT.values(), ids=FLAT.keys())
def test_logits_that_do_not_tell_answers_apart_have_no_keys(logits):
    """Their variance is 0/0; what is left of it is rounding, in which any frequency may stand out."""
    found = find_key_frequencies(grid_of(mg.modular_task("add", 7), logits))
    assert found.frequencies == ()
    assert not found.power.any()


def test_embedding_that_is_the_same_for_all_tokens_has_no_keys():
    model = mg.cosine_network(11, {2: 1.0})
    with torch.no_grad():
        model.embed.W_E.copy_(torch.rand(model.cfg.d_model, generator=torch.Generator().manual_seed(0)))
    grid = mg.cache_grid(model, mg.modular_task("add", 11))
    assert find_key_frequencies(grid, "embedding").frequencies == ()
    assert find_key_frequencies(grid).frequencies == ()


def test_offsets_that_no_loss_sees_change_nothing():
    """A bias per class and a constant per input carry most of the raw variance of real logits."""
    task = mg.modular_task("add", 59)
    logits = cosine_logits(task, {5: 3.0, 17: 1.0})
    plain = find_key_frequencies(grid_of(task, logits))
    shifted = find_key_frequencies(
        grid_of(task, logits + 100 * torch.arange(59) + 50 * torch.arange(59 * 59)[:, None])
    )
    assert shifted.frequencies == (5, 17)
    torch.testing.assert_close(shifted.power, plain.power, atol=1e-6, rtol=0)


def test_result_carries_the_evidence():
    found = find_key_frequencies(mg.cosine_network(11, {2: 4.0, 5: 3.0}))
    assert list(found) == [2, 5]
    assert len(found) == 2
    assert 2 in found
    assert 3 not in found
    assert found.labels == (1, 2, 3, 4, 5)
    assert found.share(2) == pytest.approx(0.64)
    assert found.explained == pytest.approx(1)
    assert repr(found) == "KeyFrequencies(2: 64.0%, 5: 36.0%; by logits)"
    assert "1% of the strongest and 25 times white noise, at least half of its block" in found.rule
    assert str(found) == repr(found)
    assert found.reason == ""


def test_unknown_method_lists_the_methods():
    untyped = inspect.unwrap(find_key_frequencies)
    with pytest.raises(ConfigError, match="method must be one of logits, neurons, embedding; got 'fourier'"):
        untyped(mg.cosine_network(5, {1: 1.0}), "fourier")


def test_methods_that_need_what_bare_tensors_lack():
    task = mg.modular_task("add", 7)
    grid = grid_of(task, cosine_logits(task, {2: 1.0}))
    for method in ("neurons", "embedding"):
        with pytest.raises(
            ActivationError, match=r"needs (the network, but|W_E, and) the grid was made of tensors"
        ):
            find_key_frequencies(grid, method)


def test_float32_finds_the_same():
    task = mg.modular_task("add", 113)
    logits = cosine_logits(task, {1: 3.0, 56: 0.5})
    assert find_key_frequencies(grid_of(task, logits.float())).frequencies == (1, 56)


@pytest.mark.parametrize(
    ("group", "amplitudes"),
    [
        ("S3", {"sign": 2.0, "standard": 6.0}),
        ("Z2xZ2", {"1d_a": 4.0, "1d_b": 2.0}),
        ("D5", {"freq_1": 6.0, "freq_2": 1.0}),
        ("Z6", {1: 4.0, 3: 2.0}),
        ("Z5", {1: 4.0, 2: 1.5}),
    ],
)
def test_weak_keys_of_small_groups(group, amplitudes):
    """Where nothing is left unexplained there is no noise that could be mistaken for a key."""
    assert find_key_frequencies(mg.character_network(group, amplitudes)).frequencies == tuple(amplitudes)


@pytest.mark.parametrize("group", ["S3", "Z2xZ2", "D4", "Z5", "D5", "S4"])
def test_noise_has_no_keys_in_small_groups(group):
    task = mg.group_task(group)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(task.n_inputs, task.n_classes, generator=generator, dtype=torch.float64)
        assert find_key_frequencies(grid_of(task, noise)).frequencies == ()
