"""The protocol of McCracken et al. 2025: sines, approximate cosets and random frequencies in closed form."""

from math import cos, pi

import pytest
from planted import gromov_waves, wave_network

import mechgrok as mg
from mechgrok.experiments import mccracken2025 as module
from mechgrok.experiments.reproduction import find_reproduction, run_reproduction


def test_one_frequency_tells_neighbours_apart_by_little(monkeypatch):
    assert module._with_margin(59, 1) == 0
    # The least distance has the margin 1 - cos(2 pi / n), whichever frequency it is.
    monkeypatch.setattr(module, "DELTA", 0.999 * (1 - cos(2 * pi / 59)))
    assert module._with_margin(59, 1) == 1


def test_neurons_of_a_pizza_are_active_on_arcs_of_their_own_frequency_alone():
    network = mg.pizza_network(59, {7: 9.0})
    grid = mg.cache_grid(network)
    phases = mg.neuron_phases(network)
    assert module._on_cosets(grid, phases, 1) == 1
    assert module._on_cosets(grid, phases, 2) < 0.1


@pytest.fixture
def failed(monkeypatch):
    pizza = mg.pizza_network(59, {3: 9.0, 7: 9.0, 20: 9.0, 11: 9.0})
    monkeypatch.setattr(module, "DRAWS", 200)

    def of(one_hot, embedded):
        def train(task, recipe, **options):
            return Told(embedded if recipe is module.EMBEDDED else one_hot)

        monkeypatch.setattr(module, "train_kept", train)
        monkeypatch.setattr(module, "load_run", lambda name: Told(pizza))
        rows = run_reproduction(find_reproduction("mccracken2025-degree-one")).rows
        return {row.quantity for row in rows if row.bounded and not row.holds}

    return of


class Told:
    """A run that is nothing but its network."""

    def __init__(self, network) -> None:
        self.network = network

    def model(self):
        return self.network


def test_what_the_paper_says_holds_for_constructed_networks(failed):
    task = mg.modular_task("add", 59, sequence=("a", "b"))
    one_hot = wave_network(task, gromov_waves(59, 300, seed=0))
    one_hot.task = task
    embedded = mg.pizza_network(59, {3: 9.0, 7: 9.0, 20: 9.0, 11: 9.0})
    assert failed(one_hot, embedded) == set()
    wrong = failed(embedded, mg.build_model(task, module.EMBEDDED.model, seed=0))
    assert "MLP, one-hot operands, seed 0: key frequencies" in wrong
    assert "MLP, trained embeddings, seed 1: accuracy" in wrong
