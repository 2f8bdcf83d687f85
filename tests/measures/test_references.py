"""A measure has its reference value in the case named by the reference."""

from functools import cache

import pytest
import torch

import mechgrok as mg
from mechgrok.measures.references import Reference

P = 11


def guessing():
    """The same logit for every answer."""
    model = mg.cosine_network(P, {2: 9.0, 5: 9.0})
    with torch.no_grad():
        model.unembed.W_U.zero_()
    return model, (2, 5)


def perfect():
    """A clock that is sure of every answer, and all neurons of which follow a key."""
    return mg.cosine_network(P, {2: 90.0, 5: 90.0}), (2, 5)


def flat():
    """Tokens and answers that are one direction each."""
    config = mg.MLPConfig(d_embed=P, d_mlp=P, readout="direct", mlp_bias=False)
    model = mg.build_model(mg.modular_task("add", P), config, seed=0).double()
    with torch.no_grad():
        model.embed.W_E.copy_(torch.eye(P))
        model.unembed.W_U.copy_(torch.eye(P))
    return model, (1, 2)


def summing():
    """Nothing but the sum of both embeddings goes into the network."""
    model = mg.build_model(mg.modular_task("add", P), mg.MLPConfig(d_embed=8, d_mlp=16), seed=0).double()
    return model, (1, 2)


CASES = {
    "guessing": guessing,
    "a perfect network": perfect,
    "a flat spectrum": flat,
    "a network that adds up the embeddings": summing,
    "one circle": lambda: (mg.cosine_network(P, {3: 9.0}), (3,)),
}


@cache
def snapshot_of(case):
    model, keys = CASES[case]()
    return mg.Snapshot(0, model, model.task, model.task.split(0.5), keys)


@cache
def positions_of(case):
    """Answers at two positions, all of them alike or all right."""
    task = mg.running_sum_task(2, P)
    right = torch.nn.functional.one_hot(task.labels, P).double()
    snapshot = mg.Snapshot(0, mg.build_model(task, mg.ModelConfig(d_model=8), seed=0), task, task.split(0.5))
    vars(snapshot)["grid"] = mg.grid_from_tensors(
        task, {"guessing": 0 * right, "a perfect network": 90 * right}[case]
    )
    return snapshot


def compared():
    return [measure for measure in mg.MEASURES.values() if measure.reference is not None]


@pytest.mark.parametrize("measure", compared(), ids=lambda measure: measure.name)
def test_the_value_in_the_case_of_reference(measure):
    snapshot = positions_of if "positions" in measure.needs else snapshot_of
    value = measure(snapshot(measure.reference.case))
    for number in value.values() if isinstance(value, dict) else [value]:
        assert number == pytest.approx(measure.reference.at(P), abs=1e-6)


@pytest.mark.parametrize("measure", compared(), ids=lambda measure: measure.name)
def test_another_network_has_another_value(measure):
    """The reference says something: a network that is drawn at random is not at it."""
    task = mg.running_sum_task(2, P) if "positions" in measure.needs else mg.modular_task("add", P)
    model = mg.build_model(task, mg.ModelConfig(d_model=2, n_heads=1, d_mlp=16), seed=0).double()
    value = measure(mg.Snapshot(0, model, task, task.split(0.5), (1,)))
    for number in value.values() if isinstance(value, dict) else [value]:
        assert number != pytest.approx(measure.reference.at(P), abs=1e-6)


def test_every_case_is_some_measures():
    assert {measure.reference.case for measure in compared()} == set(CASES)


def test_a_reference_is_described():
    assert str(mg.MEASURES["loss_test"].reference) == "ln(number of answers) for guessing"
    assert str(Reference("guessing", 0.0)) == "0 for guessing"
