"""Curves of a history."""

import numpy as np
import pytest

import mechgrok as mg
from mechgrok.analysis.curves import curve, first_step

ROWS = [
    {"step": 0, "loss_test": 4.7, "accuracy_test": 0.0},
    {"step": 10, "loss_test": None, "accuracy_test": 0.5},
    {"step": 15, "loss_test": float("nan"), "accuracy_test": 0.95},
    {"step": 40, "loss_test": 0.5},
]


def test_only_what_was_measured_is_a_point():
    line = curve(ROWS, "loss_test")
    np.testing.assert_array_equal(line.steps, [0, 40])
    np.testing.assert_array_equal(line.values, [4.7, 0.5])
    assert len(curve(ROWS, "loss_train")) == 0
    assert len(curve([], "loss_test")) == 0


def test_value_at_a_step_is_the_last_known():
    line = curve(ROWS, "accuracy_test")
    assert [line.at(step) for step in (-5, 0, 14, 15, 999)] == [0.0, 0.0, 0.5, 0.95, 0.95]
    assert line.before(15).steps.tolist() == [0, 10]


def test_first_steps():
    assert first_step(ROWS, "loss_test", below=1) == 40
    assert first_step(ROWS, "loss_test", below=0.5) is None, "below is not at"
    assert first_step(ROWS, "accuracy_test", at_least=0.95) == 15
    assert first_step(ROWS, "no such column", below=1) is None


@pytest.mark.parametrize("bounds", [{}, {"below": 1.0, "at_least": 2.0}])
def test_one_bound_is_needed(bounds):
    with pytest.raises(mg.ConfigError, match="one of below and at_least"):
        first_step(ROWS, "loss_test", **bounds)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"step": 10}, {"step": 0}], "0 follows 10"),
        ([{"step": 10}, {"step": 10}], "10 follows 10"),
        ([{"loss_test": 1.0}], "every row of a history needs a step"),
    ],
)
def test_rows_out_of_order_are_refused(rows, said: str):
    with pytest.raises(mg.ConfigError, match=said):
        curve(rows, "loss_test")
