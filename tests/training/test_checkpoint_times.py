"""The steps at which checkpoints are saved."""

import shutil
from itertools import count

import pytest
import torch

import mechgrok as mg
from mechgrok import TrainConfig
from mechgrok.training.checkpoint_times import checkpoint_due, kept_to_go_on, most_checkpoints

TASK = mg.modular_task("add", 7)


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


SMALL = {"steps": 40, "checkpoint_every": 10, "model": mg.ModelConfig(d_model=16), "progress": False}


@pytest.mark.parametrize(("seconds", "steps"), [(1e9, (40,)), (25.0, (20, 40)), (0.0, (0, 10, 20, 30, 40))])
def test_checkpoints_that_are_kept_to_go_on_from_lie_apart(seconds, steps, tmp_path, monkeypatch):
    whole = mg.train(TASK, **SMALL, out=tmp_path / "whole")
    clock = count(0, 10)  # looked at once for each checkpoint that is due, and once before
    monkeypatch.setattr("mechgrok.training.checkpoint_times.time.monotonic", lambda: next(clock))
    with kept_to_go_on(seconds):
        run = mg.train(TASK, **SMALL, out=tmp_path / "few")
    assert run.steps == steps
    assert run.history == whole.history
    assert all(map(torch.equal, run.weights(40).values(), whole.weights(40).values()))


def test_what_kept_nothing_yet_goes_on_from_ctrl_c_and_begins_anew_after_a_kill(tmp_path, interrupt_at):
    whole = mg.train(TASK, **SMALL, out=tmp_path / "whole")
    interrupt_at(23)
    with kept_to_go_on(1e9):
        with pytest.raises(KeyboardInterrupt):
            mg.train(TASK, **SMALL, out=tmp_path / "cut")
        shutil.copytree(tmp_path / "cut", tmp_path / "killed")
        (tmp_path / "killed" / "state.safetensors").unlink()
        assert mg.load_run(tmp_path / "cut").read_state()[0] == 23
        for name in ("cut", "killed"):
            run = mg.train(TASK, **SMALL, out=tmp_path / name)
            assert run.steps == (40,)
            assert run.history == whole.history
