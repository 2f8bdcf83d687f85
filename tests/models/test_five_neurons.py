"""The untrained network with five neurons."""

from math import pi

import pytest
import torch

import mechgrok as mg
from mechgrok.models.five_neurons import five_neuron_network, points_on_circle

PUBLISHED = {
    ("relu", 3): 0.023, ("relu", 4): 0.030, ("relu", 5): 1.0, ("relu", 6): 0.194, ("relu", 7): 1.0, ("relu", 12): 1.0,
    ("relu", 24): 1.0, ("square", 3): 1.0, ("square", 4): 0.030, ("square", 5): 1.0, ("square", 6): 1.0,
}  # fmt: skip


@pytest.mark.parametrize(("act_fn", "n"), PUBLISHED)
def test_accuracy_mod_67_by_the_number_of_neurons(act_fn, n):
    network = five_neuron_network(67, n, act_fn)
    assert mg.accuracy(network) == pytest.approx(PUBLISHED[act_fn, n], abs=6e-4)


@pytest.mark.parametrize("p", [3, 7, 12, 53, 66])
@pytest.mark.parametrize("n", [3, 5, 6, 9])
def test_squares_give_the_formula(p, n):
    network = five_neuron_network(p, n, "square")
    a, b = network.task.operands.double().T
    c = torch.arange(p).double()
    w = 2 * pi / p
    ideal = n / 2 * (1 + (w * (a - b)).cos())[:, None] * (w * ((a + b)[:, None] - c)).cos()
    torch.testing.assert_close(network(network.task.tokens)[:, -1], ideal, atol=1e-11, rtol=0)


@pytest.mark.parametrize("p", [3, 8, 67])
def test_four_neurons_leave_a_second_wave_and_ties_to_the_last_bit(p):
    network = five_neuron_network(p, 4, "square")
    a, b = network.task.operands.double().T
    c = torch.arange(p).double()
    w = 2 * pi / p
    second = (w * ((a + b)[:, None] - c)).cos() + (w * ((a + b)[:, None] + c)).cos()
    ideal = 2 * (1 + (w * (a - b)).cos())[:, None] * second
    logits = network(network.task.tokens)[:, -1]
    torch.testing.assert_close(logits, ideal, atol=1e-11, rtol=0)
    assert torch.equal(logits[:, 1:], logits[:, 1:].flip(1)), "c and -c are equal"


@pytest.mark.parametrize("act_fn", ["relu", "square"])
@pytest.mark.parametrize("p", [5, 59, 113])
def test_five_neurons_are_enough_for_other_odd_moduli(p, act_fn):
    assert mg.accuracy(five_neuron_network(p, 5, act_fn)) == 1.0


@pytest.mark.parametrize("p", [12, 66])
def test_of_an_even_modulus_only_antipodal_operands_are_wrong(p):
    network = five_neuron_network(p)
    grid = mg.cache_grid(network)
    a, b = network.task.operands.T
    antipodal = (a - b).abs() == p // 2
    assert torch.equal(grid.logits[antipodal], torch.zeros(p, p, dtype=torch.float64))
    assert mg.accuracy(grid, ~antipodal) == 1.0


def test_an_odd_function_has_no_second_harmonic():
    assert mg.accuracy(five_neuron_network(67, 5, "tanh")) < 0.05


@pytest.mark.parametrize("n", [1, 2, 5, 8, 12, 67, 100])
def test_points_on_the_circle_are_right_and_symmetric(n):
    steps = torch.arange(n)
    points = points_on_circle(steps, n)
    angles = 2 * pi * steps.double() / n
    torch.testing.assert_close(points, torch.stack([angles.cos(), angles.sin()], 1), atol=1e-15, rtol=0)
    mirrored = points_on_circle(n - steps, n)
    assert torch.equal(mirrored[:, 0], points[:, 0])
    assert torch.equal(mirrored[:, 1], -points[:, 1] + 0.0)


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": -1}, {"p": 0}, {"act_fn": "exp"}, {"n": 2.5}])
def test_what_is_no_network_is_refused(wrong):
    with pytest.raises(mg.MechgrokError):
        five_neuron_network(**wrong)


def test_the_file_of_a_constructed_network_opens(tmp_path):
    network = five_neuron_network()
    mg.save_model(network, tmp_path / "five.safetensors")
    assert mg.accuracy(mg.load_model(tmp_path / "five.safetensors")) == 1.0
