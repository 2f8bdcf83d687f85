"""The hand-written step against autograd in float64: gradients, losses, logits, over shapes, options and states."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
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
    randomise,
    reference,
)
from torch import Tensor, nn

from mechgrok import ModelConfig, build_model, modular_task
from mechgrok.errors import ConfigError, TaskError
from mechgrok.fast.transformer_step import FastStep
from mechgrok.models.transformer import ACTIVATIONS, HookedTransformer
from mechgrok.tasks import Finite, Task
from mechgrok.training.objectives import CrossEntropy
from mechgrok.training.step import make_step

pytestmark = pytest.mark.bits

SEQUENCES = [
    ("a", "b", "="),
    ("a", "b"),
    ("b", "a"),
    ("a", "+", "b", "="),
    ("=", "b", "a", "b"),
    ("a", "=", "b"),
]


CONFIGS = st.builds(
    ModelConfig,
    d_model=st.sampled_from([8, 12, 33]),
    n_heads=st.sampled_from([1, 2, 3]),
    d_head=st.sampled_from([0, 5]),
    d_mlp=st.sampled_from([0, 7, 40]),
    attn_only=st.booleans(),
    act_fn=st.sampled_from(list(ACTIVATIONS)),
    attention_dir=st.sampled_from(["causal", "bidirectional"]),
    attention_rate=st.sampled_from([0.0, 0.3, 1.0]),
    positions=st.sampled_from(["learned", "none"]),
    output=st.sampled_from(["classes", "vocabulary"]),
    attn_bias=st.booleans(),
    mlp_bias=st.booleans(),
    unembed_bias=st.booleans(),
)


@given(
    config=CONFIGS,
    operation=st.sampled_from(["add", "div", "x^2+x*y+y^2"]),
    p=st.integers(4, 12),
    sequence=st.sampled_from(SEQUENCES),
    fraction=st.floats(0.2, 0.9),
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.5, 1.0, 2.0]),
    chunk_rows=st.sampled_from([1, 7, None]),
    folded=st.sampled_from([True, False, None]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=60)
def test_gradients_and_losses_are_autograds(
    config, operation, p, sequence, fraction, seed, scale, chunk_rows, folded, dtype
):
    task = modular_task(operation, p, sequence=sequence)
    model = build_model(task, config, seed=seed).to(dtype)
    randomise(model, seed, scale)
    mask = task.split(fraction, seed=seed).train
    step = FastStep(model, task, mask, CrossEntropy(dtype), chunk_rows=chunk_rows, folded=folded)
    assert_step_is_exact(model, task, mask, step())


@pytest.fixture(scope="module")
def memorised() -> tuple[HookedTransformer, Task, Tensor]:
    """A network that fits its train inputs with a loss of about 1e-9."""
    task = modular_task("add", 11)
    model = build_model(task, ModelConfig(d_model=32), seed=0)
    mask = task.split(0.5, seed=0).train
    memorise(model, model.unembed.W_U, task, mask)
    return model, task, mask


@pytest.mark.parametrize("folded", [True, False])
def test_memorised_state_is_as_exact(memorised, folded):
    model, task, mask = memorised
    loss = FastStep(model, task, mask, CrossEntropy(), folded=folded)()
    expected_loss, expected = reference(model, task, mask)
    assert 1e-10 < expected_loss < 2e-9
    assert loss.item() == pytest.approx(expected_loss, rel=MEMORISED)
    assert_same_gradients(model, expected, MEMORISED)


@pytest.mark.parametrize("name", ["mse", "stablemax"])
def test_other_objectives_go_through(name):
    task = modular_task("sub", 7)
    assert_same_objective((FastStep, autograd_step), task, ModelConfig(d_model=16), name)


def test_training_by_hand_is_training_by_autograd():
    task = modular_task("add", 7, sequence=("a", "b"))
    config = ModelConfig(d_model=16, attn_bias=True)
    assert_trains_alike((FastStep, autograd_step), task, config, lr=0.3, updates=30)


@pytest.mark.parametrize("make", [FastStep, autograd_step])
def test_gradients_are_overwritten_and_of_the_present_weights(make):
    assert_overwrites_gradients(make, modular_task("add", 5), ModelConfig(d_model=12))


def test_unused_tokens_and_positions_get_zero_gradient():
    task = modular_task("add", 5, sequence=("a", "b"))
    model = HookedTransformer(ModelConfig(d_vocab=9, d_vocab_out=6, n_ctx=4, d_model=12), seed=0)
    mask = task.split(0.5).train
    FastStep(model, task, mask, CrossEntropy())()
    assert model.embed.W_E.grad[5:].count_nonzero() == 0
    assert model.pos_embed.W_pos.grad[2:].count_nonzero() == 0
    assert_same_gradients(model, reference(model, task, mask)[1])


def test_key_bias_gets_exactly_zero():
    task = modular_task("add", 7)
    model = build_model(task, ModelConfig(d_model=16, attn_bias=True), seed=0)
    FastStep(model, task, task.split(0.5).train, CrossEntropy())()
    assert model.blocks[0].attn.b_K.grad.count_nonzero() == 0
    assert model.blocks[0].attn.b_Q.grad.count_nonzero() > 0


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("attn_only", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_logits_are_the_networks(folded, attn_only, rate):
    task = modular_task("mul", 7)
    config = ModelConfig(d_model=16, attn_only=attn_only, attention_rate=rate, unembed_bias=True)
    model = build_model(task, config, seed=0)
    randomise(model, 0, 1.0)
    step = FastStep(model, task, task.split(0.5).train, CrossEntropy(), chunk_rows=10, folded=folded)
    expected = model(task.tokens)[:, -1].detach()
    torch.testing.assert_close(step.logits(), expected)
    rows = torch.tensor([48, 3, 3, 20])
    torch.testing.assert_close(step.logits(rows), expected[rows])
    assert not step.logits().requires_grad


@pytest.mark.parametrize("config", [ModelConfig(n_layers=2), ModelConfig(normalization="LN")])
def test_other_architectures_go_through_autograd(config):
    task = modular_task("add", 5)
    model = build_model(task, config.replace(d_model=16, d_head=4, d_mlp=20), seed=0)
    assert not FastStep.supports(model)
    mask = task.split(0.5).train
    step = make_step(model, task, Finite(task.examples, mask), CrossEntropy())
    assert step.kind == "autograd"
    expected_loss, expected = reference(model, task, mask)
    assert step().item() == pytest.approx(expected_loss, rel=RELATIVE)
    assert_same_gradients(model, expected)
    torch.testing.assert_close(step.logits(torch.tensor([7, 1])), model(task.tokens[[7, 1]])[:, -1].detach())


def test_a_network_that_is_intervened_on_goes_through_autograd():
    model = build_model(modular_task("add", 5), ModelConfig(d_model=16), seed=0)
    assert FastStep.supports(model)
    model.add_hook("blocks.0.mlp.hook_post", lambda activation, hook: 0 * activation)
    assert not FastStep.supports(model)
    model.reset_hooks()
    assert FastStep.supports(model)
    model.embed.W_E.requires_grad_(False)
    assert not FastStep.supports(model)
    assert not FastStep.supports(nn.Linear(2, 2))


def test_make_step_takes_the_fast_one_and_checks_the_door():
    task = modular_task("add", 5)
    model = build_model(task, ModelConfig(d_model=16), seed=0)
    mask = task.split(0.5).train
    assert make_step(model, task, Finite(task.examples, mask), CrossEntropy()).kind == "fast"
    with pytest.raises(ConfigError, match="one boolean for each of the 25 inputs"):
        Finite(task.examples, mask[:7])
    with pytest.raises(ConfigError, match="selecting 0"):
        Finite(task.examples, torch.zeros_like(mask))
    other = modular_task("add", 7)
    with pytest.raises(TaskError, match="needs 8 tokens"):
        make_step(model, other, other.data(other.split(0.5)), CrossEntropy())
