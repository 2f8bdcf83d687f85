"""Tasks with unequally frequent answers: shares remain shares, and a bias of the classes is not a frequency."""

import pytest
import torch

import mechgrok as mg

POLYNOMIALS = ("x^2+y^2", "(a+b)^2", "a^2+ab+b^2", "a^3+ab^2+b")


@pytest.mark.parametrize("expression", POLYNOMIALS)
@pytest.mark.parametrize("p", [3, 10, 13])
def test_shares_of_random_logits_are_shares(expression, p):
    task = mg.modular_task(expression, p)
    logits = torch.randn(task.n_inputs, p, generator=torch.Generator().manual_seed(p), dtype=torch.float64)
    grid = mg.grid_from_tensors(
        task, logits + 5 * torch.randn(p, generator=torch.Generator().manual_seed(0)).double()
    )
    shares = mg.find_key_frequencies(grid).power
    assert (shares >= 0).all()
    assert (shares <= 1).all()
    for centre in ("class", "double", "none"):
        assert 0 <= float(mg.logit_fve(grid, task.frame.basis.labels, centre=centre)) <= 1


@pytest.mark.parametrize("expression", POLYNOMIALS)
def test_a_bias_is_no_frequency_and_a_wave_is_the_right_one(expression):
    p, task = 13, mg.modular_task(expression, 13)
    c = torch.arange(p).double()
    bias = 50 * (2 * torch.pi * 3 * c / p).cos()
    noise = 0.01 * torch.randn(
        task.n_inputs, p, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    assert 3 not in mg.find_key_frequencies(mg.grid_from_tensors(task, bias + noise))
    wave = 9 * (2 * torch.pi * (task.labels[:, None] - c) / p).cos()
    grid = mg.grid_from_tensors(task, wave + bias)
    assert mg.find_key_frequencies(grid).share(1) == pytest.approx(1)
    assert float(mg.logit_fve(grid, [1], centre="double")) == pytest.approx(1)
    assert mg.restricted_loss(grid, [1], space="character", keep_mean=True) == pytest.approx(
        mg.full_loss(grid)
    )
