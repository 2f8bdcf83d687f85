"""Phase changes: sigmoids of known place and width are found there; lines, decays and noise have none."""

from math import acosh, sqrt

import numpy as np
import pytest

import mechgrok as mg

STEPS = np.arange(0, 4001, 10)
HALF = acosh(sqrt(2)) * 2
"""Half of the width over which a sigmoid is half as steep as in its middle, in units of its own width."""


def rows(values, steps=STEPS, name="loss_test"):
    return [{"step": int(step), name: float(value)} for step, value in zip(steps, values, strict=True)]


def sigmoid(middle, width, steps=STEPS):
    return 1 / (1 + np.exp((steps - middle) / width))


def noise(seed):
    return np.random.default_rng(seed).normal(size=len(STEPS))


@pytest.mark.parametrize("middle", [700, 2000, 3300])
@pytest.mark.parametrize("width", [60, 100, 150])
@pytest.mark.parametrize("height", [-3.0, 0.01, 40.0])
def test_a_sigmoid_is_found_in_its_place_with_its_width(middle, width, height):
    (change,) = mg.find_phase_changes(rows(height * sigmoid(middle, width) - 1))
    smoothed = 40  # steps: the standard deviation of the smoothing
    assert change.steepest == pytest.approx(middle, abs=10)
    assert change.start == pytest.approx(middle - HALF * width, abs=smoothed)
    assert change.end == pytest.approx(middle + HALF * width, abs=smoothed)
    assert change.share == pytest.approx(1 / sqrt(2), abs=0.03)
    assert change.over
    assert (change.before - change.after) / height == pytest.approx(1 / sqrt(2), abs=0.03)


def test_less_smoothing_gives_the_exact_window():
    (change,) = mg.find_phase_changes(rows(sigmoid(2000, 100)), smoothing=0.002)
    assert change.start == pytest.approx(2000 - HALF * 100, abs=5)
    assert change.end == pytest.approx(2000 + HALF * 100, abs=5)
    assert change.speed == pytest.approx(change.share * 4000 / (2 * HALF * 100), rel=0.02)


def test_a_jump_is_as_wide_as_the_smoothing():
    found = mg.find_phase_changes(rows(STEPS < 1500))
    assert found.largest.start > 1500 - 2 * found.resolution
    assert found.largest.end < 1500 + 2 * found.resolution


@pytest.mark.parametrize("level", [0.0, 0.02, 0.1])
def test_a_staircase_has_a_change_for_each_step(level):
    middles = (500, 1100, 1900, 2500, 3300)
    found = mg.find_phase_changes(rows(sum(sigmoid(m, 40) for m in middles) + level * noise(1)))
    assert [change.steepest for change in found] == pytest.approx(middles, abs=40)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("level", [0.0, 0.01, 0.3, 5.0])
def test_a_straight_line_has_none_at_any_noise(seed, level):
    for slope in (0.0, 1.0, -2.0):
        found = mg.find_phase_changes(rows(slope * STEPS / 4000 + level * noise(seed)))
        assert found.changes == ()


@pytest.mark.parametrize("tau", [50, 300, 2000])
def test_a_decay_from_the_first_step_on_has_none(tau):
    for level in (0.0, 0.01):
        found = mg.find_phase_changes(rows(np.exp(-STEPS / tau) + level * noise(0)))
        assert found.changes == ()


def test_what_is_slow_is_no_phase_change():
    assert mg.find_phase_changes(rows(sigmoid(2000, 400))).changes == ()
    assert mg.find_phase_changes(rows(-((STEPS / 4000) ** 2))).changes == ()


def test_noise_hides_no_change_that_is_larger():
    (change,) = mg.find_phase_changes(rows(sigmoid(1500, 100) + 0.1 * noise(3)))
    assert change.steepest == pytest.approx(1500, abs=150)


def test_a_change_that_is_not_over_says_so():
    (change,) = mg.find_phase_changes(rows(sigmoid(4000, 100)))
    assert not change.over
    assert change.end == 4000
    assert str(change).startswith(f"step {change.start} on")


def test_rows_need_not_be_evenly_spaced():
    steps = np.unique(np.concatenate([np.arange(0, 4001, 100), np.arange(1200, 1800, 7)]))
    (change,) = mg.find_phase_changes(rows(sigmoid(1500, 100, steps), steps))
    assert change.steepest == pytest.approx(1500, abs=20)
    assert change.start == pytest.approx(1500 - HALF * 100, abs=40)


def test_other_columns_and_missing_values_do_no_harm():
    history = [{"step": 3, "other": 1.0}, *rows(sigmoid(1500, 100), STEPS + 10, "score")]
    (change,) = mg.find_phase_changes(history, "score")
    assert change.steepest == pytest.approx(1510, abs=10)


def test_what_cannot_be_looked_at_is_refused():
    with pytest.raises(mg.UndefinedMetricError, match="5 rows with 'loss_test' or more, and 4"):
        mg.find_phase_changes(rows([1, 1, 0, 0], range(4)))
    with pytest.raises(mg.UndefinedMetricError, match="0 have it"):
        mg.find_phase_changes(rows(sigmoid(1500, 100)), "loss_train")
    for smoothing in (0.0, 0.5):
        with pytest.raises(mg.ConfigError, match="smoothing"):
            mg.find_phase_changes(rows(sigmoid(1500, 100)), smoothing=smoothing)
    with pytest.raises(mg.UndefinedMetricError, match="no phase change: the curve moves"):
        _ = mg.find_phase_changes(rows(np.zeros(len(STEPS)))).largest


def test_a_curve_that_moves_less_than_was_asked_is_flat():
    ripple = rows(0.1 + 0.001 * sigmoid(2000, 100))
    assert len(mg.find_phase_changes(ripple)) == 1
    assert len(mg.find_phase_changes(ripple, least=0.05)) == 0
    assert len(mg.find_phase_changes(rows(sigmoid(2000, 100)), least=0.05)) == 1
    with pytest.raises(mg.ConfigError, match="least"):
        mg.find_phase_changes(ripple, least=-1.0)
