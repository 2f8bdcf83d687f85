"""Networks trained here on operations other than addition: they grok, and their keys explain them."""

from math import log

import pytest

import mechgrok as mg

PERMUTATIONS = mg.MLPConfig(
    embeddings="separate", combine="concat", d_embed=256, d_mlp=128, mlp_bias=False, init="fan_in"
)
STUDIED = {
    "division": (mg.modular_task("div", 97), {"fraction": 0.4, "steps": 900}),
    "sum of squares": (mg.modular_task("x^2+y^2", 113), {"fraction": 0.3, "steps": 700}),
    "S5": (
        mg.sn_task("S5"),
        {"model": PERMUTATIONS, "fraction": 0.6, "split_rule": "randperm", "seed": 1, "steps": 1000},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIED)
def test_a_trained_network_is_explained_by_its_keys(name):
    task, options = STUDIED[name]
    run = mg.train(task, "fast", eval_every=50, checkpoint_every=1000, progress=False, **options)
    grid = run.grid()
    keys = mg.find_key_frequencies(grid)
    assert mg.accuracy(grid, run.split.test) > 0.99
    assert 1 <= len(keys) <= 6
    assert mg.restricted_loss(grid, keys) < 1e-2
    assert mg.excluded_loss(grid, keys, run.split.train) > log(task.frame.order) / 2
    verdict = mg.summarize(grid, run.split).verdict
    assert ("clock in discrete-log space" in verdict) == (name == "division")


def test_a_product_is_sparse_in_its_own_basis_alone():
    run = mg.load_run("mul113")
    assert (run.config.train.recipe, run.history[-1]["accuracy_test"]) == ("fast", 1.0)
    grid = run.grid()
    embedding = run.model().W_E[: run.task.n_symbols].detach()
    assert mg.gini(mg.frequency_norms(grid)) > 0.5
    assert mg.gini(mg.frequency_norms(embedding)) < 0.15, "in the basis of addition"
    assert mg.neuron_frequencies(grid).decided.double().mean() >= 0.9
    assert "clock in discrete-log space" in mg.summarize(grid, run.split).verdict
