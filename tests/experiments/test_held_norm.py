"""AdamW at a fixed norm: the norm is held, and known losses have their known smallest values on the sphere."""

import pytest
import torch
from torch import nn

import mechgrok as mg
from mechgrok.experiments.held_norm import HeldNorm, as_linear, held_norm, history_at_norm, norm_of, scaled
from mechgrok.training.networks import build_model

CONFIG = mg.TrainConfig(lr=1e-2, weight_decay=0.0, betas=(0.9, 0.99))


def minimised(loss, start: torch.Tensor, norm: float, *, tangent: bool = True) -> tuple[float, torch.Tensor]:
    weight = nn.Parameter(start * norm / start.norm())
    optimizer = HeldNorm({"w": weight}, CONFIG, tangent=tangent)
    for step in range(1000):
        for group in optimizer.param_groups:
            group["lr"] = 0.03 * norm * 0.99**step
        optimizer.zero_grad()
        loss(weight).backward()
        optimizer.step()
    return loss(weight).item(), weight.detach()


@pytest.mark.parametrize("norm", [0.5, 2.0, 3.0, 7.0])
def test_an_isotropic_bowl_costs_the_square_of_the_distance_in_norm(norm):
    centre = torch.tensor([1.0, 2.0, 2.0])
    found, weight = minimised(lambda w: (w - centre).square().sum() / 2, torch.tensor([1.0, -1.0, 0.5]), norm)
    assert weight.norm().item() == pytest.approx(norm, rel=1e-5)
    assert found == pytest.approx((norm - 3) ** 2 / 2, abs=1e-4)


def test_adam_followed_by_scaling_alone_rests_beside_the_smallest_loss():
    centre = torch.tensor([1.0, 2.0, 2.0])
    found, _ = minimised(
        lambda w: (w - centre).square().sum() / 2, torch.tensor([1.0, -1.0, 0.5]), 0.5, tangent=False
    )
    assert found > (0.5 - 3) ** 2 / 2 + 0.02


@pytest.mark.parametrize("norm", [0.5, 1.0, 1.5, 2.0, 3.0, 5.0])
def test_one_equation_for_two_weights_has_an_l_and_a_u(norm):
    """Train inputs fix the first weight at 1.5, and in truth the second one is 0."""
    train, weight = minimised(lambda w: (w[0] - 1.5).square() / 2, torch.tensor([1.0, 1.0]), norm)
    test = (weight - torch.tensor([1.5, 0.0])).square().sum().item() / 2
    expected_train = (1.5 - norm) ** 2 / 2 if norm < 1.5 else 0.0
    expected_test = expected_train if norm < 1.5 else (norm**2 - 1.5**2) / 2
    assert train == pytest.approx(expected_train, abs=1e-3)
    assert test == pytest.approx(expected_test, abs=0.02 + 0.02 * norm)


def test_the_norm_is_held_in_training_and_the_optimizer_is_gone_afterwards():
    task, before = mg.modular_task("add", 7), set(mg.OPTIMIZERS)
    config = mg.TrainConfig(model=mg.ModelConfig(d_model=8), steps=6, eval_every=1, stop_when_settled=False)
    network = build_model(task, config.model, seed=3)
    history = history_at_norm(task, config, network, 0.8)
    norms = [row["sum_squared_weights"] ** 0.5 for row in history]
    assert norms == pytest.approx([0.8 * norm_of(list(network.parameters()))] * 7, rel=1e-5)
    assert history[-1]["loss_train"] < history[0]["loss_train"]
    assert set(mg.OPTIMIZERS) == before


def test_free_biases_do_not_decay_and_nothing_is_held_before_its_time():
    weights = {"W": nn.Parameter(torch.ones(2, 2)), "b": nn.Parameter(torch.ones(2))}
    optimizer = HeldNorm(weights, CONFIG.replace(weight_decay=10.0), norm=5.0, since=2, biases=False)
    norms = []
    for _ in range(3):
        for weight in weights.values():
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
        norms.append(weights["W"].norm().item())
    assert norms == pytest.approx([2 * 0.9, 5, 5], rel=1e-5)
    assert torch.equal(weights["b"].detach(), torch.ones(2))


def test_weights_of_zero_remain_zero():
    weight = nn.Parameter(torch.zeros(3))
    weight.grad = torch.zeros(3)
    HeldNorm({"w": weight}, CONFIG, norm=2.0).step()
    assert not weight.any()


def test_a_resumed_training_holds_the_same_norm(tmp_path):
    task = mg.modular_task("add", 5)
    config = mg.TrainConfig(model=mg.ModelConfig(d_model=8), stop_when_settled=False, checkpoint_every=2)
    start = scaled(build_model(task, config.model, seed=0), 0.5)
    with held_norm() as optimizer:
        options = {"optimizer": optimizer, "start": start, "progress": False}
        whole = mg.train(task, config, steps=6, **options).model().state_dict()
        mg.train(task, config, steps=3, out=tmp_path / "run", **options)
        resumed = mg.train(task, config, steps=6, out=tmp_path / "run", **options).model()
    assert norm_of(list(resumed.parameters())) == pytest.approx(norm_of(list(start.parameters())), rel=1e-5)
    assert all(torch.equal(weight, whole[name]) for name, weight in resumed.state_dict().items())


def test_weights_are_drawn_as_in_torch_linear():
    task = mg.array_task(torch.zeros(4, 5), torch.zeros(4, 2))
    network = build_model(task, mg.DenseConfig(d_mlp=400, n_layers=2), seed=0)
    drawn = dict(as_linear(network, 1).named_parameters())
    assert drawn["blocks.0.mlp.W_in"].detach().abs().max().item() == pytest.approx(5**-0.5, rel=0.02)
    assert drawn["blocks.0.mlp.b_in"].detach().abs().max().item() == pytest.approx(5**-0.5, rel=0.02)
    assert drawn["blocks.1.mlp.W_in"].detach().std().item() == pytest.approx((3 * 400) ** -0.5, rel=0.02)
    assert drawn["blocks.1.mlp.b_in"].detach().abs().max().item() == pytest.approx(400**-0.5, rel=0.02)
    assert drawn["unembed.b_U"].detach().abs().max().item() <= 400**-0.5
    assert not torch.equal(
        drawn["unembed.W_U"], dict(as_linear(network, 2).named_parameters())["unembed.W_U"]
    )
