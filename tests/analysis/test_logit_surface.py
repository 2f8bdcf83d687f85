"""Distance irrelevance and the surface of logits, on logits written down from the formulas."""

from math import pi

import pytest
import torch
from planted import cosine_logits, lookup_logits
from torch import Tensor

import mechgrok as mg
from mechgrok.analysis.logit_surface import distance_irrelevance, logit_surface
from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.tasks import sn_task

MODULI = (3, 10, 13, 59)


def pizza_logits(task: mg.Task, k: int) -> Tensor:
    a, b = task.operands.double().T
    p, c = task.n_symbols, torch.arange(task.n_classes)
    wave = (2 * pi * k / p * (task.labels[:, None] - c)).cos()
    return (pi * k / p * (a - b)).cos().abs()[:, None] * wave


def directly(task: mg.Task, logits: Tensor, which: str) -> float:
    """The definition in words, pair by pair."""
    p, table = task.n_symbols, {}
    for row, (a, b) in enumerate(task.operands.tolist()):
        right = int(task.labels[row])
        wrong = max(logits[row, c].item() for c in range(p) if c != right)
        table[a, b] = logits[row, right].item() if which == "correct" else wrong
    columns = [torch.tensor([table[(b + d) % p, b] for b in range(p)]).std(correction=0) for d in range(p)]
    return (torch.stack(columns).mean() / torch.tensor(list(table.values())).std(correction=0)).item()


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("which", ["correct", "largest_wrong"])
def test_the_definition(p: int, which):
    task = mg.modular_task("add", p)
    logits = torch.randn(p * p, p, generator=torch.Generator().manual_seed(p))
    grid = mg.grid_from_tensors(task, logits)
    assert distance_irrelevance(grid, which) == pytest.approx(directly(task, logits, which), rel=1e-5)


@pytest.mark.parametrize("p", MODULI)
def test_ideal_clock_and_ideal_pizza(p: int):
    task = mg.modular_task("add", p)
    assert distance_irrelevance(mg.grid_from_tensors(task, cosine_logits(task, {1: 9.0}))) == 1.0
    assert distance_irrelevance(mg.grid_from_tensors(task, pizza_logits(task, 1))) == pytest.approx(
        0, abs=1e-6
    )
    assert distance_irrelevance(mg.grid_from_tensors(task, lookup_logits(task).float())) == 1.0


def test_a_difference_has_the_sum_as_its_distance():
    p = 11
    add, sub = mg.modular_task("add", p), mg.modular_task("sub", p)
    swapped = add.operands[:, 0] * p + (-add.operands[:, 1]) % p  # the row of (a, -b)
    logits = torch.randn(p * p, p, generator=torch.Generator().manual_seed(0))
    assert distance_irrelevance(mg.grid_from_tensors(sub, logits[swapped])) == pytest.approx(
        distance_irrelevance(mg.grid_from_tensors(add, logits))
    )
    surface = logit_surface(mg.grid_from_tensors(sub, logits))
    assert (surface.distance, surface.answer) == ("a+b", "a-b")


def test_a_product_is_a_sum_of_logarithms():
    task = mg.modular_task("mul", 11)
    assert distance_irrelevance(mg.grid_from_tensors(task, cosine_logits(task, {3: 9.0}))) == 1.0


@pytest.mark.parametrize(("p", "k", "delta"), [(13, 1, 1), (13, 5, 8), (59, 17, 7), (10, 3, 7)])
def test_the_surface_puts_every_input_in_its_place(p: int, k: int, delta: int):
    task = mg.modular_task("add", p)
    logits = torch.zeros(p * p, p, dtype=torch.float64)
    logits[torch.arange(p * p), task.labels] = torch.arange(p * p).double()
    surface = logit_surface(mg.grid_from_tensors(task, logits), k)
    assert surface.delta == delta
    for a, b in [(0, 0), (2, 1), (1, 2), (p - 1, p // 2)]:
        row = next(i for i in range(p) if (i * delta - (a - b)) % p == 0)
        same = [
            x * p + y for x in range(p) for y in range(p) if (x - y - a + b) % p == (x + y - a - b) % p == 0
        ]
        assert surface.values[row, (a + b) % p] == sum(same) / len(same)
    assert surface.values.isnan().sum() == (0 if p % 2 else p * p // 2)


def test_neighbours_on_the_circle_are_neighbours_on_the_surface():
    task = mg.modular_task("add", 59)
    values = logit_surface(mg.grid_from_tensors(task, pizza_logits(task, 17)), 17).values[:, 0]
    torch.testing.assert_close(values, (pi * torch.arange(59).double() / 59).cos().abs())


def test_errors_at_the_door():
    task = mg.modular_task("add", 10)
    grid = mg.grid_from_tensors(task, lookup_logits(task))
    with pytest.raises(ConfigError, match="k=4 shares a factor with 10"):
        logit_surface(grid, 4)
    s3 = sn_task("S3")
    for measure in (distance_irrelevance, logit_surface):
        with pytest.raises(UndefinedMetricError, match="sums and differences in a commutative group"):
            measure(mg.grid_from_tensors(s3, lookup_logits(s3)))
