"""The stopping rule on made-up histories."""

import pytest

from mechgrok import TrainConfig
from mechgrok.training.stopping import settled, window

FAST = TrainConfig(lr=1e-2, weight_decay=1.0)


def history(steps, accuracy=lambda step: 1.0, norm=lambda step: 100.0):
    return [{"step": s, "accuracy_test": accuracy(s), "sum_squared_weights": norm(s)} for s in steps]


def test_at_rest_for_a_whole_window():
    assert settled(history(range(0, 101, 10)), FAST)
    assert not settled(history(range(0, 91, 10)), FAST)
    assert not settled([], FAST)


def test_one_bad_evaluation_in_the_window_is_enough():
    assert not settled(history(range(0, 301, 10), accuracy=lambda s: 0.998 if s == 210 else 1.0), FAST)
    assert settled(history(range(0, 301, 10), accuracy=lambda s: 0.998 if s == 190 else 1.0), FAST)


def test_weights_that_still_shrink():
    assert not settled(history(range(0, 301, 10), norm=lambda s: 100 - s / 9), FAST)
    assert settled(history(range(0, 301, 10), norm=lambda s: 100 - s / 200), FAST)


def test_without_test_inputs_nothing_is_ever_settled():
    assert not settled(history(range(0, 301, 10), accuracy=lambda s: None), FAST)


@pytest.mark.parametrize(
    ("lr", "decay", "steps"), [(1e-2, 1.0, 100), (1e-3, 1.0, 1000), (1e-3, 0.0, 2000), (1.0, 1.0, 50)]
)
def test_the_window_is_the_time_constant_of_the_decay(lr, decay, steps):
    assert window(TrainConfig(lr=lr, weight_decay=decay)) == steps


def test_rare_evaluations_still_compare_two_of_them():
    rare = [{"step": s, "accuracy_test": 1.0, "sum_squared_weights": 100.0 * (s + 1)} for s in (0, 200)]
    assert not settled(rare, FAST)
