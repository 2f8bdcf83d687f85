"""kill -9 at arbitrary moments: the run resumes, bit for bit, and no half-written file remains."""

import multiprocessing
import random
import time

import pytest
import torch
from workers import in_threads

import mechgrok as mg
from mechgrok.runs import load_run
from mechgrok.training.stopping import finished

pytestmark = pytest.mark.bits
# Large enough for sums to be divided among threads, so that one thread rounds otherwise than two.
TASK = mg.modular_task("add", 37)
OPTIONS = {
    "model": mg.ModelConfig(d_model=64, n_heads=2),
    "steps": 160,
    "fraction": 0.6,
    "lr": 1e-2,
    "checkpoint_every": 10,
    "eval_every": 5,
    "stop_when_settled": False,
    "progress": False,
}
KILLS = 3
THREADS = (1, 2)


@pytest.fixture(scope="module")
def processes():
    """Processes that have imported everything before they begin."""
    context = multiprocessing.get_context("forkserver")
    # Optimisers import the second one when they are made.
    context.set_forkserver_preload(["mechgrok.training.trainer", "torch._dynamo", "workers"])
    return context


@pytest.fixture(scope="module", params=THREADS, ids=lambda threads: f"begun in {threads}")
def whole(request, processes, tmp_path_factory):
    """A run that nobody disturbs."""
    path = tmp_path_factory.mktemp("whole") / "run"
    process = begun(processes, path, request.param)
    process.join(120)
    assert process.exitcode == 0
    return load_run(path)


def begun(processes, path, threads):
    """A process that begins the run of a folder, or goes on with it; returns once there is a run."""
    if (path / "config.json").exists():
        call, arguments, options = mg.resume, (load_run(path),), {"progress": False}
    else:
        call, arguments, options = mg.train, (TASK,), {"out": path, **OPTIONS}
    process = processes.Process(target=in_threads, args=(threads, call, *arguments), kwargs=options)
    process.start()
    while not (path / "config.json").exists():
        assert process.is_alive()
        time.sleep(0.001)
    return process


def rows(path):
    """How many rows the history has so far."""
    history = path / "history.jsonl"
    return history.read_bytes().count(b"\n") if history.exists() else 0


def killed(process, path, more_rows, delay):
    """Kill a process once it has written so many more rows, and some time later; whether that was in time."""
    enough = rows(path) + more_rows
    while process.is_alive() and rows(path) < enough:
        time.sleep(0.0005)
    process.join(delay)
    process.kill()
    process.join()
    return process.exitcode != 0


def weights(run, step):
    return dict(run.model(step).named_parameters())


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 6))])
def test_a_run_that_was_killed_again_and_again_becomes_the_undisturbed_one(seed, processes, whole, tmp_path):
    expected, path, moments, kills = whole, tmp_path / "run", random.Random(seed), []
    most_rows = len(expected.history) // KILLS
    for _ in range(KILLS):
        # What goes on does so in the threads that the run was begun with, whatever the process has.
        threads = moments.choice(THREADS) if (path / "config.json").exists() else expected.config.threads
        process = begun(processes, path, threads)
        if killed(process, path, moments.randrange(most_rows), moments.uniform(0, 0.03)):
            left = [file.name for file in path.rglob(".*")]
            kills.append(f"checkpoints {load_run(path).steps[-1:]}, {rows(path)} rows, left {left}")
    assert kills, "every process came to its end first"
    over = finished(load_run(path))
    run = mg.resume(load_run(path), progress=False)
    assert run.history == expected.history, kills
    assert run.steps == expected.steps, kills
    for step in run.steps:
        other = weights(expected, step)
        assert all(torch.equal(weight, other[name]) for name, weight in weights(run, step).items()), kills
    assert over or not list(path.rglob(".*")), kills


def test_one_thread_rounds_otherwise_than_two(processes, tmp_path):
    """What the number of threads decides, and the tests above so put to the test."""
    runs = []
    for threads in THREADS:
        process = begun(processes, tmp_path / str(threads), threads)
        process.join(120)
        runs.append(load_run(tmp_path / str(threads)))
    assert runs[0].steps == runs[1].steps
    first, second = (torch.nn.utils.parameters_to_vector(run.model(10).parameters()) for run in runs)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-3)
