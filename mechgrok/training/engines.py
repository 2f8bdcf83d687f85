"""Where groups of trainings run besides the processes of this machine: on the workers of a Dask or of a Ray cluster.

Both are used as they come: a group is a task, which the engine repeats where its worker dies, and which goes on from
the folders of its trainings. So the folders must be the same ones on all machines.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from mechgrok.errors import ConfigError

R = TypeVar("R")
Backend = Literal["dask", "ray"]
"""Engines by name."""
ENGINES: dict[Backend, tuple[str, str]] = {"dask": ("distributed", "dask"), "ray": ("ray", "ray")}
"""The library of each, and the extra that installs it."""
POLL = 1.0
"""Seconds after which Ctrl-C is looked for again."""
REPEATS = 3
"""How often Ray begins the task of a worker that dies again; Dask's `allowed-failures` is the same by default."""


@runtime_checkable
class Engine(Protocol):
    """A cluster.

    Attributes:
        workers: tasks that run at the same time.
    """

    workers: int

    def run(
        self, call: Callable[..., R], arguments: Sequence[tuple[Any, ...]], stopped: Callable[[], bool]
    ) -> Iterator[R]:
        """Results of call(*arguments) as they come, without those whose worker died every time.

        Once it is stopped, tasks that have not begun are taken back.
        """
        ...


def check_engine(backend: Backend | None, workers: int | None) -> None:
    """Whether an engine is there, and nothing is asked of it that it decides itself.

    Raises:
        ConfigError: an engine that is not installed, or a number of workers for a cluster.
    """
    if backend is None:
        return
    _library(*ENGINES[backend])
    if workers is not None:
        raise ConfigError(f"a cluster has its own number of workers; leave out workers={workers} or backend")


@contextmanager
def engine_of(backend: Backend) -> Iterator[Engine]:
    """The cluster that this process is connected with, or that the engine finds, or a new one on this machine.

    Raises:
        ConfigError: the engine is not installed.
    """
    with {"dask": _dask, "ray": _ray}[backend]() as engine:
        yield engine


@contextmanager
def _dask() -> Iterator["_Dask"]:
    distributed = _library(*ENGINES["dask"])
    with suppress(ValueError):  # there is no client yet
        found = distributed.get_client()
        yield _Dask(distributed, found)
        return
    # The scheduler of DASK_SCHEDULER_ADDRESS, or processes of one thread on this machine.
    address = import_module("dask").config.get("scheduler-address", None)
    local = {} if address else {"threads_per_worker": 1, "dashboard_address": None}
    with distributed.Client(address, **local) as client:
        yield _Dask(distributed, client)


class _Dask:
    def __init__(self, distributed: Any, client: Any) -> None:
        self.distributed, self.client = distributed, client
        self.workers = max(sum(client.nthreads().values()), 1)

    def run(
        self, call: Callable[..., R], arguments: Sequence[tuple[Any, ...]], stopped: Callable[[], bool]
    ) -> Iterator[R]:
        waiting = {self.client.submit(call, *given, pure=False) for given in arguments}
        try:
            while waiting and not stopped():
                with suppress(TimeoutError):
                    self.distributed.wait(waiting, timeout=POLL, return_when="FIRST_COMPLETED")
                ended = {future for future in waiting if future.done()}
                waiting -= ended
                for future in ended:
                    with suppress(self.distributed.KilledWorker):
                        yield future.result()
        finally:
            self.client.cancel(list(waiting))


@contextmanager
def _ray() -> Iterator["_Ray"]:
    ray = _library(*ENGINES["ray"])
    begun = not ray.is_initialized()
    if begun:  # the cluster of RAY_ADDRESS, or one that was started on this machine, or a new one
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        yield _Ray(ray)
    finally:
        if begun:
            ray.shutdown()


class _Ray:
    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self.workers = max(int(ray.cluster_resources().get("CPU", 1)), 1)

    def run(
        self, call: Callable[..., R], arguments: Sequence[tuple[Any, ...]], stopped: Callable[[], bool]
    ) -> Iterator[R]:
        died = self.ray.exceptions
        task = self.ray.remote(num_cpus=1, max_retries=REPEATS)(call)
        waiting = [task.remote(*given) for given in arguments]
        try:
            while waiting and not stopped():
                ended, waiting = self.ray.wait(waiting, timeout=POLL)
                for reference in ended:
                    with suppress(died.WorkerCrashedError, died.NodeDiedError, died.OutOfMemoryError):
                        yield self.ray.get(reference)
        finally:
            for reference in waiting:
                self.ray.cancel(reference)  # what has begun takes it for Ctrl-C, and is saved


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ConfigError(
            f'backend={extra!r} needs {name}, which is not installed: pip install "mechgrok[{extra}]"'
        ) from None
