"""Runs in processes: a killed one fails alone, and Ctrl-C saves those in progress."""

import os
import signal
import subprocess
import sys
import time

import pytest
from workers import VICTIM, killed_always, killed_once

import mechgrok as mg
from mechgrok.runs import load_run
from mechgrok.training import processes
from mechgrok.training.many import train_many

TASK = mg.modular_task("add", 7)
SMALL = {"model": mg.ModelConfig(d_model=16, n_heads=2), "steps": 20, "fraction": 0.6}


@pytest.mark.slow  # three pools of processes, one after the other
def test_a_killed_process_fails_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_train_group", killed_always)
    members = train_many(TASK, seeds=(0, VICTIM, 2), out=tmp_path, workers=2, progress=False, **SMALL)
    assert [member.error for member in members] == [None, processes.KILLED, None]
    assert [member.run and member.run.steps[-1] for member in members] == [20, None, 20]


@pytest.mark.slow
def test_what_is_killed_once_is_trained_again(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_train_group", killed_once)
    members = train_many(TASK, seeds=(0, VICTIM, 2), out=tmp_path, workers=2, progress=False, **SMALL)
    assert (tmp_path / "killed").exists()
    assert [member.run.steps[-1] for member in members] == [20, 20, 20]


TRAINING = """
import sys
import mechgrok as mg
from mechgrok.training.many import train_many
train_many(mg.modular_task("add", 7), seeds=(0, 1, 2, 3), out=sys.argv[1], workers=int(sys.argv[2]), progress=False,
           model=mg.ModelConfig(d_model=16, n_heads=2), steps=10**6, checkpoint_every=10**6, stop_when_settled=False)
"""


def wait_for(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.slow  # a process that starts processes
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_saves_what_is_under_way_and_begins_nothing_else(workers, tmp_path):
    out = tmp_path / "many"
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(out), str(workers)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    histories = [out / f"fast-seed{seed}" / "history.jsonl" for seed in range(workers)]
    wait_for(lambda: all(file.exists() and file.read_text().count("\n") > 3 for file in histories))
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does it
    _, printed = process.communicate(timeout=120)
    last = printed.strip().splitlines()[-1]
    assert last.startswith("KeyboardInterrupt: stopped, with 0 of 4 trainings at their end;"), printed
    assert last.endswith(f"the same call goes on from {out}")
    assert sorted(folder.name for folder in out.iterdir()) == [f"fast-seed{seed}" for seed in range(workers)]
    for seed in range(workers):
        step, _ = load_run(out / f"fast-seed{seed}").read_state()
        assert step > 20
