"""Sweeps: the settings that vary, the runs that are or are not repeated, and the table."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import mechgrok as mg
from mechgrok.sweeps.members import row_of
from mechgrok.sweeps.settings import log_grid, log_uniform, vary
from mechgrok.sweeps.sweep import load_sweep, sweep
from mechgrok.sweeps.table import write_row, write_sweep_table
from mechgrok.training.groups import in_groups

TASK = mg.modular_task("add", 7)
SMALL = {
    "task": TASK,
    "d_model": 16,
    "n_heads": 2,
    "steps": 20,
    "eval_every": 5,
    "checkpoint_every": 10,
    "fraction": 0.6,
}


def test_every_combination_of_what_is_listed():
    runs = vary(**SMALL, lr=[1e-3, 1e-2], betas=(0.9, 0.9), d_mlp=range(8, 24, 8), seed=(0, 4))
    assert [(s.config.lr, s.config.model.d_mlp, s.seed) for s in runs] == [
        (lr, d_mlp, seed) for lr in (1e-3, 1e-2) for d_mlp in (8, 16) for seed in (0, 4)
    ]
    assert {s.config.betas for s in runs} == {(0.9, 0.9)}
    assert len({s.digest for s in runs}) == 8
    assert runs[0].varied == {"lr": 1e-3, "d_mlp": 8, "seed": 0}


def test_points_are_combined_with_the_rest():
    runs = vary(**SMALL, points=log_uniform(3, lr=(1e-3, 1e-1), weight_decay=(0.1, 1.0)), seed=range(2))
    assert len(runs) == 6
    assert [r.seed for r in runs] == [0, 1] * 3
    assert runs[0].config.lr == runs[1].config.lr != runs[2].config.lr
    assert log_uniform(2, lr=(1e-3, 1e-1)) == log_uniform(3, lr=(1e-3, 1e-1))[:2]
    assert log_grid(1, 100, 3) == [1, 10, 100]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lr": []}, "one or several values of lr"),
        ({"lr": [1e-2, 1e-2]}, "each value of lr is tried once"),
        ({"lr": -1.0}, "lr: .* greater than 0"),
        ({"learning_rate": [1, 2]}, "unknown field 'learning_rate'"),
        ({"d_modell": [1, 2]}, "did you mean d_model"),
        ({"seed": [0, "a"]}, "vary takes .*seed"),
        ({"seed": -1}, "a seed is a whole number"),
        ({"recipe": "fats"}, "did you mean fast"),
        ({"points": [{"seed": 3}]}, "seed is an argument of its own"),
        ({"points": []}, "nothing to train"),
        ({"points": [{"lr": 1.0}, {"lr": 1.0}]}, "there twice"),
    ],
)
def test_what_cannot_be_varied(options, text):
    with pytest.raises(mg.ConfigError, match=text):
        vary(**{**SMALL, **options})


def _table(found):
    return [row.record() for row in found.rows]


def _sorted(found):
    return sorted(_table(found), key=lambda record: record["folder"])


def test_a_sweep_trains_what_is_new_and_nothing_twice(tmp_path):
    few = vary(**SMALL, lr=[1e-3, 1e-2])
    first = sweep(few, out=tmp_path / "s", measures=["gini_W_E"], progress=False)
    assert [row.settings["lr"] for row in first.rows] == [1e-3, 1e-2]
    assert all(row.error is None and row.outcome["last_step"] == 20 for row in first.rows)
    alone = mg.train(TASK, few[1].config, seed=0, progress=False)
    for name, value in alone.history[-1].items():
        assert first.rows[1].outcome["last_step" if name == "step" else name] == pytest.approx(
            value, rel=1e-4
        )
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "s").rglob("*.safetensors")}
    more = sweep(
        vary(**SMALL, lr=[1e-3, 1e-2], seed=[0, 1]), out=tmp_path / "s", measures=["gini_W_E"], progress=False
    )
    assert len(more.rows) == 4
    assert more.varied == ("seed", "lr")
    assert [row.outcome for row in more.rows][::2] == [row.outcome for row in first.rows]
    assert all(file.stat().st_mtime_ns == at for file, at in written.items())
    assert _sorted(load_sweep(tmp_path / "s")) == _sorted(more)
    assert more.run(lr=1e-2, seed=1).config.seed == 1


def test_what_is_kept(tmp_path):
    runs = vary(**SMALL, lr=[1e-3])
    for keep, steps in (("all", (0, 10, 20)), ("last", (20,)), ("none", ())):
        found = sweep(runs, out=tmp_path / keep, keep=keep, progress=False)
        assert found.members[0].run.steps == steps
        assert [row["step"] for row in found.members[0].run.history] == [0, 5, 10, 15, 20]
    assert sweep(runs, out=tmp_path / "all", keep="last", progress=False).members[0].run.steps == (20,)


def test_a_lost_table_is_made_from_the_folders(tmp_path):
    runs = vary(**SMALL, lr=[1e-3, 1e-2])
    found = sweep(runs, out=tmp_path, progress=False)
    (tmp_path / "table.parquet").unlink()
    assert _sorted(load_sweep(tmp_path)) == _sorted(found)
    (tmp_path / "table.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(mg.CheckpointError, match=r"is damaged, or not the table of a sweep.*Delete it"):
        load_sweep(tmp_path)


def test_a_member_that_fails_is_tried_again_and_reported(tmp_path):
    runs = vary(**SMALL, lr=[1e-3, 1e30], optimizer="sgd", warmup=0)
    found = sweep(runs, out=tmp_path, progress=False)
    assert [row.error is None for row in found.rows] == [True, False]
    assert "diverged" in found.failed[0].error
    assert _table(load_sweep(tmp_path)) == _table(found)
    blocked = vary(**SMALL, lr=[5e-3])[0]
    (tmp_path / blocked.folder).mkdir()
    (tmp_path / blocked.folder / "thesis.txt").write_text("mine")
    found = sweep([blocked], out=tmp_path, progress=False)
    assert "is not empty and holds no run" in found.rows[0].error
    assert (tmp_path / blocked.folder / "thesis.txt").exists()
    shutil.rmtree(tmp_path / blocked.folder)
    assert sweep([blocked], out=tmp_path, progress=False).rows[0].error is None


def test_a_damaged_row_is_made_again(tmp_path):
    runs = vary(**SMALL, lr=[1e-3])
    found = sweep(runs, out=tmp_path, progress=False, keep="all")
    (tmp_path / "table.parquet").unlink()
    row = tmp_path / found.rows[0].folder / "row.json"
    text = row.read_text()
    row.write_text(text[: len(text) // 2])
    again = sweep(runs, out=tmp_path, progress=False, keep="all")
    assert _table(again) == _table(found)
    assert json.loads(row.read_text())["digest"] == runs[0].digest


def _many():
    return vary(**SMALL, lr=[3e-3, 1e-2], weight_decay=[0.1, 1.0], seed=range(3))


@pytest.fixture(scope="module")
def stacked(tmp_path_factory):
    """Twelve members, and the groups that they were trained in."""
    groups = []

    def noted(*given):
        found = in_groups(*given)
        groups.extend(found.groups)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mechgrok.sweeps.sweep.in_groups", noted)
        found = sweep(
            _many(), out=tmp_path_factory.mktemp("stacked"), stacked=True, workers=2, progress=False
        )
    return found, groups


def test_members_of_a_stack_are_what_they_are_alone(stacked):
    found, groups = stacked
    assert [len(group) for group in groups] == [6, 6]
    assert all(row.error is None for row in found.rows)
    for row, setting in zip(found.rows, _many(), strict=True):
        alone = mg.train(TASK, setting.config, seed=setting.seed, progress=False).history
        for name in ("loss_train", "loss_test", "sum_squared_weights"):
            assert row.outcome[name] == pytest.approx(alone[-1][name], rel=1e-4), (row.folder, name)


@pytest.mark.parametrize("killed", ["driver", pytest.param("worker", marks=pytest.mark.slow)])
def test_a_sweep_that_was_killed_goes_on(killed, stacked, tmp_path):
    script = f"""
