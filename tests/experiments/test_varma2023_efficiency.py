"""Circuit efficiency: norms at one logit scale, where they cross, and the judgement of given networks."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import log

import pytest

import mechgrok as mg
from mechgrok.experiments import varma2023_efficiency as module
from mechgrok.experiments.reproduction import Row
from mechgrok.experiments.varma2023_efficiency import DECAYS, QUICK, Continued, Point

MEMORISED, GENERALISED = QUICK.memorised, QUICK.generalised


def told(
    memory: Callable[[int, float], float], general: Callable[[int], float], share: float = 0.98
) -> list[Point]:
    """Points whose norm grows with the square root of the logit scale, of which more decay leaves less."""
    points = []
    for seed in range(3):
        for decay in DECAYS:
            scale = 12 - log(decay) + 0.1 * seed
            points += [
                Point("memorising", size, decay, seed, scale - 1, memory(size, decay) * (scale - 1) ** 0.5)
                for size in MEMORISED
            ]
            points += [
                Point("generalising", size, decay, seed, scale, general(size) * scale**0.5, share)
                for size in GENERALISED
            ]
    return points


RISING = told(lambda size, decay: size, lambda size: 300.0)


def failed(rows: Iterable[Row]) -> set[str]:
    return {row.quantity for row in rows if row.bounded and not row.holds}


def test_norms_are_compared_at_one_scale():
    norms = module.at_equal_scale(RISING, 16.0)
    assert norms["memorising"] == pytest.approx({size: 4 * size for size in MEMORISED})
    assert norms["generalising"] == pytest.approx(dict.fromkeys(GENERALISED, 1200.0))
    assert module.crossing(norms) == pytest.approx(300, abs=1)


def test_without_a_crossing_there_is_none():
    norms = module.at_equal_scale(told(lambda size, decay: size, lambda size: 1e6))
    assert module.crossing(norms) is None
    assert module.crossing({"memorising": {1: 2.0, 2: 3.0}, "generalising": {3: 1.0}}) is None


def test_memorising_that_costs_more_with_more_data_holds():
    assert failed(module.efficiency_rows(RISING)) == set()
    rows = {row.quantity: row.measured for row in module.efficiency_rows(RISING)}
    assert rows["size at which the norms cross, median over seeds"] == pytest.approx(300, rel=0.01)


def test_generalising_that_costs_more_with_more_data_does_not():
    wrong = failed(
        module.efficiency_rows(told(lambda size, decay: size, lambda size: 300 * (size / 2000) ** 0.2))
    )
    assert wrong == {"generalising: largest over smallest of these norms"}


def test_memorising_that_always_costs_the_same_does_not():
    wrong = failed(module.efficiency_rows(told(lambda size, decay: 300.0, lambda size: 300.0)))
    assert "memorising: last over first" in wrong
    falling = failed(module.efficiency_rows(told(lambda size, decay: 1e5 / size, lambda size: 300.0)))
    assert "memorising: how often the norm falls with more inputs" in falling


def test_a_crossing_that_follows_the_decay_does_not():
    wrong = failed(module.efficiency_rows(told(lambda size, decay: size * decay**0.2, lambda size: 300.0)))
    assert wrong == {"largest over smallest of these sizes"}


def test_seeds_whose_networks_also_memorise_do_not_count():
    assert failed(module.purity_rows(RISING)) == set()
    at = RISING.index(next(p for p in RISING if p.circuit == "generalising" and p.seed == 1))
    one = [*RISING[:at], replace(RISING[at], share=0.9), *RISING[at + 1 :]]
    assert {point.seed for point in module.of_pure_seeds(one)} == {0, 2}
    assert failed(module.purity_rows(one)) == set()
    wrong = failed(module.purity_rows([replace(point, share=0.9) for point in RISING]))
    assert wrong == {
        "generalising: median share of the logits in cosines of a+b-c",
        "seeds of 3 in which all have that share",
    }


def test_the_crossing_has_to_tell_where_a_network_ungroks():
    def continued(half: float, twice: float) -> set[str]:
        tests = {0.5: half, 1.0: 0.6, 2.0: twice}
        return failed(
            module.continued_rows([Continued(m, round(300 * m), 0, acc) for m, acc in tests.items()])
        )

    assert continued(0.1, 0.99) == set()
    assert continued(0.9, 0.99) == {"test accuracy after going on with 0.5 times the size of the crossing"}
    assert continued(0.1, 0.6) == {"test accuracy after going on with 2 times the size of the crossing"}
    assert (
        len(failed(module.continued_rows([]))) == 3 - 1
    )  # nothing crossed: both bounded rows have no number


def test_networks_are_trained_and_measured():
    tiny = QUICK.learn.replace(model=mg.ModelConfig(d_model=8, n_heads=1))
    setup = replace(
        QUICK,
        p=7,
        learn=tiny,
        rest=tiny.replace(**module.REST),
        memorise=3,
        generalise=3,
        memorised=(5, 9),
        generalised=(20, 49),
        time_constants={"memorising": 0.02, "generalising": 0.02},
    )
    memory, general = list(module._memorising(setup, 1)), list(module._generalising(setup, 1))
    assert [(point.size, point.decay) for point in memory] == [(size, d) for size in (5, 9) for d in DECAYS]
    assert [point.size for point in general] == [20] * 3 + [49] * 3
    assert all(point.share == 0 for point in memory)
    assert all(0 < point.share < 1 for point in general)
    run = module._rested(setup, mg.modular_task("add", 7), module._grokked(setup, 1), 20, 2.0, "generalising")
    assert int(run.split.train.sum()) == 20
    assert general[2].norm == pytest.approx(run.history[-1]["sum_squared_weights"])
