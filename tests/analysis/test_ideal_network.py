"""The ideal network of planted circuits, and of neurons that read or write more than one frequency."""

import pytest
import torch
from planted import NEURONS, gromov_waves, phase_grid, wave_network

import mechgrok as mg

PRE = "blocks.0.mlp.hook_pre"


def noisy(p, amplitudes, noise, seed=0):
    """A planted circuit with every weight a little off."""
    model = mg.cosine_network(p, amplitudes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight += noise * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return model


@pytest.mark.parametrize(("p", "k"), [(3, 1), (5, 2), (12, 5), (15, 4), (15, 5), (53, 7)])
@pytest.mark.parametrize("operation", ["add", "sub"])
def test_waves_are_their_own_ideal(p, k, operation):
    task = mg.modular_task(operation, p, sequence=("a", "b"))
    network = wave_network(task, phase_grid(sorted({1, k})), gain=8.0)
    network.task = task
    found = mg.ideal_network(network)
    assert found.accuracy == 1
    assert found.loss == pytest.approx(mg.full_loss(network), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("name", ["S3", "D5"])
def test_irreps_are_read_and_written_too(name):
    amplitudes = dict.fromkeys(mg.IrrepBasis(mg.named_group(name)).labels, 4.0)
    network = mg.character_network(name, amplitudes)
    assert mg.ideal_network(network).accuracy == mg.accuracy(network) == 1


@pytest.mark.parametrize("p", [8, 11])
def test_the_same_by_hand(p):
    """Frequency by frequency with cosines and sines, for neurons that read and write a little of everything."""
    network = noisy(p, {1: 3.0, 3: 2.0}, 0.2)
    task, cfg = network.task, network.cfg
    grid = mg.cache_grid(network, task, [PRE, NEURONS])
    pre = grid[PRE].view(p, p, -1)
    assert cfg.act_fn == "square"
    x = torch.arange(p).double()
    logits = torch.zeros(p, p, p, dtype=torch.float64)
    for j in range(cfg.d_mlp):
        read = pre[..., j]
        best, kept = -1.0, None
        for k in range(1, p // 2 + 1):
            waves = [(2 * torch.pi * k * x / p).cos()] + (
                [(2 * torch.pi * k * x / p).sin()] if 2 * k < p else []
            )
            project = sum(torch.outer(w, w) / w.square().sum() for w in waves)
            a, b, out = project @ read.mean(1), project @ read.mean(0), project @ grid.neuron_logit_map[j]
            power = (a.square().sum() + b.square().sum()).item()
            if power > best:
                best, kept = power, (a, b, out)
        a, b, out = kept
        logits += (read.mean() + a[:, None] + b).square()[..., None] * out
    found = mg.ideal_network(grid)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), task.labels)
    assert found.loss == pytest.approx(expected.item(), rel=1e-9)
    right = (logits.flatten(0, 1).argmax(1) == task.labels).double().mean().item()
    assert found.accuracy == pytest.approx(right)
    assert found.loss != pytest.approx(mg.full_loss(network), rel=1e-2)


def test_what_is_not_of_the_dominant_frequency_is_left_out():
    """Neurons that write a second frequency in a wrong place lose it."""
    task = mg.modular_task("add", 11, sequence=("a", "b"))
    network = wave_network(task, phase_grid([3]), gain=2.0)
    network.task = task
    before = mg.ideal_network(network).loss
    answers = (2 * torch.pi * 4 / 11 * torch.arange(11).double()).cos()
    with torch.no_grad():
        network.blocks[0].mlp.W_out[:, -11:] += 0.5 * answers
    assert mg.accuracy(network) < 1
    assert mg.ideal_network(network).loss == pytest.approx(before, rel=1e-9)


def test_products_before_the_neurons_are_left_out():
    clock, pizza = (make(11, {3: 9.0}) for make in (mg.clock_transformer, mg.pizza_transformer))
    assert mg.accuracy(clock) == 1
    assert mg.ideal_network(clock).accuracy < 0.3
    assert mg.ideal_network(pizza).accuracy == mg.accuracy(pizza)


def test_a_mask_and_inputs_outside_of_the_group():
    task = mg.modular_task("mul", 11, sequence=("a", "b"))
    network = wave_network(task, gromov_waves(10, 40, seed=0))
    network.task = task
    split = task.split(0.4)
    assert 0 < mg.ideal_network(network).accuracy <= 1
    assert mg.ideal_network(network, split.train) != mg.ideal_network(network, split.test)
    zeros = (task.operands == 0).any(1)
    with pytest.raises(mg.UndefinedMetricError, match="no input of the mask"):
        mg.ideal_network(network, zeros)
    assert mg.ideal_network(network, ~zeros) == mg.ideal_network(network)


def test_what_has_no_ideal_is_refused_in_words():
    task = mg.modular_task("add", 5)
    gated = mg.build_model(task, mg.ModelConfig(d_model=16, gated_mlp=True), seed=0)
    with pytest.raises(mg.UndefinedMetricError, match="gated ones"):
        mg.ideal_network(gated)
    altered = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    altered.blocks[0].mlp.act = torch.tanh
    with pytest.raises(mg.UndefinedMetricError, match="not relu of their pre-activations"):
        mg.ideal_network(altered)
    silent = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    with torch.no_grad():
        silent.blocks[0].mlp.W_in.zero_()
    with pytest.raises(mg.UndefinedMetricError, match="no neuron varies"):
        mg.ideal_network(silent)
    with pytest.raises(mg.UndefinedMetricError, match="two operands"):
        mg.ideal_network(mg.build_model(mg.parity_task(4, (0, 1)), seed=0))
    with pytest.raises(mg.ActivationError, match="no neurons"):
        mg.ideal_network(mg.build_model(task, mg.ModelConfig(d_model=16, attn_only=True), seed=0))
    bare = mg.grid_from_tensors(task, torch.randn(25, 5), {NEURONS: torch.randn(25, 3)})
    with pytest.raises(mg.ActivationError, match="tensors alone"):
        mg.ideal_network(bare)
