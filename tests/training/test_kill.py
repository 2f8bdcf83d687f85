"""kill -9 at moments that nobody has chosen: the run goes on, bit for bit, and no half-written file stays."""

import multiprocessing
import random
import time

import pytest
import torch

import mechgrok as mg
from mechgrok.runs import load_run
from mechgrok.training.settling import finished

TASK = mg.modular_task("add", 7)
OPTIONS = {
    "model": mg.ModelConfig(d_model=16, n_heads=2),
    "steps": 200,
    "fraction": 0.6,
    "checkpoint_every": 10,
    "eval_every": 5,
    "stop_when_settled": False,
    "progress": False,
}
KILLS = 3


@pytest.fixture(scope="module")
def processes():
    """Processes that have imported everything before they begin."""
    context = multiprocessing.get_context("forkserver")
    # Optimisers import the second one when they are made.
    context.set_forkserver_preload(["mechgrok.training.trainer", "torch._dynamo"])
    return context


@pytest.fixture(scope="module")
def whole(processes, tmp_path_factory):
    """A run that nobody disturbs, and the seconds that it takes."""
    path = tmp_path_factory.mktemp("whole") / "run"
    process = begun(processes, path)
    start = time.monotonic()
    process.join(120)
    assert process.exitcode == 0
    return load_run(path), time.monotonic() - start


def begun(processes, path):
    """A process that begins the run of a folder, or goes on with it; returns once there is a run."""
    if (path / "config.json").exists():
        process = processes.Process(target=mg.resume, args=(load_run(path),), kwargs={"progress": False})
    else:
        process = processes.Process(target=mg.train, args=(TASK,), kwargs={"out": path, **OPTIONS})
    process.start()
    while not (path / "config.json").exists():
        assert process.is_alive()
        time.sleep(0.001)
    return process


def weights(run, step):
    return dict(run.model(step).named_parameters())


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_was_killed_again_and_again_becomes_the_undisturbed_one(seed, processes, whole, tmp_path):
    expected, seconds = whole
    path, moments, kills = tmp_path / "run", random.Random(seed), []
    for _ in range(KILLS):
        delay = moments.uniform(0, seconds / 2)
        process = begun(processes, path)
        process.join(delay)
        process.kill()
        process.join()
        if process.exitcode != 0:
            half_written = [file.name for file in path.rglob(".*")]
            kills.append(f"after {delay:.3f} s: checkpoints {load_run(path).steps[-1:]}, left {half_written}")
    assert kills, "every process came to its end first"
    over = finished(load_run(path))
    run = mg.resume(load_run(path), progress=False)
    assert run.history == expected.history, kills
    assert run.steps == expected.steps, kills
    for step in run.steps:
        other = weights(expected, step)
        assert all(torch.equal(weight, other[name]) for name, weight in weights(run, step).items()), kills
    assert over or not list(path.rglob(".*")), kills
