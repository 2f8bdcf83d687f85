"""A run that somebody trains already."""

import subprocess
import sys

import pytest

import mechgrok as mg

TASK = mg.modular_task("add", 5)
SHORT = {"model": mg.ModelConfig(d_model=16), "steps": 4, "progress": False}
ANOTHER_PROCESS = """
import sys
import mechgrok as mg
try:
    mg.resume(mg.load_run(sys.argv[1]), progress=False)
except mg.CheckpointError as error:
    print(error)
"""

pytest.importorskip("fcntl", reason="this system has no locks on files")


def test_a_run_that_is_trained_is_trained_by_nobody_else(tmp_path):
    said = []

    def train_it_too(step, model):
        if step == 0:
            command = [sys.executable, "-c", ANOTHER_PROCESS, str(tmp_path)]
            said.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            with pytest.raises(mg.CheckpointError, match="another process trains"):
                mg.train(TASK, out=tmp_path, **SHORT)

    run = mg.train(TASK, out=tmp_path, callback=train_it_too, **SHORT)
    assert f"another process trains the run in {tmp_path} right now" in said[0]
    assert [row["step"] for row in run.history] == [0, 4]
    assert mg.train(TASK, out=tmp_path, **SHORT | {"steps": 6}).steps[-1] == 6


def test_a_batch_trains_its_members_alone(tmp_path):
    def train_it_too(step, model):
        if step > 0:
            return
        members = mg.train_many(TASK, seeds=(0, 1), out=tmp_path, batched=True, **SHORT)
        assert [member.error is None for member in members] == [False, True]

    mg.train(TASK, seed=0, out=tmp_path / "fast-seed0", callback=train_it_too, **SHORT)
    assert mg.load_run(tmp_path / "fast-seed0").steps[-1] == 4
