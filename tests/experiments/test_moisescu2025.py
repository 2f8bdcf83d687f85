"""The protocol of Moisescu-Pareja et al. 2025 on constructed networks in place of trained ones."""

from types import SimpleNamespace

import pytest

import mechgrok as mg
from mechgrok.experiments import moisescu2025 as module
from mechgrok.experiments.reproduction import find_reproduction, run_reproduction

WAVES = {5: 9.0, 17: 9.0}


@pytest.fixture
def failed(monkeypatch):
    def of(disc, torus):
        def train(task, recipe, **options):
            return SimpleNamespace(model=lambda: torus if recipe == "delta" else disc)

        monkeypatch.setattr(module, "train_kept", train)
        outcome = run_reproduction(find_reproduction("moisescu2025-phase-alignment"))
        assert {curve.panel for curve in outcome.curves} == {name for name, _ in module.NETWORKS.values()}
        return {row.quantity for row in outcome.rows if row.bounded and not row.holds}

    return of


def test_discs_and_a_torus_hold(failed):
    assert failed(mg.pizza_network(59, WAVES), mg.cosine_network(59, WAVES)) == set()


def test_the_other_way_round_they_do_not(failed):
    wrong = failed(mg.cosine_network(59, WAVES), mg.pizza_network(59, WAVES))
    assert "attention rate 1, seed 0: phase alignment" in wrong
    assert "attention rate 0, seed 1: dimensions of the neurons of frequency 5" in wrong
    assert "MLP, embeddings side by side, seed 0: phase alignment" in wrong
