"""Trackers receive every evaluation, once, and named trackers report missing packages."""

import builtins

import pytest

import mechgrok as mg
from mechgrok.training.batched import train_batched
from mechgrok.training.starting import begin

TASK = mg.modular_task("add", 5)
SMALL = {"model": mg.ModelConfig(d_model=16), "eval_every": 5, "progress": False}


class Heard:
    def __init__(self):
        self.rows = []

    def log(self, step, values):
        self.rows.append({"step": step, **values})


def _measured(history):
    return [{name: value for name, value in row.items() if value is not None} for row in history]


def test_every_evaluation_is_told_once(tmp_path):
    first, second = Heard(), Heard()
    mg.train(TASK, out=tmp_path / "run", steps=10, tracker=first, **SMALL)
    run = mg.train(TASK, out=tmp_path / "run", steps=20, tracker=second, **SMALL)
    assert [row["step"] for row in first.rows] == [0, 5, 10]
    assert first.rows + second.rows == _measured(run.history)


def test_what_was_not_measured_is_not_told():
    heard = Heard()
    run = mg.train(TASK, steps=0, fraction=1.0, tracker=heard, **SMALL)
    assert run.history[0]["loss_test"] is None
    assert "loss_test" not in heard.rows[0]


def test_members_of_a_stack_are_told_apart(tmp_path, monkeypatch):
    heard = {}

    def opened(tracker, run):
        assert tracker == "mine"
        from contextlib import nullcontext

        return nullcontext(heard.setdefault(run.config.seed, Heard()))

    monkeypatch.setattr("mechgrok.training.batched.tracking", opened)
    config = mg.RECIPES["fast"].replace(model=SMALL["model"], steps=10, eval_every=5)
    runs = [begin(TASK, config, seed=seed, out=tmp_path / str(seed)) for seed in (0, 1)]
    assert not train_batched(runs, tracker="mine", progress=False)
    for run in runs:
        assert heard[run.config.seed].rows == _measured(run.history)


def test_what_is_no_tracker(tmp_path, monkeypatch):
    def without_wandb(name, *args, **kwargs):
        if name == "wandb":
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    for tracker, text in (
        ("tensorbord", r"unknown tracker 'tensorbord' \(did you mean tensorboard\?\)"),
        (print, r"a text, an object with a method log\(step, values\), or None; got"),
    ):
        with pytest.raises(mg.ConfigError, match=text):
            mg.train(TASK, out=tmp_path / "run", steps=10, tracker=tracker, **SMALL)
    imported = builtins.__import__
    monkeypatch.setattr("mechgrok.training.trackers.import_module", lambda name: without_wandb(name))
    with pytest.raises(mg.ConfigError, match=r"needs wandb, .*: pip install wandb"):
        mg.train(TASK, out=tmp_path / "run", steps=10, tracker="wandb", **SMALL)
    assert not list(tmp_path.iterdir())


def test_event_files_of_tensorboard(tmp_path):
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    run = mg.train(TASK, out=tmp_path / "run", steps=10, tracker="tensorboard", **SMALL)
    events = reader.EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    told = [(event.step, event.value) for event in events.Scalars("loss_train")]
    assert told == [(row["step"], pytest.approx(row["loss_train"], rel=1e-6)) for row in run.history]
