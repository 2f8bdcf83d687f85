"""Many trainings at once: seeds and configurations, in processes of one thread each or as one batched network."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, cpu_count, delayed
from rich.console import Console
from rich.progress import Progress

from mechgrok.config import TrainConfig
from mechgrok.errors import ConfigError
from mechgrok.runs import Run, load_run
from mechgrok.tasks import Task, task_from_spec
from mechgrok.training.batched import Failures, train_batched, why_not_batched
from mechgrok.training.beginning import begin
from mechgrok.training.devices import find_device
from mechgrok.training.recipes import find_recipe
from mechgrok.training.trainer import train


@dataclass(frozen=True)
class Member:
    """One training of many.

    Attributes:
        name: name of its folder.
        run: the training; None if it failed.
        error: why it failed; None if it did not.
    """

    name: str
    run: Run | None
    error: str | None


@dataclass(frozen=True)
class Job:
    """What one member is to be."""

    config: TrainConfig
    seed: int
    path: Path


def train_many(
    task: Task,
    recipes: str | TrainConfig | Sequence[str | TrainConfig] = "fast",
    *,
    seeds: Iterable[int] = range(5),
    out: str | Path,
    workers: int | None = None,
    batched: bool | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
    **changes: Any,
) -> list[Member]:
    """Train every recipe with every seed, in parallel processes of one thread each or as one batched network.

    Small networks gain little from a second thread: two processes of one thread do more than one of two. They
    leave most of a GPU idle: there the seeds of a recipe are stacked, and trained as one network. Either way
    every member becomes what it would have become alone, bit for bit in a process, but for rounding in a batch.
    Members that are already finished in the folder are opened, interrupted ones go on. Under a
    `joblib.parallel_config` of the caller the same call runs on Dask or Ray.

    Args:
        recipes: one or several names or configurations.
        seeds: seeds of the initial weights and of the splits.
        out: folder; each member has the folder RECIPE-seedN in it.
        workers: processes; None takes one for each processor.
        batched: train the seeds of each recipe as one network; None does so on a GPU, where the recipe allows it and
            there are several seeds. On a CPU processes keep every processor busy, and can take steps written by hand.
        device: where to train, as in `train`.
        progress: show a progress bar on standard error: over the members, of a batch over its steps.
        changes: fields of `TrainConfig` to replace in every recipe.

    Returns:
        The members in the order of recipes and seeds; those that failed carry their error.

    Raises:
        ConfigError: two recipes of one name, no seed or one twice, a wrong option, a device that is not there; with
            `batched`, a recipe that cannot be batched, and why.
    """
    if isinstance(recipes, str | TrainConfig):
        recipes = [recipes]
    configs = [find_recipe(recipe).replace(**changes) for recipe in recipes]
    names = [config.recipe for config in configs]
    if len(set(names)) < len(names):
        raise ConfigError(f"recipes need different names for their folders; got {', '.join(names)}")
    seeds, device = list(seeds), find_device(device)
    if not (configs and seeds):
        raise ConfigError("nothing to train: give at least one recipe and one seed")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"each seed is trained once, in a folder of its own; got {seeds}")
    jobs = [
        Job(config, seed, Path(out) / f"{config.recipe}-seed{seed}") for config in configs for seed in seeds
    ]
    if batched is None and device.type != "cpu" and len(seeds) > 1:
        together = [config for config in configs if _can_be_batched(config, progress)]
    else:
        together = [config for config in configs if batched and _must_be_batched(config)]
    failures = _in_processes(
        task, [job for job in jobs if job.config not in together], device, workers, progress
    )
    for config in together:
        failures |= _as_one(task, [job for job in jobs if job.config == config], device, progress)
    return [_member(job.path, failures.get(job.path)) for job in jobs]


def _can_be_batched(config: TrainConfig, progress: bool) -> bool:
    reason = why_not_batched(config)
    if reason and progress:
        Console(stderr=True).print(f"{config.recipe}: in processes, since {reason}", highlight=False)
    return reason is None


def _must_be_batched(config: TrainConfig) -> bool:
    reason = why_not_batched(config)
    if reason:
        raise ConfigError(
            f"the recipe {config.recipe!r} cannot be trained as one batched network: {reason}; leave batched out, "
            "and its seeds are trained in processes"
        )
    return True


def _as_one(task: Task, jobs: Sequence[Job], device: torch.device, progress: bool) -> dict[Path, str]:
    """Train seeds of one configuration as one network; gives the errors of those that failed."""
    runs: list[Run] = []
    failures: Failures = {}
    for job in jobs:
        try:
            runs.append(begin(task, job.config, seed=job.seed, out=job.path))
        except Exception as error:
            failures[job.path] = error
    failures |= train_batched(runs, device=device, progress=progress)
    return {path: _explain(error) for path, error in failures.items()}


def _in_processes(
    task: Task, jobs: Sequence[Job], device: torch.device, workers: int | None, progress: bool
) -> dict[Path, str]:
    """Train each in a process of its own; gives the errors of those that failed."""
    calls = (delayed(_train_one)(task.spec, job, str(device)) for job in jobs)
    parallel = Parallel(n_jobs=workers or cpu_count(), return_as="generator_unordered")
    results: Any = parallel(calls) if jobs else []
    errors = dict(_with_progress(results, len(jobs), progress and bool(jobs)))
    return {path: error for path, error in errors.items() if error is not None}


def _train_one(spec: dict[str, Any], job: Job, device: str) -> tuple[Path, str | None]:
    """Train in a worker; gives the folder and the error, if any, because a raised one would end all others."""
    torch.set_num_threads(1)
    try:
        train(task_from_spec(spec), job.config, seed=job.seed, out=job.path, device=device, progress=False)
    except Exception as error:
        return job.path, _explain(error)
    return job.path, None


def _explain(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _with_progress(
    results: Iterable[tuple[Path, str | None]], total: int, enabled: bool
) -> Iterator[tuple[Path, str | None]]:
    with Progress(console=Console(stderr=True), disable=not enabled) as progress:
        bar = progress.add_task("networks", total=total)
        for result in results:
            progress.advance(bar)
            yield result


def _member(path: Path, error: str | None) -> Member:
    return Member(path.name, None if error else load_run(path), error)
