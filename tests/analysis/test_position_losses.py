"""Losses at scored positions, for networks with known losses."""

import math

import pytest
import torch

import mechgrok as mg
from mechgrok.analysis.position_losses import losses_by_position


def test_planted_losses_at_each_position():
    task = mg.running_sum_task(3, 4)
    targets = torch.tensor([[0, 1, 2], [3, 3, 3]])
    logits = torch.zeros(2, 3, 4, dtype=torch.float64)
    logits[:, 1].scatter_(1, targets[:, 1:2], 50.0)
    logits[0, 2, 2] = math.log(3)  # right with 1/2, in one of two inputs
    found = losses_by_position(logits, targets, task)
    expected = [math.log(4), 3 * math.exp(-50), (math.log(2) + math.log(4)) / 2]
    assert found.losses.tolist() == pytest.approx(expected)
    assert found.loss == pytest.approx(sum(expected) / 3)
    assert found.accuracies.tolist() == [0.5, 1.0, 0.5]
    assert found.exact_match == 0.5
    assert found.labels == ("position 0", "position 1", "position 2")
    assert found.frame().columns.tolist() == ["position", "loss", "accuracy"]


def test_a_network_is_asked_with_fresh_inputs_that_follow_from_the_seed():
    task = mg.digit_addition_task(2)
    model = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    first, again, other = (mg.position_losses(model, n=300, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.losses, again.losses)
    assert not torch.equal(first.losses, other.losses)
    assert first.losses.tolist() == pytest.approx(other.losses.tolist(), rel=0.1)
    assert (first.n_inputs, first.labels) == (300, ("10^2", "10^1", "10^0"))
    assert "all right" in repr(first)


def test_the_positions_of_a_fixed_domain_are_those_of_the_whole_loss():
    task = mg.modular_task("add", 7)
    model = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    found = mg.position_losses(model)
    assert found.n_inputs == 49
    assert found.loss == pytest.approx(mg.full_loss(model))
    assert found.exact_match == found.accuracy == mg.accuracy(model)


def test_values_have_no_cross_entropy():
    task = mg.array_task([[0.0], [1.0]], [[1.0], [3.0]])
    model = mg.build_model(task, mg.DenseConfig(d_mlp=4), seed=0)
    with pytest.raises(mg.UndefinedMetricError, match="have no cross-entropy"):
        mg.position_losses(model)
