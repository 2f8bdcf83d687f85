"""Two circuits with one loss: the equations against what can be computed by hand."""

from math import log

import numpy as np
import pytest

from mechgrok.experiments import varma2023_toy as module
from mechgrok.experiments.reproduction import Row
from mechgrok.experiments.varma2023_toy import CRITICAL, N_CLASSES, Circuits, simulate


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(module, "TIME_CONSTANTS", 40)


@pytest.mark.parametrize("decay", [0.02, 0.08])
def test_one_circuit_comes_to_rest_where_decay_and_gradient_are_equal(decay: float):
    course = simulate(Circuits(memorising=2.0, generalising=0.0, decay=decay))
    assert 1 - course.train[-1] == pytest.approx(decay / 2.0, rel=1e-3)
    rest = log((N_CLASSES - 1) * (2.0 / decay - 1))
    assert course.memory[-1] == pytest.approx(rest, rel=1e-3)


def test_beside_a_circuit_at_rest_another_grows_at_the_rate_of_its_efficiency():
    course = simulate(Circuits(memorising=0.5, general_start=1e-6))
    late = (course.times > 4 / 0.02) & (course.general < 1e-3)
    assert late.sum() > 100
    rate = np.polyfit(course.times[late], np.log(course.general[late]), 1)[0]
    # The logit has the square of the weight, whose rate is decay * (1 / a_m - 1).
    assert rate == pytest.approx(2 * 0.02 * (1 / 0.5 - 1), rel=0.02)


def test_the_less_efficient_circuit_vanishes_from_either_start():
    for size, wins in ((CRITICAL / 2, "memory"), (2 * CRITICAL, "general")):
        for start in (0.3, 2.5):
            course = simulate(Circuits.at(size, memory_start=start, general_start=2.8 - start))
            last = {"memory": course.memory[-1], "general": course.general[-1]}
            assert max(last, key=lambda name: last[name]) == wins
            assert min(last.values()) < 0.01


def test_probabilities_are_those_of_the_logits():
    course = module.ToyCourse(np.array([0.0]), np.array([2.0]), np.array([3.0]))
    logits = np.zeros(N_CLASSES)
    logits[0] = 5.0
    assert course.train[0] == pytest.approx(np.exp(5) / np.exp(logits).sum())
    logits[:2] = 3.0, 2.0
    assert course.test[0] == pytest.approx(np.exp(3) / np.exp(logits).sum())
    assert course.learned(np.array([0.4])) is None


def test_what_does_not_follow_from_efficiency_is_found(monkeypatch):
    monkeypatch.setattr(module, "SIZES", (250, 750, 1500, 3000))

    def failed() -> set[str]:
        rows = [row for row in module._critical_sizes("x", {}) if isinstance(row, Row)]
        return {row.quantity for row in rows if not row.holds}

    at = Circuits.at
    monkeypatch.setattr(Circuits, "at", lambda size, **others: at(size * 25 * others["decay"], **others))
    assert "x: largest over smallest of these" in failed()
