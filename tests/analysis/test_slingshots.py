"""Spikes and slingshots."""

import numpy as np
import pytest

import mechgrok as mg
from mechgrok.analysis.slingshots import LAST_LAYER, find_slingshots


def rows(losses, norms=None):
    found = [{"step": 10 * i, "loss_train": float(x)} for i, x in enumerate(losses)]
    return (
        found
        if norms is None
        else [row | {LAST_LAYER: float(n)} for row, n in zip(found, norms, strict=True)]
    )


def spiky(n: int = 100, at=(20, 60), height: float = 1.0):
    """A loss of 1e-6 with spikes that decay ten-fold in two rows."""
    losses = np.full(n, 1e-6)
    for row in at:
        after = np.arange(n - row - 1)
        losses[row + 1 :] = np.maximum(losses[row + 1 :], height * 10.0 ** (-after / 2))
    return losses


def test_spikes_and_their_heights():
    found = find_slingshots(rows(spiky()))
    assert found.ten_fold_jumps == 2
    assert [spike.start for spike in found.spikes] == [200, 600]
    assert [spike.end for spike in found.spikes] == [270, 670], "half-way back in the logarithm"
    assert [spike.height for spike in found.spikes] == pytest.approx([1e6, 1e6])
    assert found.cycles is None
    assert (found.first, found.last) == (0, 990)


def test_nine_fold_is_no_jump_and_ten_fold_is():
    assert find_slingshots(rows([1.0, 9.99])).ten_fold_jumps == 0
    assert find_slingshots(rows([1.0, 10.0])).ten_fold_jumps == 1


def test_jumps_up_and_down_in_one_burst_are_one_spike():
    found = find_slingshots(rows([1e-6, 1e-6, 1e-3, 1e-5, 1e-2, 1e-1, 1e-3, 1e-6, 1e-6]))
    assert found.ten_fold_jumps == 3
    assert len(found.spikes) == 1


def test_rounding_to_zero_is_no_endless_jump():
    assert find_slingshots(rows([1e-7, 0.0, 1e-7, 0.0, 2e-7])).ten_fold_jumps == 0
    assert find_slingshots(rows([0.0, 0.0])).ten_fold_jumps == 0


def test_a_norm_that_grows_with_the_spike_and_rests_is_a_slingshot():
    norms = 100 + 50 * (np.arange(100) > 22) + 80 * (np.arange(100) > 64)
    found = find_slingshots(rows(spiky(), norms))
    assert [(cycle.start, cycle.end) for cycle in found.slingshots] == [(200, 600), (600, 990)]
    assert found.slingshots[0].growth == pytest.approx(1.5**0.5 - 1)
    assert found.slingshots[0].early == 1


@pytest.mark.parametrize(
    "norms",
    [np.full(100, 7.0), 100 - np.arange(100) / 10, 100 + np.arange(100)],
    ids=["rests", "falls", "grows"],
)
def test_spikes_alone_are_no_slingshots(norms):
    found = find_slingshots(rows(spiky(), norms))
    assert found.cycles is not None
    assert len(found.cycles) == 2
    assert found.slingshots == ()


def test_without_a_norm_nobody_can_tell():
    with pytest.raises(mg.UndefinedMetricError, match=r"2 spikes .* no norm of the last layer"):
        _ = find_slingshots(rows(spiky())).slingshots
    assert find_slingshots(rows([3.0, 2.0, 1.0])).slingshots == (), "no spike, no slingshot"


def test_any_column_can_be_the_norm():
    named = [row | {"norm": 1.0} for row in rows(spiky())]
    assert find_slingshots(named, last_layer="norm").slingshots == ()


def test_a_history_without_train_loss():
    with pytest.raises(mg.UndefinedMetricError, match="no row has a loss_train"):
        find_slingshots([{"step": 0}])


def test_published_runs(peer_data):
    stored = np.load(peer_data / "nanda/loss_curves.npz")
    calm = find_slingshots(rows(stored["wd_10-1_mod_addition_loss_curve__train"]))
    assert (calm.ten_fold_jumps, calm.spikes, calm.slingshots) == (0, (), ())
    low = find_slingshots(rows(stored["low_precision_mod_addition__train"]))
    assert low.ten_fold_jumps == 108
    # Spikes, unlike jumps, hardly depend on how often one looks.
    seldom = find_slingshots(rows(stored["low_precision_mod_addition__train"][::100]))
    assert len(low.spikes) == pytest.approx(35, abs=2)
    assert len(seldom.spikes) == pytest.approx(35, abs=2)
