"""The class-distance ratio of planted clusters, by hand and by loops over all pairs."""

from itertools import combinations

import pytest
import torch
from planted import NEURONS

import mechgrok as mg


def with_neurons(task, neurons, dtype=torch.float64):
    logits = torch.zeros(task.n_inputs, *task.labels.shape[1:], task.n_classes)
    return mg.grid_from_tensors(task, logits, {NEURONS: neurons.to(dtype)})


def by_loops(neurons, labels):
    classes = labels.unique().tolist()
    centroid = {c: neurons[labels == c].mean(0) for c in classes}
    between = [(centroid[c] - centroid[d]).norm().item() for c, d in combinations(classes, 2)]
    within = [(x - centroid[c]).norm().item() for x, c in zip(neurons, labels.tolist(), strict=True)]
    return (sum(between) / len(between)) / (sum(within) / len(within))


@pytest.mark.parametrize("p", [3, 4, 12, 15, 23])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_by_loops(p, dtype):
    task = mg.modular_task("add", p)
    neurons = torch.randn(p * p, 5, generator=torch.Generator().manual_seed(p), dtype=torch.float64)
    neurons = (neurons + 3 * torch.nn.functional.one_hot(task.labels, p)[:, :1]).to(dtype)
    grid = with_neurons(task, neurons, dtype)
    assert mg.class_distance_ratio(grid) == pytest.approx(by_loops(neurons.double(), task.labels), rel=1e-9)
    mask = task.split(0.6).test
    expected = by_loops(neurons[mask].double(), task.labels[mask])
    assert mg.class_distance_ratio(grid, mask) == pytest.approx(expected, rel=1e-9)


def test_corners_of_a_simplex():
    """Centroids at distance sqrt(2) h, inputs at distance r from theirs, in a direction of their own."""
    p, h, r = 5, 3.0, 0.5
    task = mg.modular_task("add", p)
    signs = torch.ones(p * p, dtype=torch.float64)
    for c in range(p):
        rows = (task.labels == c).nonzero().flatten()
        signs[rows] = torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0], dtype=torch.float64)
    centres = h * torch.nn.functional.one_hot(task.labels, p).double()
    neurons = torch.cat((centres, r * signs[:, None]), 1)
    assert mg.class_distance_ratio(with_neurons(task, neurons)) == pytest.approx(2**0.5 * h / (0.8 * r))


def test_it_rises_as_classes_contract_and_ignores_the_scale():
    task = mg.modular_task("add", 7)
    spread = torch.randn(49, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centres = torch.randn(7, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)[task.labels]
    ratios = [mg.class_distance_ratio(with_neurons(task, centres + s * spread)) for s in (2, 1, 0.1)]
    assert ratios[0] < ratios[1] < ratios[2]
    assert mg.class_distance_ratio(with_neurons(task, 7 * (centres + spread))) == pytest.approx(ratios[1])


def test_each_scored_position_is_an_answer_of_its_own():
    task = mg.running_sum_task(2, 3)
    neurons = torch.randn(
        task.n_inputs, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    found = mg.class_distance_ratio(with_neurons(task, neurons))
    assert found == pytest.approx(by_loops(neurons.flatten(0, 1), task.labels.flatten()))


def test_what_has_no_ratio_is_refused_in_words():
    task = mg.modular_task("add", 5)
    points = torch.nn.functional.one_hot(task.labels, 5).double()
    for neurons in (points, torch.ones(25, 3)):
        with pytest.raises(mg.UndefinedMetricError, match="at the centroid of their class"):
            mg.class_distance_ratio(with_neurons(task, neurons))
    with pytest.raises(mg.UndefinedMetricError, match="the same answer"):
        mg.class_distance_ratio(with_neurons(task, torch.randn(25, 3)), task.labels == 2)
    x = torch.linspace(-1, 1, 10)[:, None]
    values = mg.array_task(x, x**2)
    with pytest.raises(mg.UndefinedMetricError, match="in no classes"):
        mg.class_distance_ratio(mg.grid_from_tensors(values, x, {NEURONS: torch.randn(10, 3)}))
    with pytest.raises(mg.ActivationError):
        mg.class_distance_ratio(mg.grid_from_tensors(task, torch.zeros(25, 5)))
