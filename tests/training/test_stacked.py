"""Stacked networks: the gradients, logits and updates of each are as in a separate run."""

import pytest
import torch

from mechgrok import MLPConfig, ModelConfig, build_model, modular_task
from mechgrok.config import TrainConfig
from mechgrok.fast.stacks import stack_weights
from mechgrok.tasks import Finite
from mechgrok.training.objectives import CrossEntropy, make_objective
from mechgrok.training.stacked import StackedStep
from mechgrok.training.step import AutogradStep

SEEDS = (0, 1, 2)
ADD = modular_task("add", 7)
NETWORKS = {
    "transformer": (ADD, ModelConfig(d_model=8, n_heads=2)),
    "two layers": (ADD, ModelConfig(d_model=8, n_heads=2, n_layers=2, normalization="LN", act_fn="gelu")),
    "mlp": (ADD.with_sequence("a", "b"), MLPConfig(d_embed=6, d_mlp=10, n_layers=2, readout="tied")),
}


def _networks(task, config):
    return [build_model(task, config, seed=seed).double() for seed in SEEDS]


@pytest.mark.parametrize("rule", ["shuffle", "unordered"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_and_logits_are_those_of_each_network_alone(name, rule):
    task, config = NETWORKS[name]
    masks = [task.split(0.5, seed, rule).train for seed in SEEDS]
    if rule == "unordered":
        assert len({int(mask.sum()) for mask in masks}) > 1, "train sets of different sizes are to be tested"
    objective = CrossEntropy(torch.float64)
    alone, together = _networks(task, config), _networks(task, config)
    stack = stack_weights(together)
    step = StackedStep(stack, [task] * len(SEEDS), masks, objective)
    for weight in stack.parameters():
        weight.grad = torch.full_like(weight, torch.nan)
    step()
    for i, model in enumerate(alone):
        single = AutogradStep(model, task.signature, Finite(task.examples, masks[i]), objective)
        single()
        torch.testing.assert_close(step.logits(i), single.logits())
        for path, weight in model.named_parameters():
            torch.testing.assert_close(stack.get_parameter(path).grad[i], weight.grad, msg=path)


@pytest.mark.parametrize("name", ["mse", "stablemax"])
def test_other_objectives_are_means_over_each_networks_own_inputs(name):
    masks = [ADD.split(0.5, seed, "unordered").train for seed in SEEDS]
    objective = make_objective(TrainConfig(objective=name, loss_scale=0.5))
    alone, together = (_networks(ADD, ModelConfig(d_model=8)) for _ in range(2))
    stack = stack_weights(together)
    StackedStep(stack, [ADD] * len(SEEDS), masks, objective)()
    for i, model in enumerate(alone):
        AutogradStep(model, ADD.signature, Finite(ADD.examples, masks[i]), objective)()
        torch.testing.assert_close(stack.embed.W_E.grad[i], model.embed.W_E.grad)


def test_the_networks_weights_are_views_of_the_stack():
    models = _networks(ADD, ModelConfig(d_model=8))
    stack = stack_weights(models)
    step = StackedStep(stack, [ADD] * len(SEEDS), [ADD.split(0.5).train] * len(SEEDS), CrossEntropy())
    before = step.logits(1)
    with torch.no_grad():
        stack.unembed.W_U[1] *= 2
    assert torch.equal(models[1].unembed.W_U, stack.unembed.W_U[1])
    step()
    torch.testing.assert_close(step.logits(1), 2 * before)
