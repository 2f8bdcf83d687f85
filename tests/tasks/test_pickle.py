"""Tasks, networks and grids can be passed between processes."""

import copy
import pickle

import pytest
import torch

import mechgrok as mg

ADD = mg.modular_task("add", 7)
TASKS = {
    "modular": ADD,
    "sequence": ADD.with_sequence("a", "+", "b"),
    "group": mg.group_task("S3"),
    "random labels": mg.random_labels(ADD, seed=3),
    "wrong basis": mg.modular_task("mul", 7).in_basis(mg.fourier_basis(7)),
    "mixture": mg.mixed_task([ADD, mg.modular_task("mul", 7)]),
}


@pytest.mark.parametrize(
    "again", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy], ids=["pickle", "copy"]
)
@pytest.mark.parametrize("name", TASKS)
def test_a_task_comes_back_as_it_was(name, again):
    task = TASKS[name]
    found = again(task)
    assert type(found) is type(task)
    assert found.spec == task.spec
    assert found.name == task.name
    assert torch.equal(found.tokens, task.tokens)
    assert torch.equal(found.labels, task.labels)
    if name != "mixture":
        assert torch.equal(found.frame.basis.matrix, task.frame.basis.matrix)


def test_a_network_and_its_grid_come_back():
    model = mg.build_model(ADD, mg.ModelConfig(d_model=16), seed=0)
    grid = mg.cache_grid(model)
    found = pickle.loads(pickle.dumps(grid))
    assert torch.equal(found.logits, grid.logits)
    assert found.activations.keys() == grid.activations.keys()
    assert torch.equal(found.neurons, grid.neurons)
    assert torch.equal(mg.cache_grid(found.model).logits, grid.logits)
    with pytest.raises(TypeError):
        found.activations["x"] = grid.logits
