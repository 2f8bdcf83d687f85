"""Explained variance of the logits, with each centring, on planted logits."""

import pytest
import torch

import mechgrok as mg


def ideal(p: int, amplitudes: dict[int, float]) -> torch.Tensor:
    """Logits [p*p, p], the sum of amplitude * cos(w_k(a+b-c))."""
    a, b, c = torch.meshgrid(*[torch.arange(p).double()] * 3, indexing="ij")
    angle = 2 * torch.pi / p * (a + b - c)
    return sum(s * (k * angle).cos() for k, s in amplitudes.items()).view(p * p, p)


@pytest.mark.parametrize("p", [10, 53, 96])
def test_shares_are_those_of_the_squared_amplitudes(p):
    logits = ideal(p, {1: 3.0, 2: 4.0})
    grid = mg.grid_from_tensors(mg.modular_task("add", p), logits)
    result = mg.logit_fve(grid, [1, 2])
    assert result.per_key == pytest.approx({1: 9 / 25, 2: 16 / 25})
    assert float(result) == pytest.approx(1)
    assert result.centre == "class"


def test_what_each_centring_ignores():
    p = 11
    signal = ideal(p, {2: 1.0})
    per_input = torch.linspace(-3, 3, p * p).double()[:, None]
    per_class = torch.linspace(-1, 2, p).double()
    grid = mg.grid_from_tensors(mg.modular_task("add", p), signal + per_input + per_class)
    power = signal.square().mean()
    class_power = (per_class - per_class.mean()).square().mean()
    raw = (signal + per_input + per_class).square().mean()
    assert mg.logit_fve(grid, [2], centre="double").fraction == pytest.approx(1)
    assert mg.logit_fve(grid, [2]).fraction == pytest.approx((power / (power + class_power)).item())
    assert mg.logit_fve(grid, [2], centre="none").fraction == pytest.approx((power / raw).item())


def test_errors():
    flat = mg.grid_from_tensors(mg.modular_task("add", 7), torch.ones(49, 7))
    with pytest.raises(mg.UndefinedMetricError, match="the logits do not vary"):
        mg.logit_fve(flat, [1])
    with pytest.raises(mg.UndefinedMetricError, match="no key frequency given"):
        mg.logit_fve(flat, [])
    with pytest.raises(mg.ConfigError, match=r"4 is not a frequency of Z7; allowed: 1..3"):
        mg.logit_fve(flat, [4])
