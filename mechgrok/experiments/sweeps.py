"""What sweeps share: train a configuration for each value of something, with several seeds, and judge each network."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from mechgrok.config import TrainConfig
from mechgrok.experiments.kept import folder_for
from mechgrok.runs import Run
from mechgrok.tasks import Task
from mechgrok.training.many import train_many

T = TypeVar("T")
V = TypeVar("V", bound=Hashable)


def train_and_judge(
    task: Task,
    configs: Mapping[V, TrainConfig],
    seeds: Sequence[int],
    judge: Callable[[V, int, Run], T],
    *,
    out: str | Path | None,
    workers: int | None,
    progress: bool,
) -> tuple[tuple[T, ...], dict[str, str]]:
    """Train each configuration with each seed, and judge the runs while they are there.

    Args:
        configs: by the value that is swept over; each has a name of its own.
        judge: is given the value, the seed and the run.
        out, workers, progress: as in `train_many`; without a folder the runs are not kept, but in a
            reproduction, see `mechgrok.experiments.kept`.

    Returns:
        What was judged, in the order of values and seeds, and name and error of the trainings that failed.
    """
    places = [(value, seed) for value in configs for seed in seeds]
    if out is None:
        spec = [config.to_json() for config in configs.values()]
        out = folder_for(f"{task.name}-sweep", task.spec, spec, list(seeds))
    with TemporaryDirectory(prefix="mechgrok-") if out is None else nullcontext(out) as folder:
        members = train_many(
            task, list(configs.values()), seeds=seeds, out=folder, workers=workers, progress=progress
        )
        judged = tuple(
            judge(value, seed, member.run)
            for (value, seed), member in zip(places, members, strict=True)
            if member.run is not None
        )
    return judged, {member.name: member.error for member in members if member.error is not None}
