"""Neurons that detect the cosets of a subgroup."""

import pytest
import torch
from torch import Tensor

import mechgrok as mg
from mechgrok.algebra.subgroups import Subgroup, all_subgroups
from mechgrok.analysis.cosets import coset_concentration, coset_neurons
from mechgrok.tasks import sn_task

TASK = sn_task("S4")
SUBGROUPS = all_subgroups(TASK.frame.basis.group)


def of_order(order: int) -> Subgroup:
    return next(subgroup for subgroup in SUBGROUPS if subgroup.order == order)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def on_cosets(subgroup: Subgroup, side: str) -> Tensor:
    """A random function that is constant on the cosets and different between them."""
    return noise(24)[subgroup.cosets("left" if side == "left" else "right")]


def grid_of(first: Tensor, second: Tensor) -> mg.ActivationGrid:
    activations = (first[:, None] + second).flatten(0, 1)
    return mg.grid_from_tensors(TASK, torch.zeros(576, 24), {"pre": activations[:, None]})


@pytest.mark.parametrize("order", [2, 3, 6, 8, 12])
def test_planted_neurons_have_their_subgroup(order):
    subgroup = of_order(order)
    found = coset_neurons(grid_of(on_cosets(subgroup, "right"), on_cosets(subgroup, "left")), site="pre")
    assert SUBGROUPS[int(found.first)].elements.tolist() == subgroup.elements.tolist()
    assert SUBGROUPS[int(found.second)].elements.tolist() == subgroup.elements.tolist()
    assert found.first_concentration.item() == pytest.approx(1)
    assert found.within.item() == pytest.approx(0, abs=1e-12)
    assert found.decided.all()
    assert found.agree.all()
    assert found.orders == {order: 1}


def test_the_side_matters():
    stabiliser = of_order(6)
    wrong = coset_neurons(grid_of(on_cosets(stabiliser, "left"), on_cosets(stabiliser, "right")), site="pre")
    assert SUBGROUPS[int(wrong.first)].order < 6


def test_subgroups_of_different_families_do_not_agree():
    found = coset_neurons(
        grid_of(on_cosets(of_order(3), "right"), on_cosets(of_order(8), "left")), site="pre"
    )
    assert found.decided.all()
    assert not found.agree.any()


def test_neurons_without_cosets_and_dead_ones():
    noisy = coset_neurons(grid_of(noise(24), noise(24)), site="pre")
    assert noisy.alive.all()
    assert not noisy.decided.any()
    assert 0.1 < noisy.within.item() < 0.6  # a random function and the best of nine subgroups of two elements
    assert repr(noisy) == "CosetNeurons(0 of 1 decided; none)"
    dead = coset_neurons(grid_of(torch.ones(24).double(), noise(24)), site="pre")
    assert not dead.alive.any()
    assert not dead.decided.any()


def test_concentration_in_closed_form():
    """Half of the variance between the cosets of the alternating group, half within them."""
    alternating = of_order(12)
    sign = 1 - 2.0 * (alternating.cosets("left") > 0).double()
    within = torch.zeros(24, dtype=torch.float64)
    within[alternating.elements[:2]] = torch.tensor([12**0.5, -(12**0.5)], dtype=torch.float64)
    f = torch.stack([sign, sign + within, within, torch.ones_like(sign)], dim=1)
    shares = coset_concentration(f, alternating, "left")
    assert shares.tolist() == pytest.approx([1, 0.5, 0, 0])


def test_the_concentration_is_the_mean_variance_within_cosets():
    """By the definition, coset by coset and subgroup by subgroup; a sum over the cosets would exceed 1."""
    f, g = noise(24), on_cosets(of_order(6), "left") + 0.3 * noise(48)[24:]
    found = coset_neurons(grid_of(f, g), site="pre")

    def least(x: Tensor, side: str) -> float:
        shares = []
        for subgroup in SUBGROUPS[1:]:
            cosets = subgroup.cosets("left" if side == "left" else "right")
            inside = [x[cosets == c].var(correction=0) for c in cosets.unique()]
            shares.append((torch.stack(inside).mean() / x.var(correction=0)).item())
        return min(shares)

    assert found.first_within.item() == pytest.approx(least(f, "right"))
    assert found.second_within.item() == pytest.approx(least(g, "left"))
    assert found.within.item() == pytest.approx(max(least(f, "right"), least(g, "left")))


def test_errors():
    grid = grid_of(noise(24), noise(24))
    with pytest.raises(mg.ConfigError, match=r"in \(0, 1\], got 0"):
        coset_neurons(grid, site="pre", threshold=0.0)
    with pytest.raises(mg.ActivationError, match="needs the network"):
        coset_neurons(grid)


def test_neurons_that_are_exactly_constant_reach_the_threshold_of_1():
    planted = of_order(6)
    grid = grid_of(on_cosets(planted, "right"), on_cosets(planted, "left"))
    found = coset_neurons(grid, site="pre", threshold=1.0)
    assert found.decided.all()
    assert found.orders == {6: 1}