import mechgrok as mg
from mechgrok.sweeps.members import row_of
from mechgrok.sweeps.settings import vary
from mechgrok.sweeps.sweep import sweep
task = mg.modular_task("add", 7)
runs = vary(task=task, d_model=16, n_heads=2, steps=20, eval_every=5, checkpoint_every=10, fraction=0.6,
            lr=[3e-3, 1e-2], weight_decay=[0.1, 1.0], seed=range(3))
sweep(runs, out={str(tmp_path)!r}, workers=2, progress=False)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(mg.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, start_new_session=True)
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("*/row.json")) and process.poll() is None:
        assert time.monotonic() < deadline, "nothing was trained"
        time.sleep(0.02)
    victim = process.pid if killed == "driver" else _a_worker_of(process.pid)
    if victim is not None:
        os.kill(victim, signal.SIGKILL)
    process.wait(240)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what is left of it
    finished = {row: row.stat().st_mtime_ns for row in tmp_path.glob("*/row.json")}
    assert finished
    again = sweep(_many(), out=tmp_path, workers=2, progress=False)
    assert {row: row.stat().st_mtime_ns for row in finished} == finished, "a finished member was repeated"
    for row, undisturbed in zip(again.rows, stacked[0].rows, strict=True):
        assert row.error is None
        assert row.settings == undisturbed.settings
        assert row.outcome == {
            name: pytest.approx(value, rel=1e-4) if isinstance(value, float) else value
            for name, value in undisturbed.outcome.items()
        }


