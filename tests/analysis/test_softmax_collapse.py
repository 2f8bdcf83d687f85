"""Losses and gradients that are exactly 0, against the arithmetic of each precision."""

from math import log

import pytest
import torch

import mechgrok as mg
from mechgrok.analysis.softmax_collapse import PRECISIONS

TASK = mg.modular_task("add", 7)


def with_margin(height):
    """The right logit stands out by a height, which may differ from input to input."""
    right = torch.nn.functional.one_hot(TASK.labels, 7).double()
    return mg.grid_from_tensors(TASK, right * torch.as_tensor(height, dtype=torch.float64).view(-1, 1))


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
def test_the_loss_is_zero_where_one_and_the_wrong_rest_round_to_one(precision):
    eps, name = torch.finfo(precision).eps, str(precision).removeprefix("torch.")
    edge = log(6 / (eps / 2))
    for height, share in ((edge - 0.01, 0.0), (edge + 0.01, 1.0)):
        found = mg.softmax_collapse(with_margin(height))
        assert found.no_loss[name] == share
        rest = torch.tensor(6 * torch.tensor(-height, dtype=torch.float64).exp().item(), dtype=torch.float64)
        assert ((1 + rest).to(precision) == 1).item() == bool(share)


def test_the_losses_of_float32_are_zero_for_these_answers():
    heights = torch.linspace(5, 30, 49)
    grid = with_margin(heights)
    losses = torch.nn.functional.cross_entropy(grid.logits.float(), TASK.labels, reduction="none")
    assert mg.softmax_collapse(grid).no_loss["float32"] == pytest.approx(
        (losses == 0).double().mean().item(), abs=1 / 49
    )
    assert 0.2 < mg.softmax_collapse(grid).no_loss["float32"] < 0.8


@pytest.mark.parametrize(("name", "height"), [("float16", 17.4), ("float32", 104.0), ("float64", 745.2)])
def test_the_gradient_is_zero_where_every_wrong_exponential_is(name, height):
    precision = getattr(torch, name)
    assert torch.tensor(-height, dtype=torch.float64).exp().to(precision) == 0
    assert torch.tensor(-height + 0.7, dtype=torch.float64).exp().to(precision) > 0
    assert mg.softmax_collapse(with_margin(height)).no_gradient[name] == 1
    below = mg.softmax_collapse(with_margin(height - 0.7))
    assert (below.no_gradient[name], below.no_loss[name]) == (0, 1)


def test_a_mask_chooses_the_answers():
    heights = torch.zeros(49)
    heights[:10] = 50.0
    mask = torch.zeros(49, dtype=torch.bool)
    mask[5:25] = True
    found = mg.softmax_collapse(with_margin(heights), mask)
    assert found.no_loss == {"float16": 0.25, "float32": 0.25, "float64": 0.25}
    assert mg.softmax_collapse(with_margin(heights)).no_loss["float32"] == pytest.approx(10 / 49)


def test_wrong_answers_have_a_loss_however_sure():
    wrong = torch.nn.functional.one_hot((TASK.labels + 1) % 7, 7).double()
    found = mg.softmax_collapse(mg.grid_from_tensors(TASK, 1000 * wrong))
    assert {*found.no_loss.values(), *found.no_gradient.values()} == {0.0}


def test_every_scored_position_is_an_answer():
    task = mg.running_sum_task(2, 3)
    right = torch.nn.functional.one_hot(task.labels, 3).double()
    right[:, 0] *= 60
    found = mg.softmax_collapse(mg.grid_from_tensors(task, right))
    assert found.no_loss["float64"] == 0.5


def test_values_have_no_softmax():
    x = torch.linspace(-1, 1, 10)[:, None]
    task = mg.array_task(x, x**2)
    with pytest.raises(mg.UndefinedMetricError, match="without a softmax"):
        mg.softmax_collapse(mg.grid_from_tensors(task, x))
