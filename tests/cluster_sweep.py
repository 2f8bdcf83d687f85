"""A sweep on a cluster of two local workers, as a script: cluster_sweep.py BACKEND FOLDER STEPS [kill].

With "kill", the first worker that trains is killed while it does so.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mechgrok as mg


def settings(steps: int) -> list[mg.Setting]:
    """Twelve members, of which six make a stack."""
    return mg.vary(
        task=mg.modular_task("add", 7),
        d_model=16,
        n_heads=2,
        steps=steps,
        eval_every=5,
        checkpoint_every=10,
        stop_when_settled=False,
        fraction=0.6,
        lr=[3e-3, 1e-2],
        weight_decay=[0.1, 1.0],
        seed=range(3),
    )


@contextmanager
def dask_cluster() -> Iterator[Callable[[], list[int]]]:
    """A Dask cluster; gives the processes of its workers."""
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield lambda: list(client.run(os.getpid).values())


@contextmanager
def ray_cluster() -> Iterator[Callable[[], list[int]]]:
    """A Ray cluster; gives the processes of its workers that train."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield _training_processes
    ray.shutdown()


def _training_processes() -> list[int]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            trains = file.read_bytes().startswith(b"ray::") and b"_train_group" in file.read_bytes()
        except OSError:
            continue
        if trains and os.getpid() in _ancestors(int(file.parent.name)):
            found.append(int(file.parent.name))
    return found


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return
        yield pid


def kill_one(folder: Path, processes: Callable[[], list[int]]) -> None:
    """Wait until something is trained, and kill one of those that may be doing it."""
    while not any(file.stat().st_size > 2000 for file in folder.glob("*/history.jsonl")):
        time.sleep(0.02)
    victim = processes()[0]
    os.kill(victim, signal.SIGKILL)
    sys.stdout.write(f"killed {victim}\n")


if __name__ == "__main__":
    backend, out, steps = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    with {"dask": dask_cluster, "ray": ray_cluster}[backend]() as workers:
        if "kill" in sys.argv:
            threading.Thread(target=kill_one, args=(out, workers), daemon=True).start()
        found = mg.sweep(settings(steps), out=out, backend=backend, stacked=True, progress=False)
    sys.stdout.write(f"{found} {[row.error for row in found.failed]}\n")
    sys.exit(len(found.failed))
