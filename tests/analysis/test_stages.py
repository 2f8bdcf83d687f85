"""Planted networks survive every ideal stage; parts missing from the ideal are lost."""

from math import log

import pytest
import torch
from planted import phase_grid, wave_network

import mechgrok as mg
from mechgrok.analysis.stages import replace_stages

ALL = "neurons read one block without products, and write in the keys"


def stages_of(network, keys):
    found, left_out = replace_stages(mg.cache_grid(network), keys)
    return {stage.stage: stage for stage in found}, left_out


@pytest.mark.parametrize(
    ("operation", "p", "keys"),
    [
        ("add", 3, [1]),
        ("add", 12, [1, 2]),
        ("add", 53, [1, 26]),
        ("sub", 7, [2, 3]),
        ("sub", 12, [5]),
        ("mul", 7, [1]),
    ],
)
def test_a_planted_network_is_its_ideal(operation: str, p: int, keys: list[int]):
    task = mg.modular_task(operation, p, sequence=("a", "b"))
    network = wave_network(task, phase_grid(keys), gain=3.0)
    network.task = task
    found, left_out = stages_of(network, keys)
    assert left_out == {}
    for stage in found.values():
        assert stage.recovered == pytest.approx(1, abs=1e-6), stage.stage
        assert stage.accuracy == 1


def test_mlps_have_no_attention():
    found, left_out = stages_of(mg.pizza_network(11, {3: 9.0}), [3])
    assert set(left_out) == {"attention fixed"}
    assert all(stage.recovered == pytest.approx(1, abs=1e-6) for stage in found.values())


def test_a_missing_key_is_lost_where_it_is_removed():
    p = 11
    network = mg.cosine_network(p, {2: 9.0, 5: 9.0})
    found, _ = stages_of(network, [2])
    for name in ("embedding in the keys", "neurons write in the keys", ALL):
        assert found[name].recovered < 0.9, name
    for name in ("attention fixed", "neurons read one block, with products"):
        assert found[name].recovered == pytest.approx(1, abs=1e-9), name


def test_what_is_recovered_is_measured_from_the_loss_of_guessing():
    network = mg.cosine_network(11, {2: 9.0, 5: 9.0})
    found, _ = stages_of(network, [2])
    before, stage = mg.full_loss(network), found["neurons write in the keys"]
    assert stage.loss == pytest.approx(mg.full_loss(mg.cosine_network(11, {2: 9.0})), rel=1e-6)
    assert stage.recovered == pytest.approx(1 - (stage.loss - before) / (log(11) - before))


def test_neurons_of_two_frequencies_are_cut_down_to_one():
    task = mg.modular_task("add", 7, sequence=("a", "b"))
    network = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    found, _ = stages_of(network, [1, 2, 3])
    one = found["neurons read one block, with products"]
    assert one.loss != pytest.approx(mg.full_loss(network), rel=1e-4)


@pytest.mark.parametrize("name", ["S3", "D5"])
def test_irreps(name: str):
    network = mg.character_network(name, dict.fromkeys(mg.IrrepBasis(mg.named_group(name)).labels, 5.0))
    found, _ = stages_of(network, mg.find_key_frequencies(network).frequencies)
    assert found[ALL].recovered == pytest.approx(1, abs=1e-6)


def test_the_explanation_has_them():
    found = mg.explain(mg.cosine_network(11, {3: 9.0}))
    assert found.stages[-1].stage == ALL
    bare = mg.grid_from_tensors(
        mg.modular_task("add", 11), mg.cache_grid(mg.cosine_network(11, {3: 9.0})).logits
    )
    assert mg.explain(bare).stages == ()
    assert torch.is_tensor(found.logits)
