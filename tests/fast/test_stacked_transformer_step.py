"""Several networks in one step by hand: the gradients and logits of each are those of its own step."""

import pytest
import torch
from steps import assert_same_gradients, randomise, reference

import mechgrok as mg
from mechgrok.config import ModelConfig
from mechgrok.fast.stacked_transformer_step import StackedTransformerStep
from mechgrok.fast.stacks import stack_weights
from mechgrok.training.objectives import CrossEntropy

SMALL = ModelConfig(d_model=16, n_heads=2)


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (0.2, 0.9, 0.5)], ids=["equal", "padded"])
@pytest.mark.parametrize(
    ("task", "config"),
    [
        (mg.modular_task("add", 7), SMALL),
        (mg.modular_task("sub", 8, sequence=("a", "b")), SMALL.replace(attention_dir="bidirectional")),
        (mg.modular_task("add", 9), SMALL.replace(attention_rate=0.3, act_fn="gelu", positions="none")),
        (mg.modular_task("add", 6), SMALL.replace(attention_rate=0.0, mlp_bias=False)),
        (mg.modular_task("mul", 7), SMALL.replace(attn_only=True, output="vocabulary")),
        (mg.group_task("S3"), SMALL.replace(attn_bias=True, unembed_bias=True)),
    ],
    ids=["add", "two tokens", "gelu", "uniform", "attention only", "biases"],
)
def test_gradients_are_those_of_each_network(task, config, fractions):
    models = [mg.build_model(task, config, seed=seed) for seed in range(3)]
    for seed, model in enumerate(models):
        randomise(model, seed, 1.5)
    masks = [task.split(fraction, seed).train for seed, fraction in enumerate(fractions)]
    expected = [reference(model, task, mask)[1] for model, mask in zip(models, masks, strict=True)]
    outputs = [model(task.tokens)[:, -1].detach() for model in models]
    stack = stack_weights(models)
    step = StackedTransformerStep(stack, [task] * len(models), masks, CrossEntropy())
    step()
    for number, model in enumerate(models):
        for name, weight in model.named_parameters():
            weight.grad = stack.get_parameter(name).grad[number]
        assert_same_gradients(model, expected[number])
        torch.testing.assert_close(step.logits(number), outputs[number], atol=1e-5, rtol=1e-5)


def test_many_networks_take_several_parts(monkeypatch):
    task = mg.modular_task("add", 7)
    models = [mg.build_model(task, SMALL, seed=seed) for seed in range(5)]
    masks = [task.split(0.5, seed).train for seed in range(5)]
    whole = stack_weights(models)
    StackedTransformerStep(whole, [task] * len(models), masks, CrossEntropy())()
    whole_gradients = {name: weight.grad.clone() for name, weight in whole.named_parameters()}
    monkeypatch.setattr(
        "mechgrok.fast.stacked_transformer_step.rows_that_fit", lambda width, like: 60
    )  # two networks
    step = StackedTransformerStep(whole, [task] * len(models), masks, CrossEntropy())
    assert [part.count for part in step.parts] == [2, 2, 1]
    step()
    for name, weight in whole.named_parameters():
        torch.testing.assert_close(weight.grad, whole_gradients[name], atol=1e-7, rtol=1e-4)
    for number, model in enumerate(models):
        torch.testing.assert_close(
            step.logits(number), model(task.tokens)[:, -1].detach(), atol=1e-5, rtol=1e-5
        )
