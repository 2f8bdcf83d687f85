"""Neuron frequencies against closed forms and against the definition, computed with dense matrices."""

from math import pi, sqrt

import pytest
import torch
from planted import MODULI, NEURONS, extreme_frequencies, gromov_waves, wave_fve, wave_network, wave_neurons
from torch import Tensor

import mechgrok as mg
from mechgrok.analysis.neurons import block_power, neuron_frequencies


def grid_of(task: mg.Task, neurons: Tensor) -> mg.ActivationGrid:
    return mg.grid_from_tensors(task, torch.zeros(task.n_inputs, task.n_classes), {NEURONS: neurons})


def angles(task: mg.Task, k: int) -> tuple[Tensor, Tensor]:
    a, b = (2 * pi * k / task.n_symbols * x.double() for x in task.operands.T)
    return a, b


@pytest.mark.parametrize("p", MODULI)
def test_squared_neurons_have_their_fve_in_closed_form(p):
    task = mg.modular_task("add", p)
    waves = [(k, f, g) for k in extreme_frequencies(p) for f, g in ((0.0, 0.0), (0.3, 1.0), (2.0, -0.4))]
    waves += [(p // 4, 0.3, 1.0), (p // 4, 0.0, 0.5)] if p % 4 == 0 else []
    waves += [(p // 3, 0.3, 1.0)] if p % 3 == 0 else []
    tuned = neuron_frequencies(grid_of(task, wave_neurons(task, waves)))
    assert tuned.frequency.tolist() == [k for k, _, _ in waves]
    expected = torch.tensor([wave_fve(p, wave) for wave in waves], dtype=torch.float64)
    torch.testing.assert_close(tuned.fve, expected, atol=1e-9, rtol=0)
    assert tuned.alive.all()
    assert torch.equal(tuned.decided, expected >= 0.85)


def test_the_usual_value_is_four_fifths():
    assert wave_fve(113, (14, 0.3, 1.0)) == pytest.approx(0.8)
    assert wave_fve(3, (1, 0.3, 1.0)) == 1
    assert wave_fve(10, (5, 0.3, 1.0)) == 1
    assert wave_fve(96, (24, 0.0, 0.0)) == pytest.approx(1 / 1.5)


@pytest.mark.parametrize(("p", "n"), [(59, 100), (97, 200), (113, 200)])
def test_gromovs_weights_show_their_frequencies(p, n):
    waves = gromov_waves(p, n, seed=0)
    task = mg.modular_task("add", p)
    tuned = neuron_frequencies(mg.cache_grid(wave_network(task, waves), task), threshold=0.75)
    assert tuned.frequency.tolist() == [k for k, _, _ in waves]
    torch.testing.assert_close(tuned.fve, torch.full((n,), 0.8, dtype=torch.float64), atol=1e-9, rtol=0)
    assert tuned.decided.all()
    sizes = [k for k, _, _ in waves]
    assert tuned.clusters == {k: sizes.count(k) for k in set(sizes)}


@pytest.mark.parametrize("p", MODULI)
def test_ideal_neurons_are_pure(p):
    task = mg.modular_task("add", p)
    ks = extreme_frequencies(p)
    columns = []
    for k in ks:
        a, b = angles(task, k)
        columns += [(a + b).cos(), (a - b).cos(), a.cos() * b.cos() + 3, a.cos() + b.cos() - 1, b.cos()]
    tuned = neuron_frequencies(grid_of(task, torch.stack(columns, dim=1)))
    assert tuned.frequency.tolist() == [k for k in ks for _ in range(5)]
    torch.testing.assert_close(tuned.fve, torch.ones(len(columns)).double(), atol=1e-9, rtol=0)
    assert tuned.decided.all()


@pytest.mark.parametrize("p", [2, 3, 4, 7, 10])
def test_random_neurons_against_the_definition(p):
    """Centre, transform both axes by explicit matrices, sum the 8 (or 3) coefficients of a frequency."""
    task = mg.modular_task("add", p)
    neurons = torch.randn(p * p, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tuned = neuron_frequencies(grid_of(task, neurons), threshold=0.5)
    x = torch.arange(p).double()
    rows = [torch.ones(p).double() / sqrt(p)]
    for k in range(1, (p + 1) // 2):
        rows += [sqrt(2 / p) * (2 * pi * k / p * x).cos(), sqrt(2 / p) * (2 * pi * k / p * x).sin()]
    rows += [(pi * x).cos() / sqrt(p)] if p % 2 == 0 else []
    basis = torch.stack(rows)
    centred = (neurons - neurons.mean(0)).view(p, p, 6)
    spectrum = torch.einsum("fa,gb,abn->fgn", basis, basis, centred).square()
    power = []
    for k in range(1, p // 2 + 1):
        own = [0, p - 1] if 2 * k == p else [0, 2 * k - 1, 2 * k]
        power.append(spectrum[own][:, own].sum(dim=(0, 1)))
    torch.testing.assert_close(tuned.power, torch.stack(power, dim=1))
    fve = torch.stack(power, dim=1) / spectrum.sum(dim=(0, 1))[:, None]
    torch.testing.assert_close(tuned.fve, fve.max(dim=1).values)
    assert torch.equal(tuned.frequency, fve.argmax(dim=1) + 1)
    assert torch.equal(tuned.decided, tuned.fve >= 0.5)
    _, total = block_power(neurons.view(p, p, 6), task.frame.basis)
    torch.testing.assert_close(total, spectrum.sum(dim=(0, 1)))


def test_two_frequencies_share_the_variance():
    task = mg.modular_task("add", 59)
    a, b = angles(task, 5)
    c, d = angles(task, 23)
    mixed = 3 * (a + b).cos() + 4 * (c + d).sin()
    tuned = neuron_frequencies(grid_of(task, mixed[:, None]))
    assert tuned.frequency.item() == 23
    assert tuned.fve.item() == pytest.approx(16 / 25)
    assert tuned.power[0, 4].item() / tuned.power[0].sum().item() == pytest.approx(9 / 25)
    assert not tuned.decided.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dead_and_constant_neurons_belong_nowhere(dtype):
    task = mg.modular_task("add", 10)
    a, b = angles(task, 3)
    constant = torch.full_like(a, 1e3)
    # What is left of a constant after arithmetic in float64: its last digits differ.
    rounded = constant + 1e-13 * constant * torch.arange(100)
    neurons = torch.stack([0 * a, constant, -constant, rounded, 1e-20 * (a + b).cos()], dim=1)
    tuned = neuron_frequencies(grid_of(task, neurons.to(dtype)))
    assert tuned.alive.tolist() == [False, False, False, False, True]
    assert tuned.fve[:4].tolist() == [0, 0, 0, 0]
    assert tuned.fve.isfinite().all()
    assert tuned.frequency[4] == 3
    assert tuned.clusters == {3: 1}


def test_threshold_zero_decides_the_living_alone():
    task = mg.modular_task("add", 7)
    noise = torch.randn(49, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise[:, 2] = 0
    assert neuron_frequencies(grid_of(task, noise), threshold=0.0).decided.tolist() == [
        True,
        True,
        False,
        True,
    ]


def test_clusters_count_the_decided_from_large_to_small():
    task = mg.modular_task("add", 13)
    columns = [
        (sum(angles(task, k)) + phase).cos() for k, phase in [(2, 0), (5, 0), (5, 1), (6, 0), (5, 2), (6, 1)]
    ]
    tuned = neuron_frequencies(grid_of(task, torch.stack(columns, dim=1)))
    assert list(tuned.clusters.items()) == [(5, 3), (6, 2), (2, 1)]
    assert "6 of 6 decided; 5: 3, 6: 2, 2: 1" in repr(tuned)


@pytest.mark.parametrize("operation", ["mul", "div"])
def test_products_are_seen_in_the_logarithm(operation):
    task = mg.modular_task(operation, 29)
    waves = [(1, 0.1, 0.2), (14, 0.1, 0.2), (5, 1.0, 0.5), (7, 0.4, 0.2)]
    tuned = neuron_frequencies(mg.cache_grid(wave_network(task, waves), task))
    assert tuned.frequency.tolist() == [1, 14, 5, 7]
    expected = torch.tensor([wave_fve(28, wave) for wave in waves], dtype=torch.float64)
    torch.testing.assert_close(tuned.fve, expected, atol=1e-9, rtol=0)
    assert tuned.labels == tuple(range(1, 15))


def test_float32_neurons_are_measured_in_float64():
    task = mg.modular_task("add", 59)
    neurons = wave_neurons(task, [(7, 0.3, 1.0)])
    tuned = neuron_frequencies(grid_of(task, neurons.float()))
    assert tuned.fve.dtype == torch.float64
    assert tuned.fve.item() == pytest.approx(0.8, abs=1e-6)
