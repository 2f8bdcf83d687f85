"""A network trained by others on a+b mod 113 gives the same numbers as its authors' own code."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mechgrok as mg
from mechgrok.models.files import read_model

NAME = "nanda/wd_10-1_mod_addition_loss_curve"
TASK = mg.modular_task("add", 113)


@pytest.fixture(scope="module")
def expected(peer_data: Path) -> dict:
    return json.loads((peer_data / "expected.json").read_text())[NAME]


@pytest.fixture(scope="module")
def grid(peer_data: Path) -> mg.ActivationGrid:
    return mg.cache_grid(read_model(peer_data / f"{NAME}.safetensors"))


@pytest.fixture(scope="module")
def split() -> mg.Split:
    return TASK.split(0.3, seed=1, rule="shuffle")


def loss(value: float):
    return pytest.approx(value, rel=1e-3)


def test_layout_and_task_are_recognised(grid):
    assert "Nanda" in grid.model.layout
    assert grid.task.name == "add113"
    assert grid.task.slots == ("a", "b", "=")
    assert grid.logits.shape == (12769, 113)


def test_accuracy_and_losses(grid, split, expected):
    assert mg.accuracy(grid) == expected["accuracy_all"]
    assert mg.full_loss(grid) == loss(expected["loss_all"])
    assert mg.full_loss(grid, split.train) == loss(expected["loss_train"])
    assert mg.full_loss(grid, split.test) == loss(expected["loss_test"])


def test_key_frequencies(grid, expected):
    assert list(mg.find_key_frequencies(grid)) == expected["key_frequencies"]


def test_neuron_clusters(grid, expected):
    tuned = mg.neuron_frequencies(grid)
    sizes = {int(k): n for k, n in expected["neuron_cluster_sizes_fve>=0.85"].items()}
    assert tuned.clusters == sizes
    assert tuned.decided.sum() == expected["neurons_fve>=0.85"]


def test_restricted_loss(grid, expected):
    keys = expected["key_frequencies"]
    assert mg.restricted_loss(grid, keys) == loss(expected["restricted_loss_all"])
    without = mg.restricted_loss(grid, keys, keep_mean=False)
    assert without == loss(expected["restricted_loss_all_without_bias_correction"])


def test_explained_logits_and_weights(grid, expected):
    keys = expected["key_frequencies"]
    for centre, name in (("class", "centred_over_c"), ("double", "double_centred")):
        explained = mg.logit_fve(grid, keys, centre=centre)
        assert explained.fraction == pytest.approx(expected[f"logit_fve_{name}"], abs=1e-4)
    for matrix in ("W_E", "W_L"):
        spread = mg.gini(mg.frequency_norms(grid, matrix=matrix))
        assert spread == pytest.approx(expected[f"gini_{matrix}_56_frequency_norms"], abs=1e-4)
    assert mg.sum_squared_weights(grid.model) == loss(expected["sum_squared_weights"])


def test_excluded_loss(grid, split, expected):
    keys = expected["key_frequencies"]
    assert mg.excluded_loss(grid, keys, split.train) == loss(expected["excluded_loss_train_joint"])
    character = mg.excluded_loss(grid, keys, split.train, space="character")
    assert character == loss(expected["excluded_loss_train_joint_character_space"])
    for k, value in expected["excluded_loss_train_per_frequency"].items():
        assert mg.excluded_loss(grid, [int(k)], split.train) == loss(value), k


MASKS = {
    "nanda_seed0_frac0.3": (0.3, 0, "shuffle"),
    "nanda_seed1_frac0.3": (0.3, 1, "shuffle"),
    "nanda_seed0_frac0.9": (0.9, 0, "shuffle"),
    "rep_C113_seed1_frac0.3": (0.3, 1, "randperm"),
    "rep_C113_seed2_frac0.3": (0.3, 2, "randperm"),
    "rep_C113_seed3_frac0.3": (0.3, 3, "randperm"),
    "rep_C113_seed4_frac0.3": (0.3, 4, "randperm"),
}


def test_train_masks_are_those_of_the_papers(peer_data):
    masks = np.load(peer_data / "train_masks_p113.npz")
    assert set(masks) == set(MASKS)
    for name, (fraction, seed, rule) in MASKS.items():
        published = torch.from_numpy(np.unpackbits(masks[name], count=TASK.n_inputs).astype(bool))
        assert torch.equal(TASK.split(fraction, seed=seed, rule=rule).train, published), name
