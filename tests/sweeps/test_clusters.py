"""Sweeps on real clusters of two local workers: the same table, and a worker or a driver that dies loses nothing."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from cluster_sweep import settings

import mechgrok as mg
from mechgrok.sweeps.sweep import load_sweep, sweep
from mechgrok.training import engines

SCRIPT = Path(__file__).parents[1] / "cluster_sweep.py"
ENGINES = [
    pytest.param(
        backend,
        marks=[
            pytest.mark.slow,  # a cluster takes seconds to begin
            pytest.mark.skipif(
                find_spec(library) is None, reason=f"{library} is not installed: the extra {backend}"
            ),
        ],
    )
    for backend, (library, _) in engines.ENGINES.items()
]


def _begin(*arguments):
    environment = os.environ | {"PYTHONPATH": str(Path(mg.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def _end(process):
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what is left of the cluster
    if process.stdout is not None and not process.stdout.closed:
        process.communicate(timeout=60)


@pytest.mark.parametrize("backend", ENGINES)
def test_the_table_is_that_of_this_machine(backend, tmp_path):
    process = _begin(backend, tmp_path / "cluster", 20)
    try:
        printed, _ = process.communicate(timeout=240)
    finally:
        _end(process)
    assert process.returncode == 0, printed
    here = sweep(settings(20), out=tmp_path / "here", stacked=True, workers=2, progress=False)
    there = load_sweep(tmp_path / "cluster")
    assert [row.settings for row in there.rows] == [row.settings for row in here.rows]
    for row, expected in zip(there.rows, here.rows, strict=True):
        assert row.outcome == {
            name: pytest.approx(value, rel=1e-4) if isinstance(value, float) else value
            for name, value in expected.outcome.items()
        }


@pytest.mark.parametrize("backend", ENGINES)
def test_a_worker_that_is_killed_loses_no_result(backend, tmp_path):
    process = _begin(backend, tmp_path, 3000, "kill")
    try:
        printed, _ = process.communicate(timeout=280)
    finally:
        _end(process)
    assert "killed" in printed
    assert process.returncode == 0, printed
    found = load_sweep(tmp_path)
    assert [(row.error, row.outcome["last_step"]) for row in found.rows] == [(None, 3000)] * 12


@pytest.mark.parametrize("backend", ENGINES)
def test_a_driver_that_is_killed_is_started_again(backend, tmp_path):
    first = _begin(backend, tmp_path, 3000)
    try:
        deadline = time.monotonic() + 200
        while not list(tmp_path.glob("*/history.jsonl")) and first.poll() is None:
            assert time.monotonic() < deadline, "nothing was trained"
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
    finally:
        _end(first)
    finished = {row: row.stat().st_mtime_ns for row in tmp_path.glob("*/row.json")}
    second = _begin(backend, tmp_path, 3000)
    try:
        printed, _ = second.communicate(timeout=280)
    finally:
        _end(second)
    assert second.returncode == 0, printed
    assert {row: row.stat().st_mtime_ns for row in finished} == finished, "a finished member was repeated"
    assert [row.outcome["last_step"] for row in load_sweep(tmp_path).rows] == [3000] * 12


def test_what_is_no_backend(tmp_path):
    with pytest.raises(mg.ConfigError, match="sweep takes backend, 'dask' or 'ray', or None; got 'dusk'"):
        sweep(settings(20), out=tmp_path / "s", progress=False, backend="dusk")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("backend", engines.ENGINES)
def test_an_engine_that_is_not_installed(backend, tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(engines, "import_module", missing)
    with pytest.raises(mg.ConfigError, match=rf'pip install "mechgrok\[{backend}\]"'):
        sweep(settings(20), out=tmp_path / "s", backend=backend, progress=False)
    assert not (tmp_path / "s").exists()


def test_a_cluster_has_its_own_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "import_module", lambda name: None)
    with pytest.raises(mg.ConfigError, match="leave out workers=3 or backend"):
        sweep(settings(20), out=tmp_path / "s", backend="ray", workers=3, progress=False)
