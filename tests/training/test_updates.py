"""Optimisers, gradient filters and weight decay against their definitions, and resuming from saved state."""

import pytest
import torch
from torch import nn

from mechgrok import ModelConfig, TrainConfig, build_model, modular_task
from mechgrok.models.files import read_tensors
from mechgrok.storage import write_tensors
from mechgrok.training.updates import Updater, warmup_factor

VARIANTS = {
    "adamw": {},
    "adam": {"optimizer": "adam"},
    "sgd": {"optimizer": "sgd", "momentum": 0.9, "lr": 0.1},
    "muon": {"optimizer": "muon"},
    "ema": {"gradient": "grokfast_ema"},
    "ma": {"gradient": "grokfast_ma", "grokfast_window": 3},
    "orthograd": {"gradient": "orthograd"},
    "to init": {"decay_towards": "init"},
}


class Network(nn.Module):
    """Weights of every kind that the optimisers treat differently."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.W_E = nn.Parameter(torch.randn(5, 4, generator=generator))
        self.W_Q = nn.Parameter(torch.randn(2, 4, 3, generator=generator))
        self.W_O = nn.Parameter(torch.randn(2, 3, 4, generator=generator))
        self.W_in = nn.Parameter(torch.randn(4, 6, generator=generator))
        self.b_in = nn.Parameter(torch.randn(6, generator=generator))

    def set_gradients(self, step: int) -> None:
        generator = torch.Generator().manual_seed(100 + step)
        for weight in self.parameters():
            weight.grad = torch.randn(weight.shape, generator=generator)


def advance(network: Network, updater: Updater, steps: range) -> None:
    for step in steps:
        network.set_gradients(step)
        updater(step)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_resumed_updater_goes_on_exactly(variant, tmp_path):
    config = TrainConfig(**VARIANTS[variant])
    whole = Network()
    advance(whole, Updater(whole, config), range(8))

    first = Network()
    updater = Updater(first, config)
    advance(first, updater, range(5))
    write_tensors(tmp_path / "state.safetensors", updater.state())
    second = Network()
    second.load_state_dict(first.state_dict())
    resumed = Updater(second, config)
    resumed.load(read_tensors(tmp_path / "state.safetensors")[0])
    advance(second, resumed, range(5, 8))
    for name, weight in whole.named_parameters():
        assert torch.equal(weight, second.get_parameter(name)), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_weight_moves_and_the_first_warm_up_step_changes_nothing(variant):
    network = Network()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    updater = Updater(network, TrainConfig(**VARIANTS[variant]))
    advance(network, updater, range(1))
    assert all(torch.equal(weight, before[name]) for name, weight in network.named_parameters())
    advance(network, updater, range(1, 4))
    assert all(not torch.equal(weight, before[name]) for name, weight in network.named_parameters())


def test_warm_up_is_linear():
    assert [warmup_factor(step, 4) for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert warmup_factor(0, 0) == 1


def test_adamw_is_torchs():
    config = TrainConfig(lr=1e-2, weight_decay=0.3, warmup=0)
    ours, theirs = Network(), Network()
    reference = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.3, betas=(0.9, 0.98))
    updater = Updater(ours, config)
    for step in range(5):
        ours.set_gradients(step)
        theirs.set_gradients(step)
        updater(step)
        reference.step()
    for mine, torchs in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, torchs, atol=1e-6)


def test_decay_towards_the_initial_weights_stays_there_without_gradients():
    network = Network()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    updater = Updater(network, TrainConfig(optimizer="sgd", decay_towards="init", lr=0.1, warmup=0))
    with torch.no_grad():
        for weight in network.parameters():
            weight += 1
            weight.grad = torch.zeros_like(weight)
    updater(0)
    for name, weight in network.named_parameters():
        assert torch.allclose(weight, before[name] + 0.9, atol=1e-6)


def gradients_after(config: TrainConfig, steps: int) -> tuple[Network, dict[str, torch.Tensor]]:
    network = Network()
    updater = Updater(network, config)
    advance(network, updater, range(steps))
    return network, {name: weight.grad.clone() for name, weight in network.named_parameters()}


def raw(step: int) -> dict[str, torch.Tensor]:
    network = Network()
    network.set_gradients(step)
    return {name: weight.grad for name, weight in network.named_parameters()}


def test_grokfast_ema_amplifies_the_moving_average():
    _, filtered = gradients_after(
        TrainConfig(gradient="grokfast_ema", grokfast_alpha=0.9, grokfast_lambda=3), 3
    )
    for name, gradient in filtered.items():
        average = raw(0)[name]
        for step in (1, 2):
            average = 0.9 * average + 0.1 * raw(step)[name]
        assert torch.allclose(gradient, raw(2)[name] + 3 * average, atol=1e-5)


def test_grokfast_ma_waits_for_a_full_window():
    config = TrainConfig(gradient="grokfast_ma", grokfast_window=3, grokfast_lambda=2)
    for name, gradient in gradients_after(config, 2)[1].items():
        assert torch.equal(gradient, raw(1)[name])
    for name, gradient in gradients_after(config, 5)[1].items():
        window = torch.stack([raw(step)[name] for step in (2, 3, 4)]).mean(0)
        assert torch.allclose(gradient, raw(4)[name] + 2 * window, atol=1e-5)


def test_orthograd_is_orthogonal_and_as_long():
    network = Network()
    weights = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    updater = Updater(network, TrainConfig(gradient="orthograd"))
    advance(network, updater, range(1))
    for name, weight in network.named_parameters():
        assert (weight.grad * weights[name]).sum().abs() < 1e-4
        assert weight.grad.norm() == pytest.approx(raw(0)[name].norm().item(), rel=1e-5)


def parameters_by_optimizer(network: nn.Module, **options) -> dict[str, list[str]]:
    return {
        kind: group["parameters"] for kind, group in Updater(network, TrainConfig(**options)).groups.items()
    }


def test_muon_takes_the_matrices_and_leaves_embeddings_to_adamw():
    names = parameters_by_optimizer(Network(), optimizer="muon")
    assert names == {"muon": ["W_Q", "W_O", "W_in"], "adamw": ["W_E", "b_in"]}


def test_the_biases_of_several_heads_are_no_matrix():
    model = build_model(
        modular_task("add", 5), ModelConfig(d_model=8, n_heads=2, attn_bias=True, normalization="LN")
    )
    names = parameters_by_optimizer(model, optimizer="muon")
    assert names["muon"] == [
        *(f"blocks.0.attn.W_{kind}" for kind in "QKVO"),
        "blocks.0.mlp.W_in",
        "blocks.0.mlp.W_out",
    ]
    assert {f"blocks.0.attn.b_{kind}" for kind in "QKVO"} <= set(names["adamw"])


@pytest.mark.parametrize(
    ("frozen", "left"), [(("W_Q", "W_O", "W_in"), {"adamw"}), (("W_E", "b_in"), {"muon"})]
)
def test_an_optimiser_without_parameters_is_left_out(frozen, left):
    network = Network()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    updater = Updater(network, TrainConfig(optimizer="muon", frozen=frozen, warmup=0))
    assert set(updater.groups) == left
    advance(network, updater, range(2))
    for name, weight in network.named_parameters():
        assert torch.equal(weight, before[name]) == (name in frozen), name


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "muon"])
def test_settings_of_0_are_noted(optimizer):
    config = TrainConfig(optimizer=optimizer, weight_decay=0.0, momentum=0.0)
    for group in Updater(Network(), config).groups.values():
        assert group["settings"]["weight_decay"] == 0
        assert group["settings"]["decay_towards"] == "zero"
        assert optimizer != "sgd" or group["settings"]["momentum"] == 0


def test_the_decay_towards_the_initial_weights_is_noted():
    group = Updater(Network(), TrainConfig(weight_decay=0.25, decay_towards="init")).groups["adamw"]
    assert group["settings"]["weight_decay"] == 0.25
    assert group["settings"]["decay_towards"] == "init"


def test_muon_takes_heads_as_one_matrix():
    network, matrix = Network(), nn.Parameter(Network().W_Q.detach().transpose(0, 1).reshape(4, 6).clone())
    updater = Updater(network, TrainConfig(optimizer="muon", lr=1e-2, warmup=0))
    reference = torch.optim.Muon([matrix], lr=1e-2, weight_decay=1.0, adjust_lr_fn="match_rms_adamw")
    for step in range(3):
        network.set_gradients(step)
        matrix.grad = network.W_Q.grad.transpose(0, 1).reshape(4, 6)
        updater(step)
        reference.step()
    assert torch.allclose(network.W_Q.transpose(0, 1).reshape(4, 6), matrix, atol=1e-6)
