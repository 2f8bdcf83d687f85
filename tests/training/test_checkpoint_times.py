"""The steps at which checkpoints are saved."""

import pytest

from mechgrok import TrainConfig
from mechgrok.training.checkpoint_times import checkpoint_due, most_checkpoints


def kept(steps, config, losses=lambda step: 1.0):
    found: list[int] = []
    history = []
    for step in steps:
        history.append({"step": step, "loss_test": losses(step)})
        if checkpoint_due(step, found, history, config):
            found.append(step)
    return found


def test_regular():
    assert kept(range(31), TrainConfig(checkpoint_every=10)) == [0, 10, 20, 30]


def test_logarithmic():
    expected = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    assert kept(range(1001), TrainConfig(checkpoints="logarithmic")) == expected


def test_adaptive_is_denser_where_the_test_loss_moves():
    config = TrainConfig(checkpoints="adaptive", checkpoint_every=100)
    steps = kept(
        range(401), config, lambda s: 10.0 if s < 150 else 10.0 * 0.9 ** (s - 150) if s < 200 else 0.05
    )
    assert {0, 100, 200, 300, 400} <= set(steps)
    assert 8 <= sum(150 <= s < 200 for s in steps) <= 12
    assert not [s for s in steps if 0 < s < 100 or 200 < s < 300]


@pytest.mark.parametrize("loss", [None, 0.0])
def test_adaptive_without_a_test_loss_is_regular(loss):
    config = TrainConfig(checkpoints="adaptive", checkpoint_every=10)
    assert kept(range(21), config, lambda s: loss) == [0, 10, 20]


@pytest.mark.parametrize("kind", ["regular", "logarithmic", "adaptive"])
@pytest.mark.parametrize("done", [0, 15, 99])
def test_no_more_checkpoints_are_kept_than_was_said(kind, done):
    config = TrainConfig(checkpoints=kind, checkpoint_every=7, eval_every=1, steps=100)
    steps = kept(range(101), config, lambda s: 10.0**-s)
    assert len([s for s in steps if s >= done]) <= most_checkpoints(config, done)
