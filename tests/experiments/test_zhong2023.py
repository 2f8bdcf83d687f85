"""The protocols of Zhong et al. 2023 on planted networks instead of trained ones."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

import mechgrok as mg
from mechgrok.experiments import zhong2023 as module
from mechgrok.experiments.attention_rate import AttentionRateSweep, RatedNetwork
from mechgrok.experiments.reproduction import find_reproduction
from mechgrok.models.constructed import cosine_network, pizza_network
from mechgrok.models.ideal_transformers import clock_transformer

PIZZA, CLOCK = pizza_network(7, {2: 9.0}), clock_transformer(7, {2: 9.0})
SQUARES = cosine_network(7, {2: 9.0})


def trained(networks):
    """In place of trainings: the network of each recipe; None for one whose training failed."""

    @contextmanager
    def swept(settings, **options):
        found = [networks[setting.config.recipe] for setting in settings]
        runs = [None if n is None else SimpleNamespace(model=lambda n=n: n) for n in found]
        yield SimpleNamespace(members=[SimpleNamespace(run=run) for run in runs])

    return swept


def rows(monkeypatch, networks):
    monkeypatch.setattr(module, "swept", trained(networks))
    monkeypatch.setattr(module, "TRIPLES", 100)
    return {row.quantity: row for row in find_reproduction("zhong2023-clock-pizza").protocol(False)}


ALL = dict.fromkeys(module.NETWORKS, PIZZA) | {"clock": CLOCK, "delta": CLOCK}


def test_planted_networks_hold(monkeypatch):
    found = rows(monkeypatch, ALL)
    assert all(row.holds for row in found.values())
    assert found["Model B, seed 0: gradient symmetricity"].published == 0.3336
    assert found["Model B, seed 0: gradient symmetricity"].measured == pytest.approx(0, abs=0.1)
    assert found["delta, seed 0: the scores say clock (1 yes, 0 no)"].measured == 1
    assert found["gamma, seed 0: distance irrelevance"].published is None


def test_the_published_scores_call_a_network_of_squares_a_clock(monkeypatch):
    """As they do delta, which the verdict does not."""
    found = rows(monkeypatch, ALL | {"delta": SQUARES})
    assert found["delta, seed 0: the scores say clock (1 yes, 0 no)"].measured == 1
    assert mg.classify_algorithm(SQUARES).algorithm == "undetermined"


def test_swapped_and_failed_ones_do_not(monkeypatch):
    found = rows(monkeypatch, ALL | {"clock": PIZZA, "beta": None})
    failed = {name for name, row in found.items() if not row.holds}
    assert failed == {
        "Model B, seed 0: gradient symmetricity",
        "Model B, seed 0: distance irrelevance",
        "Model B, seed 0: circle fading",
        "Model B, seed 0: the scores say clock (1 yes, 0 no)",
        "beta, seed 0: accuracy",
        "beta, seed 0: gradient symmetricity",
        "beta, seed 0: distance irrelevance",
        "beta, seed 0: circle fading",
        "beta, seed 0: the scores say pizza (1 yes, 0 no)",
    }


@pytest.mark.parametrize(("reverse", "holds"), [(False, True), (True, False)])
def test_the_share_of_pizzas_must_fall(monkeypatch, reverse: bool, holds: bool):
    pizza, clock = mg.classify_algorithm(PIZZA), mg.classify_algorithm(CLOCK)
    rates = sorted(module.SYMMETRICITY_AT, reverse=reverse)
    networks = [
        RatedNetwork(rate, 0, 10, pizza if rates.index(rate) < 3 else clock)
        for rate in module.SYMMETRICITY_AT
    ]
    monkeypatch.setattr(
        module, "attention_rate_sweep", lambda *a, **k: AttentionRateSweep(tuple(networks), {})
    )
    found = {row.quantity: row for row in find_reproduction("zhong2023-attention-rate").protocol(False)}
    shape = [row.holds for name, row in found.items() if name.startswith(("share", "rates"))]
    assert all(shape) is holds
    assert found["mean gradient symmetricity at rate 0"].holds is holds
