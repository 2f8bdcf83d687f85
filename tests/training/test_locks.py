"""A run that another process is already training."""

import subprocess
import sys

import pytest

import mechgrok as mg
from mechgrok.training.locks import only_here

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


BEGIN = """
import sys, time
import mechgrok as mg
task, options = mg.modular_task("add", 5), {"model": mg.ModelConfig(d_model=16), "steps": 300, "progress": False}
mg.train(task, steps=1, model=options["model"], progress=False)
print("ready", flush=True)
sys.stdin.readline()
try:
    mg.train(task, out=sys.argv[1], eval_every=1, stop_when_settled=False, **options)
    print("trained")
except mg.CheckpointError as error:
    print(error)
"""


@pytest.mark.slow
def test_of_two_processes_that_begin_the_same_folder_at_once_one_trains(tmp_path):
    commands = [[sys.executable, "-c", BEGIN, str(tmp_path / "run")]] * 2
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for command in commands]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = sorted(process.communicate()[0].strip() for process in processes)
    assert said[1] == "trained"
    assert f"another process trains the run in {tmp_path / 'run'} right now" in said[0]
    assert [row["step"] for row in mg.load_run(tmp_path / "run").history] == list(range(301))


def test_what_a_kill_left_in_a_finished_run_is_removed_unless_somebody_trains_it(tmp_path):
    run = mg.train(TASK, out=tmp_path, **SHORT)
    left = run.path / "checkpoints" / ".step_00000004.safetensors.0a1b2c3d"
    left.write_bytes(b"half")
    with only_here(run):
        mg.resume(run)
        assert left.exists()
    mg.resume(run)
    assert not left.exists()
    left.write_bytes(b"half")
    mg.train(TASK, out=tmp_path, **SHORT)
    assert not left.exists()


def test_a_file_in_the_way_is_called_one(tmp_path):
    (tmp_path / "run").write_text("precious")
    with pytest.raises(
        mg.CheckpointError, match=r"cannot write .*run: it is a file, and a run needs a folder"
    ):
        mg.train(TASK, out=tmp_path / "run", **SHORT)
    assert (tmp_path / "run").read_text() == "precious"
