"""Several feed-forward networks in one step by hand: the gradients and logits of each are those of its own step."""

import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from steps import assert_same_gradients, mlp_configs, randomise, reference

import mechgrok as mg
from mechgrok.config import MLPConfig, TrainConfig
from mechgrok.fast.mlp_step import FastMLPStep
from mechgrok.fast.stacked_mlp_step import StackedMLPStep
from mechgrok.fast.stacks import stack_weights
from mechgrok.training.objectives import CrossEntropy, make_objective

SMALL = MLPConfig(d_embed=8, d_mlp=16, n_layers=2, readout="factored", unembed_bias=True)


def _stacked(task, config, fractions, scale=1.0, dtype=torch.float32):
    models = [mg.build_model(task, config, seed=seed).to(dtype) for seed in range(len(fractions))]
    for seed, model in enumerate(models):
        randomise(model, seed, scale)
    return models, [task.split(fraction, seed).train for seed, fraction in enumerate(fractions)]


@given(
    config=mlp_configs(),
    operation=st.sampled_from(["add", "div", "x^2+x*y+y^2"]),
    p=st.integers(4, 12),
    fractions=st.sampled_from([(0.5, 0.5, 0.5), (0.2, 0.9, 0.5)]),
    scale=st.sampled_from([0.5, 1.0, 2.0]),
)
@settings(max_examples=60)
def test_gradients_and_logits_are_those_of_each_network(config, operation, p, fractions, scale):
    task = mg.modular_task(operation, p, sequence=("a", "b"))
    assume(config.readout != "tied" or task.d_vocab == task.n_classes)
    models, masks = _stacked(task, config, fractions, scale, torch.float64)
    expected = [reference(model, task, mask)[1] for model, mask in zip(models, masks, strict=True)]
    outputs = [model(task.tokens)[:, -1].detach() for model in models]
    stack = stack_weights(models)
    step = StackedMLPStep(stack, [task] * len(models), masks, CrossEntropy(torch.float64))
    for weight in stack.parameters():
        weight.grad = torch.full_like(weight, torch.nan)
    step()
    for number, model in enumerate(models):
        for name, weight in model.named_parameters():
            weight.grad = stack.get_parameter(name).grad[number]
        assert_same_gradients(model, expected[number], 1e-10)
        torch.testing.assert_close(step.logits(number), outputs[number])


@pytest.mark.parametrize("objective", ["mse", "stablemax"])
def test_other_objectives_are_means_over_each_networks_own_inputs(objective):
    task = mg.modular_task("add", 7, sequence=("a", "b"))
    models, masks = _stacked(task, SMALL, (0.3, 0.8))
    loss = make_objective(TrainConfig(objective=objective, loss_scale=0.5))
    alone = []
    for model, mask in zip(models, masks, strict=True):
        FastMLPStep(model, task, mask, loss)()
        alone.append({name: weight.grad.clone() for name, weight in model.named_parameters()})
    stack = stack_weights(models)
    StackedMLPStep(stack, [task] * len(models), masks, loss)()
    for number, own in enumerate(alone):
        for name, gradient in own.items():
            torch.testing.assert_close(stack.get_parameter(name).grad[number], gradient, atol=1e-7, rtol=1e-4)


def test_many_networks_take_several_parts(monkeypatch):
    task = mg.modular_task("add", 7, sequence=("a", "b"))
    models, masks = _stacked(task, SMALL, (0.5,) * 5)
    stack = stack_weights(models)
    StackedMLPStep(stack, [task] * len(models), masks, CrossEntropy())()
    whole = {name: weight.grad.clone() for name, weight in stack.named_parameters()}
    monkeypatch.setattr(
        "mechgrok.fast.stacked_mlp_step.rows_that_fit", lambda width, like: 60
    )  # two networks
    step = StackedMLPStep(stack, [task] * len(models), masks, CrossEntropy())
    assert [own for own, _ in step.parts] == [slice(0, 2), slice(2, 4), slice(4, 5)]
    step()
    for name, weight in stack.named_parameters():
        torch.testing.assert_close(weight.grad, whole[name], atol=1e-7, rtol=1e-4)
    for number, model in enumerate(models):
        torch.testing.assert_close(
            step.logits(number), model(task.tokens)[:, -1].detach(), atol=1e-5, rtol=1e-5
        )


def test_an_update_of_the_stack_is_seen():
    task = mg.modular_task("add", 7, sequence=("a", "b"))
    models, masks = _stacked(task, SMALL.replace(unembed_bias=False), (0.5, 0.6))
    stack = stack_weights(models)
    step = StackedMLPStep(stack, [task] * len(models), masks, CrossEntropy())
    before = step.logits(1).clone()
    with torch.no_grad():
        stack.unembed.W_U[1] *= 2
    step()
    torch.testing.assert_close(step.logits(1), 2 * before)
