"""Networks of Chughtai et al. 2023 that compose permutations, against the values of their authors' code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mechgrok as mg
from mechgrok.algebra import named_group
from mechgrok.analysis.cosets import coset_neurons
from mechgrok.analysis.representations import (
    character_similarity,
    key_irreps,
    representation_measures,
)
from mechgrok.config import MLPConfig
from mechgrok.models.files import read_model, read_tensors
from mechgrok.models.mlp import HookedMLP
from mechgrok.tasks import group_task

TOLERANCE = 2e-3
RUNS = {"S5_T_seed1": ("transformer", 0.6, 1), "S5_MLP_seed2": ("mlp", 0.4, 2)}
"""Fixture, fraction and seed of the training."""


@pytest.fixture(scope="module")
def tables(peer_data: Path) -> dict[str, np.ndarray]:
    return dict(np.load(peer_data / "rep_theory/group_tables.npz"))


@pytest.fixture(scope="module")
def expected(peer_data: Path) -> dict[str, Any]:
    return json.loads((peer_data / "expected.json").read_text())


@pytest.fixture(scope="module")
def task(tables: dict[str, np.ndarray]) -> mg.Task:
    return group_task(tables["S5_mult"], name="S5")


@pytest.fixture(scope="module")
def transformer(peer_data: Path, task: mg.Task) -> mg.ActivationGrid:
    return mg.cache_grid(read_model(peer_data / "rep_theory/S5_T_seed1.safetensors"), task)


@pytest.fixture(scope="module")
def mlp(peer_data: Path, task: mg.Task) -> mg.ActivationGrid:
    tensors, _ = read_tensors(peer_data / "rep_theory/S5_MLP_seed2.safetensors")
    config = MLPConfig(
        d_vocab=120,
        d_vocab_out=120,
        embeddings="separate",
        combine="concat",
        d_embed=256,
        d_mlp=128,
        mlp_bias=False,
    )
    model = HookedMLP(config)
    names = {"embed.W_E": "W_x", "embed_b.W_E": "W_y", "blocks.0.mlp.W_in": "W", "unembed.W_U": "W_U"}
    model.load_state_dict({ours: tensors[theirs] for ours, theirs in names.items()})
    return mg.cache_grid(model, task)


def close(value: float) -> Any:
    return pytest.approx(value, rel=TOLERANCE)


def test_the_authors_tables_are_the_groups_of_the_same_name(tables):
    elements, table = tables["S5_elements"].astype(int), tables["S5_mult"]
    for x in range(0, 120, 11):
        for y in range(120):
            assert (elements[table[x, y]] == elements[y][elements[x]]).all()
    assert torch.equal(torch.as_tensor(tables["D59_mult"]).long(), named_group("D59").table)


def test_irreps_are_named_as_by_the_authors(tables):
    basis = group_task(tables["S5_mult"], name="S5").frame.basis
    assert basis.labels == ("sign", "standard", "standard_sign", "5d_a", "5d_b", "6d")
    alternating = group_task(tables["A5_mult"], name="A5").frame.basis
    cycle = tables["A5_elements"].tolist().index([1, 2, 3, 4, 0])
    assert alternating.irrep("3d_a").character[cycle].item() == pytest.approx((1 + 5**0.5) / 2)
    assert group_task(tables["D59_mult"]).frame.basis.labels[:3] == ("sign", "freq_1", "freq_2")


def network(request, expected, task, run) -> tuple[mg.ActivationGrid, mg.Split, dict[str, Any]]:
    """A network, the split that it was trained with, and the values of its authors."""
    fixture, fraction, seed = RUNS[run]
    split = task.split(fraction, seed=seed, rule="randperm")
    return request.getfixturevalue(fixture), split, expected[f"rep_theory/{run}"]


@pytest.mark.parametrize("run", RUNS)
def test_keys_and_logits(request, expected, task, run):
    grid, split, want = network(request, expected, task, run)
    assert mg.full_loss(grid, split.train) == close(want["loss_train"])
    assert mg.full_loss(grid, split.test) == close(want["loss_test"])

    keys = mg.find_key_frequencies(grid)
    assert list(keys) == want["key_irreps"]
    assert list(key_irreps(grid)) == want["key_irreps"]
    similarity = character_similarity(grid)
    for label, value in want["logit_character_similarity"].items():
        assert similarity[label] == close(value)
    explained = sum(s**2 for s in similarity.values())
    assert explained == close(want["logit_fraction_explained"])
    assert float(mg.logit_fve(grid, grid.task.frame.basis.labels)) == pytest.approx(explained)

    restricted = mg.restricted_loss(grid, keys, space="character", keep_mean=False)
    assert restricted == close(want["restricted_loss_logits_character_space"])
    excluded = mg.excluded_loss(grid, keys, split.train, space="character")
    assert excluded == close(want["excluded_loss_logits_character_space"])


@pytest.mark.parametrize("run", RUNS)
def test_hidden_layer_and_embedding(request, expected, task, run):
    grid, split, want = network(request, expected, task, run)
    measures = representation_measures(grid, train=split.train)
    assert list(measures.keys) == want["key_irreps"]
    assert measures.restricted_loss == close(want["restricted_loss_hidden_product_space"])
    assert measures.excluded_loss == close(want["excluded_loss_hidden_product_space"])
    assert measures.logits_explained == close(want["logit_fraction_explained"])
    for label, value in want["embedding_fraction"].items():
        assert measures.embedding[label] == close(value)


def test_neurons_of_the_transformer_speak_for_the_same_irreps(transformer):
    assert list(mg.find_key_frequencies(transformer, "neurons")) == ["sign", "standard_sign"]
    assert list(mg.find_key_frequencies(transformer, "embedding")) == ["sign", "standard_sign"]
    assert set(mg.neuron_frequencies(transformer).clusters) == {"sign", "standard_sign"}


def test_neurons_of_the_mlp_see_cosets(mlp):
    """As Stander et al. 2023 found for such networks: each summand lives on cosets of one subgroup."""
    neurons = coset_neurons(mlp, threshold=0.999)
    assert neurons.agree.all()
    # Point stabilisers S4 for the standard irrep, A5 for the sign, A4 for neurons of both.
    assert neurons.orders == {24: 109, 12: 12, 60: 7}
    assert neurons.within.max() < 1e-3


def test_the_mlp_breaks_as_stander_et_al_say(mlp):
    """Their table has 1.97e-6, 22.4, 3.69e-13 and 4.76 nats as means over 128 such networks."""
    found = mg.perturb_neurons(mlp, noise=1.0)
    rows = found.rows
    assert found.before.loss == pytest.approx(2.38e-6, rel=0.01)
    assert (rows["both signs flipped"].accuracy, rows["sign of a flipped"].accuracy) == (1, 0)
    assert rows["both signs flipped"].loss == pytest.approx(2.39e-6, rel=0.01)
    assert rows["sign of a flipped"].loss == pytest.approx(31.8, rel=0.01)
    absolute = rows["|x| in place of ReLU"]
    assert absolute.loss == pytest.approx(4.90e-13, rel=0.02)
    assert absolute.control.loss == pytest.approx(8.45e-13, rel=0.02)
    swapped = rows["embeddings swapped"]
    assert swapped.accuracy == pytest.approx(0.0098, abs=1e-3)
    assert swapped.control.accuracy == pytest.approx(7 / 120)  # the share of pairs that commute
    assert rows["noise of 1, shifted up"].loss > 5 * rows["noise of 1, shifted up"].control.loss
    assert all(row.came_true for row in rows.values())


def test_one_embedding_for_both_operands_leaves_an_odd_part(transformer):
    found = mg.perturb_neurons(transformer, noise=0)
    assert found.odd == pytest.approx(0.021, abs=1e-3)
    assert "no embeddings of their own" in found.left_out["embeddings swapped"]
    assert all(row.came_true for row in found.rows.values())


@pytest.mark.parametrize(
    ("run", "recovered", "clusters"),
    [("mlp", 0.999999, {"standard", "sign"}), ("transformer", 0.99999, {"standard_sign", "sign"})],
)
def test_irreps_can_be_scrubbed(request, run, recovered, clusters):
    """What the sign says survives the control: it is the same for a∘b and a∘b^-1."""
    found = mg.scrub(request.getfixturevalue(run))
    assert found.accuracy == 1
    assert found.recovered >= recovered
    assert set(found.clusters) == clusters
    assert 1 / 120 < found.control_accuracy < 0.06
    assert found.partition.loss > 5 * found.loss


def test_explained(mlp, transformer):
    """Characters explain the MLP nearly everywhere; the transformer, which sees smaller subgroups, nowhere."""
    found = mg.explain(mlp)
    assert found.explained_share == pytest.approx(0.9994, abs=1e-3)
    assert found.fve == pytest.approx(0.848, abs=1e-3)
    assert (found.accuracy, found.agreement) == (1, 1)
    assert [term.label for term in found.fitted.terms] == ["standard", "sign"]
    other = mg.explain(transformer)
    assert (other.accuracy, other.agreement) == (1, 1)
    assert other.explained_share == 0
    assert other.fve == pytest.approx(0.629, abs=1e-3)
