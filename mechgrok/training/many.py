"""Many trainings at once: seeds and configurations, each in a process of its own with one thread."""

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


def train_many(
    task: Task,
    recipes: str | TrainConfig | Sequence[str | TrainConfig] = "fast",
    *,
    seeds: Iterable[int] = range(5),
    out: str | Path,
    workers: int | None = None,
    progress: bool = True,
    **changes: Any,
) -> list[Member]:
    """Train every recipe with every seed, in parallel processes of one thread each.

    Small networks gain little from a second thread: two processes of one thread do more than one of two.
    Members that are already finished in the folder are opened, interrupted ones go on. Under a
    `joblib.parallel_config` of the caller the same call runs on Dask or Ray.

    Args:
        recipes: one or several names or configurations.
        seeds: seeds of the initial weights and of the splits.
        out: folder; each member has the folder RECIPE-seedN in it.
        workers: processes; None takes one for each processor.
        progress: show one progress bar over the members on standard error.
        changes: fields of `TrainConfig` to replace in every recipe.

    Returns:
        The members in the order of recipes and seeds; those that failed carry their error.

    Raises:
        ConfigError: two recipes of one name, no seed, a wrong option.
    """
    if isinstance(recipes, str | TrainConfig):
        recipes = [recipes]
    configs = [find_recipe(recipe).replace(**changes) for recipe in recipes]
    names = [config.recipe for config in configs]
    if len(set(names)) < len(names):
        raise ConfigError(f"recipes need different names for their folders; got {', '.join(names)}")
    jobs = [(f"{config.recipe}-seed{seed}", config, seed) for config in configs for seed in seeds]
    if not jobs:
        raise ConfigError("nothing to train: give at least one recipe and one seed")
    calls = (delayed(_train_one)(task.spec, config, seed, Path(out) / name) for name, config, seed in jobs)
    parallel = Parallel(n_jobs=workers or cpu_count(), return_as="generator_unordered")
    results: Any = parallel(calls)
    failures = dict(_with_progress(results, len(jobs), progress))
    return [_member(Path(out) / name, failures[name]) for name, _, _ in jobs]


def _train_one(spec: dict[str, Any], config: TrainConfig, seed: int, out: Path) -> tuple[str, str | None]:
    """Train in a worker; gives the name and the error, if any, because a raised one would end all others."""
    torch.set_num_threads(1)
    try:
        train(task_from_spec(spec), config, seed=seed, out=out, progress=False)
    except Exception as error:
        return out.name, f"{type(error).__name__}: {error}"
    return out.name, None


def _with_progress(
    results: Iterable[tuple[str, str | None]], total: int, enabled: bool
) -> Iterator[tuple[str, str | None]]:
    with Progress(console=Console(stderr=True), disable=not enabled) as progress:
        bar = progress.add_task("networks", total=total)
        for result in results:
            progress.advance(bar)
            yield result


def _member(path: Path, error: str | None) -> Member:
    return Member(path.name, None if error else load_run(path), error)
