"""Neurons over both operands."""

import numpy as np
import planted
import pytest
import torch

import mechgrok as mg
from mechgrok.plots.neurons import cluster_sizes, neuron_map, neuron_maps, typical_neurons

WAVES = [(1, 0.3, 0.1), (3, 0.0, 0.5), (3, 1.0, 0.2), (6, 0.4, 0.4)]


@pytest.fixture
def grid():
    task = mg.modular_task("add", 13)
    neurons = planted.wave_neurons(task, WAVES) * torch.tensor([1.0, 2.0, 5.0, 1.0])
    activations = {"blocks.0.mlp.hook_post": torch.cat([neurons, torch.full((169, 1), 4.0)], dim=1)}
    return mg.grid_from_tensors(task, torch.zeros(169, 13).double(), activations)


def test_a_map_has_a_along_x_and_b_along_y(grid):
    drawn = neuron_map(grid, 1)
    expected = grid.neurons[:, 1].view(13, 13)
    assert drawn.data[0].z[5, 2] == pytest.approx(expected[2, 5].item(), rel=1e-6)
    np.testing.assert_allclose(drawn.data[0].z, expected.T, rtol=1e-6)
    assert drawn.data[0].z.dtype == np.float32
    assert (drawn.layout.xaxis.title.text, drawn.layout.yaxis.title.text) == ("a", "b")
    assert drawn.layout.title.text == f"Neuron 1: k = 3, FVE {planted.wave_fve(13, WAVES[1]):.0%}"


def test_the_neuron_with_most_variance_stands_for_its_frequency(grid):
    tuned = mg.neuron_frequencies(grid)
    assert typical_neurons(tuned, [1, 3, 5, 6]) == [0, 2, 3], "none is tuned to 5"
    assert typical_neurons(tuned, [])[0] == 2
    assert 4 not in typical_neurons(tuned, []), "a dead neuron has nothing to show"
    assert len(neuron_maps(grid, [1, 3]).data) == 2


def test_a_dead_neuron_says_so(grid):
    assert neuron_map(grid, 4).layout.title.text == "Neuron 4: dead"


def test_cluster_sizes_add_up(grid):
    tuned = mg.neuron_frequencies(grid, threshold=0.75)
    drawn = cluster_sizes(tuned)
    assert dict(zip(drawn.data[0].x, drawn.data[0].y, strict=True)) == {
        "k = 3": 2,
        "k = 1": 1,
        "k = 6": 1,
        "dead": 1,
    }
    assert drawn.layout.yaxis.title.text == "number of neurons"
    assert cluster_sizes(mg.neuron_frequencies(grid)).data[0].x == ("mixed", "dead")


def test_a_product_is_drawn_in_the_order_of_the_logarithm():
    task = mg.modular_task("mul", 7, sequence=("a", "b"))
    grid = mg.cache_grid(planted.wave_network(task, planted.phase_grid([2])), task)
    drawn = neuron_map(grid, 0)
    order = [1, 3, 2, 6, 4, 5]
    assert list(drawn.data[0].x) == order
    assert drawn.data[0].z[2, 1] == pytest.approx(grid.neurons[3 * 7 + 2, 0].item(), rel=1e-5)
    assert drawn.layout.xaxis.type == "category"
    assert drawn.layout.xaxis.title.text == "a, in the order of the group"


def test_values_of_both_signs_get_a_scale_with_a_middle():
    task = mg.modular_task("add", 5)
    waves = (2 * torch.pi * task.operands[:, :1] / 5).cos().double()
    grid = mg.grid_from_tensors(task, torch.zeros(25, 5).double(), {"blocks.0.mlp.hook_post": waves})
    assert neuron_map(grid, 0).data[0].zmid == 0
