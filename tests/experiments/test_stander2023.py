"""The protocol of Stander et al. 2023 on constructed networks in place of trained ones."""

from types import SimpleNamespace

import pytest
from planted import coset_network

import mechgrok as mg
from mechgrok.experiments import stander2023 as module
from mechgrok.experiments.reproduction import find_reproduction, run_reproduction


@pytest.fixture
def outcome(monkeypatch):
    def of(model):
        monkeypatch.setattr(
            module, "train_kept", lambda *args, **options: SimpleNamespace(grid=lambda: mg.cache_grid(model))
        )
        return run_reproduction(find_reproduction("stander2023-interventions"))

    return of


def louder(network: mg.HookedMLP, times: float) -> mg.HookedMLP:
    """The same function, with pre-activations that stand out of noise of a given size."""
    weights = network.state_dict()
    weights["blocks.0.mlp.W_in"] *= times
    weights["unembed.W_U"] /= times
    network.load_state_dict(weights)
    return network


def test_a_network_of_cosets_holds(outcome):
    found = outcome(louder(coset_network(5, gain=8.0), 8))
    rows = {row.quantity: row for row in found.rows}
    assert [name for name, row in rows.items() if row.bounded and not row.holds] == []
    assert rows["loss with |x| over that of doubled logits, seed 1"].measured == pytest.approx(1)
    assert rows["share of the neurons that are functions of cosets, seed 2"].measured == 1
    assert {curve.name for curve in found.curves} == {"published", "seed 1", "seed 2"}
    assert all(len(curve.x) == len(module.TABLE) for curve in found.curves)


def test_an_untrained_network_does_not(outcome):
    untrained = mg.build_model(mg.sn_task("S5"), module.QUICK.model, seed=0)
    failed = {row.quantity for row in outcome(untrained).rows if row.bounded and not row.holds}
    assert "the network: accuracy, seed 1" in failed
    assert "share of the neurons that are functions of cosets, seed 1" in failed
    assert "sign of a flipped: accuracy, seed 2" in failed
