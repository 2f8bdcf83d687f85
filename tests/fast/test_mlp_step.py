"""The hand-written step of feed-forward networks against autograd in float64: gradients, losses, logits."""

import warnings

import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from steps import (
    MEMORISED,
    RELATIVE,
    assert_overwrites_gradients,
    assert_same_gradients,
    assert_same_objective,
    assert_step_is_exact,
    assert_trains_alike,
    autograd_step,
    memorise,
    mlp_configs,
    randomise,
    reference,
)
from torch import Tensor, nn

from mechgrok import MLPConfig, build_model, modular_task
from mechgrok.fast.mlp_step import FastMLPStep
from mechgrok.models.mlp import HookedMLP
from mechgrok.models.transformer import ACTIVATIONS
from mechgrok.tasks import Finite, Task
from mechgrok.training.objectives import CrossEntropy
from mechgrok.training.step import make_step

pytestmark = pytest.mark.bits

ZHONG = {
    "alpha": MLPConfig(),
    "beta": MLPConfig(n_layers=2),
    "gamma": MLPConfig(n_layers=2, bias_per_operand=True),
    "delta": MLPConfig(combine="concat", d_embed=128),
    "alpha'": MLPConfig(embeddings="separate"),
}
"""The linear models of Zhong et al. 2023."""


@given(
    config=mlp_configs(),
    operation=st.sampled_from(["add", "div", "x^2+x*y+y^2"]),
    p=st.integers(4, 12),
    sequence=st.sampled_from([("a", "b"), ("b", "a")]),
    fraction=st.floats(0.2, 0.9),
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.5, 1.0, 2.0]),
    chunk_rows=st.sampled_from([1, 7, None]),
    folded=st.sampled_from([True, False, None]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=80)
def test_gradients_and_losses_are_autograds(
    config, operation, p, sequence, fraction, seed, scale, chunk_rows, folded, dtype
):
    task = modular_task(operation, p, sequence=sequence)
    assume(config.readout != "tied" or task.d_vocab == task.n_classes)
    model = build_model(task, config, seed=seed).to(dtype)
    randomise(model, seed, scale)
    mask = task.split(fraction, seed=seed).train
    step = FastMLPStep(model, task, mask, CrossEntropy(dtype), chunk_rows=chunk_rows, folded=folded)
    assert_step_is_exact(model, task, mask, step())


def _memorise(config: MLPConfig) -> tuple[HookedMLP, Task, Tensor]:
    """A network that fits its train inputs with a loss of about 1e-9."""
    task = modular_task("add", 11, sequence=("a", "b"))
    model = build_model(task, config, seed=0)
    mask = task.split(0.5, seed=0).train
    last = model.unembed.W_U if model.unembed.W_out is None else model.unembed.W_out
    memorise(model, last, task, mask)
    return model, task, mask


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize(
    "config",
    [
        MLPConfig(d_embed=32, d_mlp=64),
        MLPConfig(d_embed=32, d_mlp=64, n_layers=2, bias_per_operand=True, act_fn="gelu"),
        MLPConfig(d_embed=32, d_mlp=64, combine="concat", readout="tied"),
        MLPConfig(d_mlp=64, inputs="one_hot", embeddings="separate", mlp_bias=False, act_fn="square"),
    ],
    ids=["alpha", "gamma", "tied", "one-hot"],
)
def test_memorised_state_is_as_exact(config, folded):
    model, task, mask = _memorise(config)
    loss = FastMLPStep(model, task, mask, CrossEntropy(), folded=folded)()
    expected_loss, expected = reference(model, task, mask)
    assert 1e-10 < expected_loss < 2.1e-9
    assert loss.item() == pytest.approx(expected_loss, rel=MEMORISED)
    assert_same_gradients(model, expected, MEMORISED)


@pytest.mark.parametrize("name", ["mse", "stablemax"])
def test_other_objectives_go_through(name):
    task = modular_task("sub", 7, sequence=("a", "b"))
    config = MLPConfig(d_embed=8, d_mlp=16, n_layers=2)
    assert_same_objective((FastMLPStep, autograd_step), task, config, name)


