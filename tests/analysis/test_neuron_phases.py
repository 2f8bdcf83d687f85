"""Neurons as waves: planted frequencies, amplitudes and phases."""

from math import pi

import pytest
import torch

import mechgrok as mg
from tests.planted import MODULI, NEURONS, extreme_frequencies

PRE = "blocks.0.mlp.hook_pre"


def wrapped(angle):
    return torch.atan2(torch.sin(torch.as_tensor(angle)), torch.cos(torch.as_tensor(angle)))


def planted(task, neurons, *, products=0.0):
    """A grid whose neurons are A cos(w a + p) + B cos(w b + q) + 3 before, and write C cos(w c + r) + 1."""
    n = task.frame.order
    elements = torch.arange(n).double()
    k, A, p, B, q, C, r = (torch.tensor(column, dtype=torch.float64) for column in zip(*neurons, strict=True))
    waves = 2 * pi / n * elements[:, None] * k
    read = (A * (waves + p).cos())[:, None] + (B * (waves + q).cos())[None] + 3
    read = read + products * (waves.cos()[:, None] * waves.sin()[None])
    pre = torch.zeros(task.n_inputs, len(neurons), dtype=torch.float64)
    pre[task.frame.rows.flatten()] = read.flatten(0, 1)
    W_L = torch.zeros(len(neurons), task.n_classes, dtype=torch.float64)
    W_L[:, task.frame.element_classes] = (C * (waves + r).cos() + 1).T
    logits = torch.zeros(task.n_inputs, task.n_classes)
    return mg.grid_from_tensors(task, logits, {PRE: pre, NEURONS: pre.relu()}, weights={"W_L": W_L})


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("operation", ["add", "sub"])
def test_planted_waves_are_read_off(p, operation):
    task = mg.modular_task(operation, p)
    neurons = [
        (k, 2.0 + i, phase, 0.5, phase / 2 + 1, 4.0, 2.5 - phase)
        for k in extreme_frequencies(p)
        if 2 * k != p
        for i, phase in enumerate((0.0, 1.0, -2.9, 3.1))
    ]
    found = mg.neuron_phases(planted(task, neurons))
    k, A, a, B, b, C, r = (torch.tensor(column, dtype=torch.float64) for column in zip(*neurons, strict=True))
    assert found.frequency.tolist() == k.tolist()
    for name, value in {"amplitude_a": A, "amplitude_b": B, "output_amplitude": C}.items():
        torch.testing.assert_close(getattr(found, name), value, atol=1e-9, rtol=0)
    turn = r - a - b if operation == "add" else r - a + b
    for name, angle in {"phase_a": a, "phase_b": b, "output_phase": r, "turn": turn}.items():
        off = wrapped(getattr(found, name) - angle)
        assert off.abs().max() < 1e-9, name
        assert getattr(found, name).abs().max() <= pi
    torch.testing.assert_close(found.share, torch.ones(len(k)).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(found.output_share, torch.ones(len(k)).double(), atol=1e-9, rtol=0)
    assert found.products.max() < 1e-9
    assert found.waves.all()


@pytest.mark.parametrize("p", [4, 10, 96])
def test_the_alternating_wave_has_a_sign_for_a_phase(p):
    found = mg.neuron_phases(planted(mg.modular_task("add", p), [(p // 2, 2.0, 0.0, 3.0, pi, 1.5, pi)]))
    assert found.groups == {p // 2: [0]}
    assert found.amplitude_a.item() == pytest.approx(2.0)
    assert found.amplitude_b.item() == pytest.approx(3.0)
    assert found.output_amplitude.item() == pytest.approx(1.5)
    assert found.phase_a.item() == pytest.approx(0.0, abs=1e-9)
    assert found.phase_b.item() == pytest.approx(pi)
    assert found.share.item() == pytest.approx(1.0)
    assert found.doubling(p // 2) == pytest.approx(1.0)


def test_a_network_that_multiplies_has_waves_of_discrete_logarithms():
    task = mg.modular_task("mul", 13)
    found = mg.neuron_phases(planted(task, [(2, 1.0, 0.5, 1.0, 0.5, 1.0, 1.0)]))
    assert found.groups == {2: [0]}
    assert found.phase_a.item() == pytest.approx(0.5)
    assert found.turn.abs().item() < 1e-9


@pytest.mark.parametrize("height", [0.3, 4.0])
def test_products_are_what_is_no_sum(height):
    found = mg.neuron_phases(
        planted(mg.modular_task("add", 11), [(2, 1.0, 0.0, 2.0, 1.0, 1.0, 1.0)], products=height)
    )
    waves, product = (1 + 4) / 2, height**2 / 4
    assert found.products.item() == pytest.approx(product / (waves + product))
    assert found.share.item() == pytest.approx(waves / (waves + product))
    assert found.waves.item() == (height < 1)


def test_phases_that_have_nothing_to_do_with_each_other_do_not_double():
    phases = [2 * pi * i / 8 for i in range(8)]
    once = [(2, 1.0, p, 1.0, p, 1.0, p) for p in phases]
    found = mg.neuron_phases(planted(mg.modular_task("add", 11), once))
    assert found.doubling(2) < 1e-9, "turning once instead of twice"
    assert found.alignment(2) == pytest.approx(1.0)
    assert found.spread(2) == pytest.approx(1.0)
    torus = [(2, 1.0, p, 1.0, 3 * p, 1.0, 4 * p) for p in phases]
    found = mg.neuron_phases(planted(mg.modular_task("add", 11), torus))
    assert found.doubling() == pytest.approx(1.0)
    assert found.alignment() < 1e-9


def test_the_mean_over_frequencies_counts_neurons():
    aligned = [(1, 1.0, p, 1.0, p, 1.0, 2 * p) for p in (0.0, 1.0, 2.0)]
    opposite = [(3, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0), (3, 1.0, 0.0, 1.0, 0.0, 1.0, pi)]
    found = mg.neuron_phases(planted(mg.modular_task("add", 11), aligned + opposite))
    assert list(found.groups) == [1, 3]
    assert found.doubling(3) == pytest.approx(0.0, abs=1e-9)
    assert found.doubling() == pytest.approx(3 / 5)


def test_a_constant_neuron_is_no_wave():
    task = mg.modular_task("add", 11)
    found = mg.neuron_phases(
        planted(task, [(2, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0), (1, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0)])
    )
    assert found.waves.tolist() == [False, True]
    assert found.share[0] == found.products[0] == 0
    assert found.output_share[1] == 0
    assert found.groups == {1: [1]}
    with pytest.raises(mg.UndefinedMetricError, match="no neuron is a wave of frequency 2; there are 1"):
        found.doubling(2)


def test_without_a_wave_there_is_no_mean_and_no_figure():
    task = mg.modular_task("add", 11)
    found = mg.neuron_phases(planted(task, [(2, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)]))
    with pytest.raises(mg.UndefinedMetricError, match="no neuron has"):
        found.alignment()
    with pytest.raises(mg.UndefinedMetricError, match="nothing to draw"):
        found.figure()


@pytest.mark.parametrize("p", [7, 12, 67])
@pytest.mark.parametrize("n", [3, 5, 7])
def test_the_construction_has_evenly_spread_neurons_that_turn_twice_as_fast(p, n):
    found = mg.neuron_phases(mg.five_neuron_network(p, n))
    assert found.groups.keys() == {1}
    assert found.doubling(1) == pytest.approx(1.0)
    assert found.alignment(1) == pytest.approx(1.0)
    assert found.spread(1) == pytest.approx(1.0)
    torch.testing.assert_close(found.amplitude_a, torch.ones(n).double(), atol=1e-9, rtol=0)


def test_the_order_of_neurons_and_a_rotation_of_the_embedding_are_no_matter():
    network = mg.five_neuron_network(11)
    before = mg.neuron_phases(network)
    turn = torch.linalg.qr(torch.randn(2, 2, generator=torch.Generator().manual_seed(0)).double()).Q
    order = torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        network.embed.W_E.copy_(network.embed.W_E @ turn)
        layer = network.layers[0]
        layer.W_in.copy_((turn.T @ layer.W_in)[:, order])
        network.unembed.W_out.copy_((network.unembed.W_out @ turn)[order])
    after = mg.neuron_phases(network)
    for name in ("phase_a", "output_phase"):
        assert wrapped(getattr(after, name) - getattr(before, name)[order]).abs().max() < 1e-9
    assert after.doubling() == pytest.approx(before.doubling())


def test_shifted_operands_turn_phases_and_leave_doubling_alone():
    shift = 4
    network = mg.five_neuron_network(11)
    before = mg.neuron_phases(network)
    w = 2 * pi / 11
    found = mg.neuron_phases(
        planted(
            network.task,
            [
                (1, 1.0, p + shift * w, 1.0, p + shift * w, 1.0, 2 * (p + shift * w))
                for p in before.phase_a.tolist()
            ],
        )
    )
    assert wrapped(found.phase_a - before.phase_a - shift * w).abs().max() < 1e-9
    assert found.doubling() == pytest.approx(1.0)


def test_a_transformer_has_phases_too():
    network = mg.cosine_network(13, {3: 1.0})
    found = mg.neuron_phases(network)
    assert {label: len(neurons) for label, neurons in found.groups.items()} == {3: 25}
    assert found.doubling() == pytest.approx(1.0)
    assert found.alignment() < 1e-9, "every pair of phases is there once"
    cached = mg.cache_grid(network, names=[PRE])
    torch.testing.assert_close(mg.neuron_phases(cached).phase_a, found.phase_a)


def test_tables_and_words():
    found = mg.neuron_phases(mg.five_neuron_network(7, 3))
    assert repr(found) == "NeuronPhases(3 of 3 neurons are waves; 1: 3)"
    rows = found.records()
    assert len(rows) == 3
    assert rows[0]["frequency"] == 1
    assert rows[1]["output_phase"] == pytest.approx(found.output_phase[1].item())


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (lambda: mg.character_network("S3", {"sign": 1.0}), "Fourier basis"),
        (lambda: mg.build_model(mg.parity_task(4), mg.DenseConfig()), "circles need"),
        (lambda: mg.build_model(mg.modular_task("add", 7), mg.ModelConfig(attn_only=True)), "no neurons"),
        (lambda: mg.cache_grid(mg.five_neuron_network(7)), "was not cached"),
    ],
)
def test_what_has_no_phases_is_refused(source, why):
    with pytest.raises(mg.MechgrokError, match=why):
        mg.neuron_phases(source())
