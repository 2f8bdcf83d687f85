"""Losses and their gradients against autograd in float64, including small losses."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor
from torch.nn import functional

from mechgrok.config import TrainConfig
from mechgrok.errors import ConfigError
from mechgrok.training.objectives import (
    PRECISIONS,
    CrossEntropy,
    MeanSquaredError,
    NaiveCrossEntropy,
    StableMax,
    make_objective,
)


def _random(n: int, classes: int, scale: float, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (n,), generator=generator)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels)


def _mean_squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.mse_loss(logits, functional.one_hot(labels, logits.shape[1]).to(logits))


def _stablemax(logits: Tensor, labels: Tensor) -> Tensor:
    s = torch.where(logits >= 0, logits + 1, 1 / (1 - logits.clamp(max=0)))
    return -(s / s.sum(1, keepdim=True)).log().gather(1, labels[:, None]).mean()


REFERENCES = {"cross_entropy": _cross_entropy, "mse": _mean_squared_error, "stablemax": _stablemax}


def _autograd(name: str, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.double().requires_grad_()
    loss = REFERENCES[name](leaf, labels)
    (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.detach(), gradient


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize(("precision", "rtol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@given(n=st.integers(1, 20), classes=st.integers(2, 12), scale=st.floats(0.01, 200), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_loss_and_gradient_are_autograds(name, precision, rtol, n, classes, scale, seed):
    logits, labels = _random(n, classes, scale, seed)
    logits = logits.to(precision)
    expected_loss, expected = _autograd(name, logits, labels)
    objective = make_objective(
        TrainConfig(
            objective=name, loss_dtype="float64" if precision == torch.float64 else "float32", loss_scale=0.25
        )
    )
    loss, gradient = objective.loss_and_gradient(logits.clone(), labels)
    assert loss.dtype == torch.float64
    assert gradient.dtype == precision
    # The floor is the reference's: log_softmax in float64 rounds losses of less than 1e-15 away.
    torch.testing.assert_close(loss, 0.25 * expected_loss, rtol=rtol, atol=1e-14)
    assert (gradient - 0.25 * expected).norm() <= rtol * (0.25 * expected).norm() + 1e-14


@pytest.mark.parametrize("name", REFERENCES)
def test_parts_add_up_to_the_mean(name):
    logits, labels = _random(10, 5, 2.0, 0)
    objective = make_objective(TrainConfig(objective=name, loss_dtype="float64"))
    whole, gradient = objective.loss_and_gradient(logits.clone(), labels)
    parts = [
        objective.loss_and_gradient(logits[rows].clone(), labels[rows], total=10)
        for rows in (slice(0, 3), slice(3, 10))
    ]
    torch.testing.assert_close(parts[0][0] + parts[1][0], whole)
    torch.testing.assert_close(torch.cat([parts[0][1], parts[1][1]]), gradient)


@pytest.mark.parametrize("margin", [5.0, 20.0, 25.0, 60.0])
def test_small_losses_in_float32_are_those_of_float64(margin):
    # Seven wrong classes at 0 and the right one at `margin`: the loss is log1p(7 exp(-margin)).
    logits = torch.zeros(3, 8)
    logits[:, 2] = margin
    labels = torch.full((3,), 2)
    loss, gradient = CrossEntropy().loss_and_gradient(logits, labels)
    expected = math.log1p(7 * math.exp(-margin))
    assert loss.item() == pytest.approx(expected, rel=1e-6, abs=0)
    assert -3 * gradient[0, 2].item() == pytest.approx(-math.expm1(-expected), rel=1e-6, abs=0)


def test_huge_logits_do_not_overflow():
    logits = torch.tensor([[3e4, -3e4, 0.0]])
    loss, gradient = CrossEntropy().loss_and_gradient(logits, torch.tensor([1]))
    assert loss.item() == 6e4
    assert gradient.tolist() == [[1.0, -1.0, 0.0]]


@pytest.mark.parametrize(("name", "margin"), [("float16", 9.0), ("float32", 18.0), ("float64", 40.0)])
def test_naive_loss_collapses_where_the_exact_one_does_not(name, margin):
    logits, labels = torch.tensor([[margin, 0.0]], dtype=torch.float64), torch.tensor([0])
    loss, gradient = NaiveCrossEntropy(PRECISIONS[name]).loss_and_gradient(logits.clone(), labels)
    assert loss.item() == 0
    assert gradient[0, 0].item() == 0
    exact, exact_gradient = CrossEntropy(PRECISIONS[name]).loss_and_gradient(logits.clone(), labels)
    assert exact.item() == pytest.approx(math.exp(-margin), rel=2e-3 if name != "float16" else 0.1)
    assert exact_gradient[0, 0].item() < 0


@pytest.mark.parametrize("name", PRECISIONS)
def test_naive_loss_is_log_softmax_in_that_precision(name):
    logits, labels = _random(12, 7, 3.0, 1)
    leaf = logits.to(PRECISIONS[name]).requires_grad_()
    expected = functional.nll_loss(functional.log_softmax(leaf, dim=1), labels)
    expected.backward()
    loss, gradient = NaiveCrossEntropy(PRECISIONS[name]).loss_and_gradient(logits, labels)
    tolerance = 0 if name != "float16" else 1e-3
    torch.testing.assert_close(loss, expected.detach().double(), rtol=max(tolerance, 1e-6), atol=0)
    torch.testing.assert_close(gradient, leaf.grad.double(), rtol=max(tolerance, 1e-6), atol=1e-5)


def test_float16_works_on_rounded_logits():
    logits, labels = torch.tensor([[1.0, 1.0001]]), torch.tensor([0])
    loss, gradient = CrossEntropy(torch.float16).loss_and_gradient(logits.clone(), labels)
    assert loss.item() == pytest.approx(math.log(2), rel=1e-9)
    assert gradient.dtype == torch.float32


def test_float16_keeps_the_gradient_of_one_of_many_inputs():
    """The share of one of 50,000 in the mean is subnormal in float16, and that of one of its 113 classes is 0."""
    logits, labels = _random(50_000, 113, 1.0, 3)
    logits = logits.half().float()
    _, expected = CrossEntropy(torch.float64).loss_and_gradient(logits.double(), labels)
    _, gradient = CrossEntropy(torch.float16).loss_and_gradient(logits, labels)
    assert (gradient - expected).norm() < 1e-3 * expected.norm()
    assert gradient.all()


@pytest.mark.parametrize("objective", [CrossEntropy(), MeanSquaredError(), StableMax()])
def test_a_view_into_a_wider_buffer_is_fine(objective):
    buffer = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6) % 4
    expected_loss, expected = objective.loss_and_gradient(buffer[:, 5:].clone(), labels)
    left = buffer[:, :5].clone()
    loss, gradient = objective.loss_and_gradient(buffer[:, 5:], labels)
    torch.testing.assert_close(loss, expected_loss)
    torch.testing.assert_close(gradient, expected)
    assert torch.equal(buffer[:, :5], left)


def test_factory_gives_the_right_kind():
    assert isinstance(make_objective(TrainConfig()), CrossEntropy)
    assert isinstance(
        make_objective(TrainConfig(objective="cross_entropy", naive_loss=True)), NaiveCrossEntropy
    )
    assert isinstance(make_objective(TrainConfig(objective="mse")), MeanSquaredError)
    assert isinstance(make_objective(TrainConfig(objective="stablemax")), StableMax)


def test_factory_refuses_what_it_cannot_give():
    with pytest.raises(ConfigError, match="only 'cross_entropy' has a naive form, not 'mse'"):
        make_objective(TrainConfig(objective="mse", naive_loss=True))
    with pytest.raises(ConfigError, match="greater than 0, got -1"):
        make_objective(TrainConfig(objective="mse", loss_scale=-1.0))


@pytest.mark.parametrize("gap", [10.0, 43.0, 60.0, 87.0, 89.0, 1e4])
def test_a_far_larger_wrong_logit_leaves_the_gradient_whole(gap):
    """Its odds are near the largest float, and the inverse of their sum near the smallest."""
    logits = torch.tensor([[0.0, gap, gap]])
    loss, gradient = CrossEntropy().loss_and_gradient(logits.clone(), torch.tensor([0]))
    assert loss.item() == pytest.approx(gap + math.log(2), rel=1e-4)
    assert gradient.tolist() == [pytest.approx([-1.0, 0.5, 0.5], abs=1e-4)]
