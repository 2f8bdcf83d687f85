"""Many runs at once: the same runs as one by one, and isolated failures."""

import inspect
import threading

import pytest
import torch

import mechgrok as mg
from mechgrok.training import processes
from mechgrok.training.many import train_many

TASK = mg.modular_task("add", 7)
SMALL = {"model": mg.ModelConfig(d_model=16, n_heads=2), "steps": 20, "fraction": 0.6}


def test_members_are_the_runs_of_their_own(tmp_path):
    members = train_many(TASK, seeds=(0, 3), out=tmp_path, workers=2, progress=False, **SMALL)
    assert [member.name for member in members] == ["fast-seed0", "fast-seed3"]
    alone = mg.train(TASK, seed=3, progress=False, **SMALL)
    for name, weight in alone.model().named_parameters():
        assert torch.equal(weight, members[1].run.model().get_parameter(name))
    assert members[1].error is None


def test_a_function_that_cannot_be_sent_to_a_process_is_refused_before_anything_is_made(tmp_path):
    lock = threading.Lock()
    with pytest.raises(mg.ConfigError, match=r"cannot be sent to the processes.*lock.*Make that inside"):
        train_many(TASK, out=tmp_path / "many", network=lambda task: lock and None, progress=False)
    assert not (tmp_path / "many").exists()


def test_a_failure_is_reported_and_the_others_are_kept(tmp_path):
    (tmp_path / "fast-seed1").mkdir()
    (tmp_path / "fast-seed1" / "notes.txt").write_text("in the way")
    failed, fine = train_many(TASK, seeds=(1, 2), out=tmp_path, workers=2, progress=False, **SMALL)
    assert failed.run is None
    assert "is not empty and holds no run" in failed.error
    assert fine.run.steps[-1] == 20


def test_errors_before_anything_runs(tmp_path):
    unchecked = inspect.unwrap(train_many)
    with pytest.raises(mg.ConfigError, match="or a list of these; got dict"):
        unchecked(TASK, {"a": mg.RECIPES["fast"]}, out=tmp_path)
    with pytest.raises(
        mg.ConfigError, match=r'recipes need different names .*config.replace\(recipe="..."\)'
    ):
        train_many(TASK, ["fast", "fast"], out=tmp_path)
    with pytest.raises(mg.ConfigError, match="nothing to train"):
        train_many(TASK, seeds=(), out=tmp_path)
    with pytest.raises(mg.ConfigError, match=r"each seed is trained once, .* got \[1, 2, 1\]"):
        train_many(TASK, seeds=(1, 2, 1), out=tmp_path)
    with pytest.raises(mg.ConfigError, match="unknown recipe"):
        train_many(TASK, "slow", out=tmp_path)
    with pytest.raises(mg.ConfigError, match=r"seeds are given as several, .* or seeds=\[3\]; got 3"):
        unchecked(TASK, seeds=3, out=tmp_path)
    with pytest.raises(mg.ConfigError, match="a seed is a whole number from 0 to 4294967295, got"):
        train_many(TASK, seeds=(0, 2**70), out=tmp_path)
    with pytest.raises(mg.ConfigError, match=r"train_many needs a task, .*; got 'add'"):
        unchecked("add", out=tmp_path)
    with pytest.raises(mg.ConfigError, match=r"recipe: .*names the folders of its runs.*, got '\.\./x'"):
        train_many(TASK, recipe="../x", out=tmp_path / "inner")
    assert not list(tmp_path.iterdir())


def test_threads_of_the_caller_stay_as_they_were(tmp_path):
    torch.set_num_threads(2)
    train_many(TASK, seeds=(0,), out=tmp_path, workers=1, progress=False, **SMALL)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("workers", [0, -2, 1.5, "two", True])
def test_workers_are_a_number_of_processes(workers, tmp_path):
    with pytest.raises(
        mg.ConfigError,
        match=r"workers(, a whole number, or None| is a number of processes from 1 on, or None)",
    ):
        mg.train_many(mg.modular_task("add", 5), seeds=[0], out=tmp_path, workers=workers, progress=False)


def test_no_more_processes_are_started_than_there_are_trainings(monkeypatch, tmp_path):
    asked = []

    class Counting(processes.Parallel):
        def __init__(self, n_jobs, **options):
            asked.append(n_jobs)
            super().__init__(1, **options)

    monkeypatch.setattr(processes, "Parallel", Counting)
    small = mg.ModelConfig(d_model=8, n_heads=2)
    task = mg.modular_task("add", 5)
    mg.train_many(task, seeds=[0, 1], out=tmp_path, workers=64, progress=False, steps=1, model=small)
    assert asked == [2]
