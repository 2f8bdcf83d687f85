"""Gini, Fourier frequency density and coefficient ratio in closed form."""

import math

import pytest
import torch
from hypothesis import given, strategies as st

import mechgrok as mg

MODULI = (3, 10, 53, 59, 96, 97, 112, 113)


def waves(p: int, cosines: dict[int, float], sines: dict[int, float]) -> torch.Tensor:
    """A matrix [p, features] with one feature for each given cosine and sine."""
    angle = 2 * math.pi * torch.arange(p).double() / p
    columns = [c * (k * angle).cos() for k, c in cosines.items()] + [
        s * (k * angle).sin() for k, s in sines.items()
    ]
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("p", [p for p in MODULI if p % 2])
@pytest.mark.parametrize("edge", ["first", "last"])
def test_a_single_frequency_has_density_one_over_n(p, edge):
    k = 1 if edge == "first" else p // 2
    weights = waves(p, {k: 2.0}, {k: 2.0})
    assert mg.fourier_frequency_density(weights) == pytest.approx(2 / (p - 1))
    assert mg.fourier_coefficient_ratio(weights) == pytest.approx(1)


@pytest.mark.parametrize("p", [p for p in MODULI if p % 2 == 0])
def test_even_moduli_count_the_alternating_row_once(p):
    assert mg.fourier_frequency_density(waves(p, {p // 2: 1.0}, {})) == pytest.approx(1 / (p - 1))
    with pytest.raises(mg.UndefinedMetricError, match="no frequency has both a cosine and a sine"):
        mg.fourier_coefficient_ratio(waves(p, {p // 2: 1.0}, {}))


@pytest.mark.parametrize("p", MODULI)
def test_a_flat_spectrum_is_dense_and_balanced(p):
    weights = torch.eye(p, dtype=torch.float64)
    assert mg.fourier_frequency_density(weights) == 1
    assert mg.fourier_coefficient_ratio(weights) == pytest.approx(1)
    frequencies = mg.frequency_norms(weights)
    if p % 2:
        assert mg.gini(frequencies) == pytest.approx(0, abs=1e-12)


def test_the_families_have_their_own_maximum():
    weights = waves(11, {1: 10.0, 2: 4.0}, {3: 1.0, 4: 0.6, 5: 0.4})
    assert mg.fourier_frequency_density(weights) == pytest.approx(3 / 10)
    assert mg.fourier_frequency_density(weights, eta=0.3) == pytest.approx(5 / 10)


def test_the_ratio_is_one_of_norms_and_skips_absent_frequencies():
    weights = waves(11, {1: 4.0, 2: 1.0}, {1: 1.0, 2: 2.0})
    assert mg.fourier_coefficient_ratio(weights) == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert mg.fourier_coefficient_ratio(waves(11, {3: 1.0}, {})) == pytest.approx(0)


def test_a_network_uses_its_own_tokens_and_basis():
    model = mg.cosine_network(13, {4: 1.0, 6: 1.0})
    assert mg.fourier_frequency_density(model) == pytest.approx(4 / 12)
    assert mg.fourier_frequency_density(model, matrix="W_L") == pytest.approx(4 / 12)
    norms = mg.frequency_norms(model)
    assert norms[[3, 5]] == pytest.approx(norms.max().expand(2))


@given(
    st.lists(st.floats(0.0, 1e6, allow_subnormal=False), min_size=2, max_size=30).filter(
        lambda v: max(v) > 1e-3
    )
)
def test_gini_equals_the_mean_difference(values):
    c = torch.tensor(values, dtype=torch.float64)
    mean_difference = (c[:, None] - c).abs().mean() / (2 * c.mean())
    assert mg.gini(c) == pytest.approx(mean_difference.item(), abs=1e-9)


@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0, -1.0]])
def test_gini_is_undefined(values):
    with pytest.raises(mg.UndefinedMetricError, match="non-negative numbers that are not all 0"):
        mg.gini(torch.tensor(values))


def test_errors():
    with pytest.raises(mg.UndefinedMetricError, match="the same for all symbols"):
        mg.fourier_frequency_density(torch.zeros(7, 3))
    with pytest.raises(mg.ConfigError, match="eta is a fraction of the largest norm"):
        mg.fourier_frequency_density(torch.eye(7), 1.5)


def test_sum_of_squares_counts_every_parameter():
    model = mg.cosine_network(7, {2: 3.0})
    assert mg.sum_squared_weights(model) == pytest.approx(
        sum((w**2).sum().item() for w in model.parameters())
    )


@pytest.mark.parametrize("weights", [torch.full((7, 3), 0.3), torch.tensor([[0.1, 0.7]]).expand(113, 2)])
def test_constant_weights_have_no_spectrum(weights):
    with pytest.raises(mg.UndefinedMetricError, match="the same for all symbols"):
        mg.fourier_frequency_density(weights)


def test_weights_that_are_not_finite():
    with pytest.raises(mg.UndefinedMetricError, match="not finite"):
        mg.fourier_coefficient_ratio(torch.full((7, 3), torch.nan))
    with pytest.raises(mg.UndefinedMetricError, match="non-negative numbers"):
        mg.gini(torch.tensor([1.0, torch.inf]))