@pytest.mark.parametrize("name", ZHONG)
def test_training_by_hand_is_training_by_autograd(name):
    task = modular_task("add", 7, sequence=("a", "b"))
    config = ZHONG[name].replace(d_embed=8, d_mlp=16)
    assert_trains_alike((FastMLPStep, autograd_step), task, config, lr=0.1, updates=20)


def test_gradients_are_overwritten_and_of_the_present_weights():
    task = modular_task("add", 5, sequence=("a", "b"))
    assert_overwrites_gradients(FastMLPStep, task, MLPConfig(d_embed=8, d_mlp=12, readout="tied"))


def test_weights_are_the_networks_own_and_stay_as_they_are():
    task = modular_task("add", 5, sequence=("a", "b"))
    model = build_model(task, MLPConfig(d_embed=8, d_mlp=12, n_layers=2, inputs="one_hot"), seed=0)
    before = {name: (w.data_ptr(), w.detach().clone()) for name, w in model.named_parameters()}
    step = FastMLPStep(model, task, task.split(0.5).train, CrossEntropy())
    step()
    step.logits()
    for name, weight in model.named_parameters():
        pointer, values = before[name]
        assert weight.data_ptr() == pointer
        assert torch.equal(weight, values)


def test_unused_tokens_get_zero_gradient():
    task = modular_task("add", 5, sequence=("a", "b"))
    model = HookedMLP(MLPConfig(d_vocab=9, d_vocab_out=6, d_embed=8, d_mlp=12, combine="concat"), seed=0)
    mask = task.split(0.5).train
    FastMLPStep(model, task, mask, CrossEntropy())()
    assert model.embed.W_E.grad[5:].count_nonzero() == 0
    assert_same_gradients(model, reference(model, task, mask)[1])


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("act_fn", list(ACTIVATIONS))
def test_logits_are_the_networks(folded, act_fn):
    task = modular_task("mul", 7, sequence=("a", "b"))
    config = MLPConfig(d_embed=8, d_mlp=16, n_layers=2, act_fn=act_fn, readout="tied", unembed_bias=True)
    model = build_model(task, config, seed=0)
    randomise(model, 0, 1.0)
    step = FastMLPStep(model, task, task.split(0.5).train, CrossEntropy(), chunk_rows=10, folded=folded)
    expected = model(task.tokens)[:, -1].detach()
    torch.testing.assert_close(step.logits(), expected)
    rows = torch.tensor([48, 3, 3, 20])
    torch.testing.assert_close(step.logits(rows), expected[rows])
    assert step.logits(rows[:0]).shape == (0, 7)
    assert not step.logits().requires_grad


def test_a_network_that_is_intervened_on_goes_through_autograd():
    task = modular_task("add", 5, sequence=("a", "b"))
    model = build_model(task, MLPConfig(d_embed=8, d_mlp=12), seed=0)
    mask = task.split(0.5).train
    assert isinstance(make_step(model, task, Finite(task.examples, mask), CrossEntropy()), FastMLPStep)
    model.add_hook("blocks.0.mlp.hook_post", lambda activation, hook: 0 * activation)
    assert make_step(model, task, Finite(task.examples, mask), CrossEntropy()).kind == "autograd"
    model.reset_hooks()
    assert FastMLPStep.supports(model)
    model.embed.W_E.requires_grad_(False)
    assert not FastMLPStep.supports(model)
    assert not FastMLPStep.supports(nn.Linear(2, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device to compare with the CPU")
def test_cuda_gives_the_same_gradients():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the driver, not of the step
        task = modular_task("add", 11, sequence=("a", "b"))
        mask = task.split(0.5).train
        model = build_model(task, MLPConfig(d_embed=8, d_mlp=16, n_layers=2, readout="tied"), seed=0)
        expected_loss, expected = reference(model, task, mask)
        model = model.cuda()
        step = FastMLPStep(model, task, mask, CrossEntropy(), chunk_rows=20)
        assert step().item() == pytest.approx(expected_loss, rel=RELATIVE)
        assert_same_gradients(model, {name: g.cuda() for name, g in expected.items()})
        torch.testing.assert_close(step.logits(), model(task.tokens.cuda())[:, -1].detach())
