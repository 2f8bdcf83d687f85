"""The explained share by itself: as in an explanation, over a mask, and with deviations of known size."""

import pytest
import torch
from planted import cosine_logits, lookup_logits

import mechgrok as mg


@pytest.mark.parametrize(("task", "keys"), [("add", (2, 5)), ("mul", (1, 3)), ("a^2+a*b", (1, 4))])
def test_it_is_that_of_an_explanation(task, keys):
    task = mg.modular_task(task, 13)
    # Odd multiples of a half of the margin, so that no input is at the edge.
    logits = cosine_logits(task, dict.fromkeys(keys, 9.0)) if task.frame.is_latin_square else None
    if logits is None:
        logits = 9 * sum(task.frame.direction_of(k) for k in keys)[task.labels]
    logits = logits + torch.randn(
        logits.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    grid = mg.grid_from_tensors(task, logits)
    explained = mg.explain(grid)
    assert explained.keys.frequencies == keys
    assert mg.explained_share(grid, keys) == pytest.approx(explained.explained_share)


@pytest.mark.parametrize("p", [3, 8, 15, 53])
def test_planted_circuits_are_explained_and_half_a_margin_is_too_much(p):
    task = mg.modular_task("add", p)
    k = max(k for k in range(1, p) if 2 * k < p)
    logits = cosine_logits(task, {k: 10.0})
    grid = mg.grid_from_tensors(task, logits)
    if p == 3:  # one block is all blocks, and a cosine in it a lookup table
        assert mg.explained_share(grid, [k]) == 1
        return
    assert mg.explained_share(grid, [k]) == 1
    runner_up = logits[0].sort(descending=True).values[1]
    margin = (logits[0, 0] - runner_up).item()
    mask = torch.zeros(p * p, dtype=torch.bool)
    mask[: p // 2] = True
    for size, share in ((0.3, 1.0), (0.7, 0.0)):
        # A pair of classes is moved apart, by what sums up to nothing for the formula over the inputs.
        pushed = logits.clone()
        pushed[:, 0] += size * margin * torch.where(task.operands[:, 0] % 2 == 0, 1.0, -1.0)
        found = mg.explained_share(mg.grid_from_tensors(task, pushed), [k])
        assert (found > 0.5) == bool(share)
    some = logits.clone()
    some[mask] += (
        5
        * margin
        * torch.randn(int(mask.sum()), p, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    )
    assert mg.explained_share(mg.grid_from_tensors(task, some), [k], mask) < 0.5


def test_a_lookup_table_explains_nothing():
    task = mg.modular_task("add", 11)
    grid = mg.grid_from_tensors(task, lookup_logits(task))
    assert mg.explained_share(grid, range(1, 6)) == 0
    with pytest.raises(mg.UndefinedMetricError):
        mg.explained_share(grid, [])


def test_inputs_outside_of_the_group_are_none():
    task = mg.modular_task("mul", 7)
    grid = mg.grid_from_tensors(task, cosine_logits(task, {1: 9.0}))
    assert mg.explained_share(grid, [1]) == 1
    with pytest.raises(mg.UndefinedMetricError, match="no input of the mask"):
        mg.explained_share(grid, [1], (task.operands == 0).any(1))