def _a_worker_of(pid):
    """The id of a process that trains for another one; None if there is none left."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                command = (stat.parent / "cmdline").read_bytes()
                if b"loky" in command and b"resource_tracker" not in command:
                    return int(stat.parent.name)
    return None


def test_a_member_that_diverges_leaves_the_others_of_its_stack_alone(tmp_path):
    runs = vary(**SMALL, lr=[1e-3, 3e-3, 1e-2, 1e30], warmup=0)
    found = sweep(runs, out=tmp_path / "together", stacked=True, workers=1, progress=False)
    assert [row.error is None for row in found.rows] == [True, True, True, False]
    assert "diverged" in found.failed[0].error
    alone = sweep(runs[:3], out=tmp_path / "alone", stacked=False, workers=1, progress=False)
    for row, expected in zip(found.rows, alone.rows, strict=False):
        assert row.outcome["loss_test"] == pytest.approx(expected.outcome["loss_test"], rel=1e-4)


@pytest.mark.parametrize("full_for", ["table.parquet", "row.json", "step_00000020.safetensors"])
def test_a_full_disk_loses_nothing(full_for, tmp_path, monkeypatch):
    runs = vary(**SMALL, lr=[1e-3, 1e-2])
    replace = os.replace

    def full(source, target):
        if Path(target).name == full_for and (full_for == "table.parquet" or "lr=0.01_" in str(target)):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("mechgrok.storage.os.replace", full)
        if full_for == "table.parquet":
            with pytest.raises(mg.CheckpointError, match=r"cannot write .*table\.parquet.*No space left"):
                sweep(runs, out=tmp_path, workers=1, progress=False)
        else:
            found = sweep(runs, out=tmp_path, workers=1, progress=False)
            assert [row.error is None for row in found.rows] == [True, False]
            assert "No space left" in found.rows[1].error
    finished = {row: row.stat().st_mtime_ns for row in tmp_path.glob("*/row.json")}
    assert len(finished) == (2 if full_for == "table.parquet" else 1)
    assert not list(tmp_path.rglob("*.????????")), "something half-written is left"
    again = sweep(runs, out=tmp_path, workers=1, progress=False)
    assert [row.error for row in again.rows] == [None, None]
    assert {row: row.stat().st_mtime_ns for row in finished} == finished


def test_a_folder_of_another_training_is_refused_and_kept(tmp_path):
    ours, other = vary(**SMALL, lr=[1e-3, 1e-2])
    mg.train(TASK, other.config, seed=0, out=tmp_path / ours.folder, progress=False)
    before = (tmp_path / ours.folder / "history.jsonl").read_bytes()
    found = sweep([ours], out=tmp_path, workers=1, progress=False)
    assert "lr" in found.rows[0].error, "what differs is told"
    assert (tmp_path / ours.folder / "history.jsonl").read_bytes() == before


@pytest.mark.slow  # thousands of folders
def test_five_thousand_members_open_in_three_seconds(tmp_path, monkeypatch):
    settings = vary(**SMALL, points=log_uniform(1000, lr=(1e-4, 1e-1), weight_decay=(0.1, 1)), seed=range(5))
    history = mg.train(TASK, settings[0].config, progress=False).history[-1]
    how = {"last_step": 20, "kind": "grokking", "grokked": None, "grokked_for_good": 15, **history}
    monkeypatch.setattr("mechgrok.storage.os.fsync", lambda file: None)
    rows = [row_of(setting, tmp_path / setting.folder, how) for setting in settings]
    for row in rows:
        write_row(tmp_path / row.folder, row)
    begin = time.perf_counter()
    assert len(load_sweep(tmp_path).rows) == 5000, "without a table"
    without = time.perf_counter() - begin
    write_sweep_table(tmp_path / "table.parquet", rows)
    begin = time.perf_counter()
    found = load_sweep(tmp_path)
    frame = found.frame()
    seconds = time.perf_counter() - begin
    assert seconds < 3
    assert seconds < without
    assert len(frame) == 5000
    assert _table(found) == [row.record() for row in rows]
