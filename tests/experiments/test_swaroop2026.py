"""The protocol of Swaroop 2026: waves that are drawn, and waves that are found again."""

from types import SimpleNamespace

import pytest
import torch

import mechgrok as mg
from mechgrok.experiments import swaroop2026 as module
from mechgrok.experiments.reproduction import find_reproduction, run_reproduction
from mechgrok.experiments.swaroop2026 import WAVES, Dominant, P, drawn_network, extracted_network, square


def test_waves_are_found_with_frequency_and_phase():
    k, phase = torch.tensor([1, 7, 48]), torch.tensor([0.3, -2.0, 3.0], dtype=torch.float64)
    angles = 2 * torch.pi / P * torch.outer(torch.arange(P), k).double() - phase
    found = Dominant.of(5 * angles.cos() + 2)
    assert torch.equal(found.k, k)
    assert found.phase.tolist() == pytest.approx(phase.tolist())
    # Of 48 frequencies one is there, so that it has 48 times the mean.
    assert found.periodicity.tolist() == pytest.approx([P // 2] * 3)
    assert torch.equal(Dominant.of(square(angles)).k, k)


@pytest.mark.parametrize("name", WAVES)
def test_a_network_of_waves_is_its_own_extraction(name: str):
    network = drawn_network(WAVES[name], 96, seed=0)
    again = extracted_network(network, WAVES[name])
    moving = torch.arange(96) % P > 0  # neuron 0 has no frequency
    for mine, theirs in zip(again.operand_embeddings, network.operand_embeddings, strict=True):
        agree = (mine.sign() == theirs.sign())[:, moving].double().mean().item()
        assert agree > 0.98  # the strongest wave of a sampled square may stand a little beside it


def test_the_phases_have_to_be_those_of_a_sum():
    waves = WAVES["square to cosine"]
    assert mg.accuracy(drawn_network(waves, 256, 0)) > 0.97
    assert mg.accuracy(drawn_network(waves, 256, 0, summed=False)) < 0.05


@pytest.fixture
def failed(monkeypatch):
    monkeypatch.setattr(module, "TABLE", {n: module.TABLE[n] for n in (16, 256)})

    def of(model):
        history = [
            {"step": 0, "accuracy_train": 0.0, "accuracy_test": 0.0},
            {"step": 10, "accuracy_train": 1.0, "accuracy_test": 0.0},
        ]
        split = SimpleNamespace(test=torch.ones(P * P, dtype=torch.bool))
        run = SimpleNamespace(model=lambda step=None: model, history=history, steps=[0, 10], split=split)
        monkeypatch.setattr(module, "train_kept", lambda *args, **options: run)
        rows = run_reproduction(find_reproduction("swaroop2026-training-free")).rows
        return {row.quantity for row in rows if row.bounded and not row.holds}

    return of


def test_a_network_of_square_waves_holds_but_for_what_it_knows_already(failed):
    network = drawn_network(WAVES["square to cosine"], 512, seed=3)
    assert failed(network) == {
        "saturation: test accuracy of the network, seed 0",
        "largest lead of the waves over the network in test accuracy, seed 0",
    }


@pytest.mark.slow
def test_cosines_are_no_squares_and_other_phases_no_sums(failed):
    triple = "height of the input waves at three times their frequency, median, seed 0"
    assert triple in failed(drawn_network(WAVES["cosine to cosine"], 512, seed=3))
    loose = failed(drawn_network(WAVES["square to cosine"], 512, seed=3, summed=False))
    assert "agreement of output phase and sum of input phases, seed 0" in loose
    assert "final: test accuracy of its waves, square to cosine, seed 0" in loose
