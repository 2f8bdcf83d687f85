"""Loss and accuracy over steps."""

from math import log

import numpy as np
import pytest
import torch

import mechgrok as mg
from mechgrok.plots.curves import MOST_POINTS, accuracy_curves, loss_curves, thin

HISTORY = [
    {"step": 10 * i, "loss_train": 2.0**-i, "loss_test": None if i % 2 else 3.0, "accuracy_train": i / 4}
    | {"accuracy_test": None}
    for i in range(5)
]


def test_losses_are_drawn_as_they_are_with_the_level_of_guessing():
    drawn = loss_curves(HISTORY, n_classes=113)
    train, test, guessing = drawn.data
    assert [train.name, test.name, guessing.name] == ["train", "test", "guessing"]
    np.testing.assert_array_equal(train.x, [0, 10, 20, 30, 40])
    np.testing.assert_array_equal(train.y, [1, 0.5, 0.25, 0.125, 0.0625])
    np.testing.assert_array_equal(test.x, [0, 20, 40])
    assert guessing.y == pytest.approx([log(113)] * 2)
    assert guessing.x == (0, 40)
    assert drawn.layout.xaxis.title.text == "step"
    assert drawn.layout.yaxis.title.text == "cross-entropy (nats)"
    assert drawn.layout.yaxis.type == "log"


def test_accuracy_is_in_percent_and_leaves_out_what_was_not_measured():
    drawn = accuracy_curves(HISTORY)
    assert [trace.name for trace in drawn.data] == ["train"]
    np.testing.assert_allclose(drawn.data[0].y, [0, 25, 50, 75, 100])
    assert drawn.layout.yaxis.title.text == "right answers (%)"


def test_a_history_without_a_quantity_has_no_curve():
    rows = [{"step": 0, "loss_train": 1.0}]
    assert loss_curves(rows).data[0].mode == "markers", "a line needs two points"
    assert accuracy_curves(rows).data == ()
    assert loss_curves([]).data == ()


def test_thinning_keeps_ends_and_spikes_in_order():
    steps = np.arange(100_000.0)
    values = np.sin(steps / 5000) + 2
    values[[777, 55_555]] = 90, 1e-3
    x, y = thin(steps, values)
    assert len(x) <= MOST_POINTS
    assert (x[0], x[-1]) == (0, 99_999)
    assert (np.diff(x) > 0).all()
    assert {777.0, 55_555.0} <= set(x)
    np.testing.assert_array_equal(y, values[x.astype(int)])


def test_a_loss_has_the_unit_of_its_objective():
    rows = [{"step": s, "loss_train": 0.1, "mse_train": 0.1} for s in range(3)]
    drawn = loss_curves(rows, n_classes=7)
    assert drawn.layout.yaxis.title.text == "mean squared error"
    assert [trace.name for trace in drawn.data] == ["train"], "ln 7 is the cross-entropy of guessing"
    assert "nats" not in drawn.to_json()
    stable = [{"step": 0, "loss_train": 0.1, "stablemax_train": 0.1}]
    assert loss_curves(stable).layout.yaxis.title.text == "cross-entropy of stablemax (nats)"


def test_an_objective_of_ones_own_says_its_unit():
    mg.OBJECTIVES.add("bits_of_tests", title="cross-entropy", unit="bits")(lambda config: None)
    try:
        rows = [{"step": 0, "loss_train": 0.1, "bits_of_tests_train": 0.1}]
        assert loss_curves(rows).layout.yaxis.title.text == "cross-entropy (bits)"
    finally:
        del mg.OBJECTIVES["bits_of_tests"]


def test_a_run_on_values_is_drawn():
    x = torch.linspace(-1, 1, 16)[:, None]
    run = mg.train(mg.array_task(x, x**2, name="square"), steps=20, fraction=0.5, progress=False)
    assert "nats" not in run.figure().to_json()
