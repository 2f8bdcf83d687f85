"""Many runs at once: seeds and configurations, in single-threaded processes or as one batched network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import torch
from rich.console import Console

from mechgrok.config import AllTrainChanges, TrainConfig, check_seed
from mechgrok.door import door
from mechgrok.errors import ConfigError, shown
from mechgrok.models.own import Factory
from mechgrok.readable import Records
from mechgrok.runs import Run, load_run
from mechgrok.tasks import Task
from mechgrok.training.batched import Failures, train_batched, why_not_batched
from mechgrok.training.devices import find_device
from mechgrok.training.folders import as_folder
from mechgrok.training.networks import suited, with_own_network
from mechgrok.training.processes import Job, check_sent, error_in_words, train_in_processes
from mechgrok.training.recipes import find_recipe
from mechgrok.training.starting import begin


@dataclass(frozen=True)
class Member:
    """One run of many.

    Attributes:
        name: name of its folder.
        run: the run; None if it failed.
        error: the reason for failure; None if it did not fail.
    """

    name: str
    run: Run | None
    error: str | None

    def record(self) -> dict[str, Any]:
        """Recipe, seed and last evaluation; empty except for the error if it failed."""
        if self.run is None:
            return {"name": self.name, "error": self.error}
        config = self.run.config
        about = {"name": self.name, "recipe": config.train.recipe, "seed": config.seed}
        return {**about, **(self.run.history or [{}])[-1], "error": None}


@door
def train_many(
    task: Task,
    recipes: str | TrainConfig | Sequence[str | TrainConfig] = "fast",
    *,
    seeds: Iterable[int] = range(5),
    out: str | Path,
    workers: int | None = None,
    batched: bool | None = None,
    network: Factory | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
    **changes: Unpack[AllTrainChanges],
) -> Records[Member]:
    """Train every recipe with every seed, in parallel single-threaded processes or as one batched network.

    Small networks gain little from a second thread: two processes with one thread each get more done than one process
    with two. They leave most of a GPU idle: there, the seeds of a recipe are stacked and trained as one network.
    Either way, every member turns out as it would have on its own, bit for bit in a process, and except for rounding
    in a batch. A member's failure affects no other member, even if its process is killed. Members that are already
    finished in the folder are opened, interrupted ones are resumed; Ctrl-C saves those in progress. Under the
    caller's `joblib.parallel_config` the same call runs on Dask or Ray.

    Args:
        recipes: one or several names or configurations.
        seeds: seeds of the initial weights and of the splits.
        out: folder; each member gets a subfolder RECIPE-seedN.
        workers: number of processes; None means one per processor.
        batched: whether to train the seeds of each recipe as one network; None does so on a GPU if the recipe allows
            it and there are several seeds. On a CPU, processes keep every processor busy, and can use hand-written
            steps.
        network: makes a user-defined network, as in `train`; its members are trained in processes.
        device: where to train, as in `train`.
        progress: show a progress bar on standard error: over the members, or over the steps of a batch.
        changes: fields of `TrainConfig` to replace in every recipe.

    Returns:
        A list of the members in the order of recipes and seeds; failed members carry their error. Its
        `.frame()` has the recipe, seed and last evaluation of each.

    Raises:
        ConfigError: no task, two recipes of one name, no seed or a repeated one, an invalid option, an unavailable
            device; with `batched`, a recipe that cannot be batched, and why.
        KeyboardInterrupt: Ctrl-C.
    """
    if isinstance(recipes, str | TrainConfig):
        recipes = [recipes]
    if not isinstance(recipes, Sequence):
        raise ConfigError(
            f"recipes is the name of a recipe, a TrainConfig, or a list of these; got {type(recipes).__name__}"
        )
    configs = [find_recipe(recipe).replace(**changes) for recipe in recipes]
    names = [config.recipe for config in configs]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"recipes need different names for their folders; got {', '.join(names)}. "
            'config.replace(recipe="...") gives one of them another'
        )
    if not isinstance(task, Task):
        raise ConfigError(
            f"train_many needs a task, as modular_task('add', 113) gives one; got {shown(task)}"
        )
    if workers is not None and (not isinstance(workers, int) or isinstance(workers, bool) or workers < 1):
        raise ConfigError(f"workers is a number of processes from 1 on, or None; got {shown(workers)}")
    seeds, device, folder = _as_seeds(seeds), find_device(device), as_folder(out)
    if folder is None:
        raise ConfigError("train_many needs a folder for its members, out=...; got None")
    folder = folder.absolute()  # a reused process may have been started in another folder
    if not (configs and seeds):
        raise ConfigError("nothing to train: give at least one recipe and one seed")
    configs = [suited(config, task) for config in configs]
    if network is not None:
        check_sent(network)
        model = changes.get("model")
        configs = [with_own_network(task, config, seeds[0], network, model) for config in configs]
    jobs = [
        Job(task, config, seed, folder / f"{config.recipe}-seed{seed}", network)
        for config in configs
        for seed in seeds
    ]
    if batched is None and device.type != "cpu" and len(seeds) > 1:
        together = [config for config in configs if _can_be_batched(config, progress)]
    else:
        together = [config for config in configs if batched and _must_be_batched(config)]
    alone = [job for job in jobs if job.config not in together]
    failures = train_in_processes([[job] for job in alone], device=device, workers=workers, progress=progress)
    for config in together:
        failures |= _as_one([job for job in jobs if job.config == config], device, progress)
    return Records(_member(job, failures.get(job.path)) for job in jobs)


def _as_seeds(given: Any) -> list[int]:
    if not isinstance(given, Iterable):
        raise ConfigError(
            f"seeds are given as several, such as seeds=range(3) or seeds=[3]; got {shown(given)}"
        )
    seeds = [check_seed(seed) for seed in given]
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"each seed is trained once, in a folder of its own; got {seeds}")
    return seeds


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


def _as_one(jobs: Sequence[Job], device: torch.device, progress: bool) -> dict[Path, str]:
    """Train seeds of one configuration as one network; return the errors of those that failed."""
    runs: list[Run] = []
    failures: Failures = {}
    for job in jobs:
        try:
            runs.append(begin(job.task, job.config, seed=job.seed, out=job.path))
        except Exception as error:
            failures[job.path] = error
    failures |= train_batched(runs, device=device, progress=progress)
    return {path: error_in_words(error) for path, error in failures.items()}


def _member(job: Job, error: str | None) -> Member:
    return Member(job.path.name, None if error else load_run(job.path, network=job.network), error)
