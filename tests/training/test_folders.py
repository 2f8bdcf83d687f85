"""The folder of a run: created, found again, refused."""

import os
import shutil

import pytest
import torch

import mechgrok as mg
from mechgrok import storage
from mechgrok.config import RunConfig
from mechgrok.training.folders import Plan, check_room, create_run, find_run

TASK = mg.modular_task("add", 7)
SPLIT = TASK.split(0.5, seed=3)
CONFIG = RunConfig(task=TASK.spec, train=mg.TrainConfig(model=mg.ModelConfig(d_model=8)), seed=3)
PLAN = Plan(CONFIG, SPLIT)


def test_a_temporary_run_goes_with_its_object():
    run = create_run(None, PLAN)
    path = run.path
    assert run.temporary
    assert path.is_dir()
    del run
    assert not path.exists()


def test_the_same_run_is_found_and_another_one_refused(tmp_path):
    assert find_run(None, PLAN) is None
    assert find_run(tmp_path / "run", PLAN) is None
    run = create_run(tmp_path / "run", PLAN)
    found = find_run(run.path, PLAN)
    assert found is not None
    assert found.config == CONFIG
    other = CONFIG.replace(train=CONFIG.train.replace(lr=0.5))
    with pytest.raises(mg.ConfigError, match=r"another configuration \(lr is 0.001 there and 0.5 here\)"):
        find_run(run.path, Plan(other, SPLIT))
    with pytest.raises(mg.ConfigError, match="another split"):
        find_run(run.path, Plan(CONFIG, TASK.split(0.5, seed=4)))


def test_a_found_run_has_the_steps_of_whichever_is_longer_and_nothing_is_written(tmp_path):
    run = create_run(tmp_path / "run", PLAN)
    for steps, expected in ((20_000, 20_000), (5, 10_000)):
        asked = CONFIG.replace(train=CONFIG.train.replace(steps=steps))
        found = find_run(run.path, Plan(asked, SPLIT))
        assert found is not None
        assert found.config.train.steps == expected
    assert mg.load_run(run.path).config == CONFIG


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(mg.ConfigError, match="is not empty and holds no run"):
        find_run(tmp_path, PLAN)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(mg.CheckpointError, match=r"cannot write .*(it is a file|Not a directory)"):
        create_run(tmp_path / "file" / "run", PLAN)


def test_a_start_that_was_cut_off_can_be_made_again(tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mechgrok.runs.folder.write_json", stop)
        with pytest.raises(KeyboardInterrupt):
            create_run(tmp_path / "run", PLAN)
    assert find_run(tmp_path / "run", PLAN) is None
    assert create_run(tmp_path / "run", PLAN).config == CONFIG


def test_a_full_disk_is_refused_where_nothing_is_yet(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 5 * 2**20})
    monkeypatch.setattr("mechgrok.training.folders.shutil.disk_usage", lambda path: usage)
    check_room(tmp_path / "a" / "run", 5 * 2**20)
    with pytest.raises(
        mg.CheckpointError, match=r"only 5 MiB are free at .*, and the training may need 6 MiB"
    ):
        check_room(tmp_path / "a" / "run", 6 * 2**20)
    with pytest.raises(mg.CheckpointError, match="only 5 MiB are free"):
        check_room(None, 6 * 2**20)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("moment", range(6))
def test_a_start_that_was_killed_is_gone_on_with_by_the_same_call(tmp_path, moment):
    """Before each flush and each rename of the split and of the configuration, and after all."""
    options = {"model": mg.ModelConfig(d_model=8), "steps": 3, "seed": 3, "progress": False}
    source, seen = tmp_path / "whole", []

    def copied(write):
        def copy_and_write(*arguments):
            shutil.copytree(source, tmp_path / f"copy{len(seen)}")
            seen.append(write)
            return write(*arguments)

        return copy_and_write

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "replace"):
            patch.setattr(storage.os, name, copied(getattr(os, name)))
        whole = mg.train(TASK, out=source, **options)
    killed = tmp_path / f"copy{moment}"
    (killed / ".tmpA1b2C3").touch()
    again = mg.train(TASK, out=killed, **options)
    assert again.history == whole.history
    assert {file.name for file in killed.iterdir()} == {file.name for file in source.iterdir()}


def test_another_default_precision_of_torch_is_refused(tmp_path):
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(
            mg.ConfigError, match=r"trained in float32, and torch's default is torch\.float64"
        ):
            mg.train(TASK, out=tmp_path / "run", steps=3, progress=False)
        (member,) = mg.train_many(
            TASK, seeds=[0], out=tmp_path / "many", steps=3, batched=True, progress=False
        )
        assert "trained in float32" in member.error
    finally:
        torch.set_default_dtype(torch.float32)
    assert not (tmp_path / "run").exists()
