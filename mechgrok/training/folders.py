"""The folder of a run: found again with its contents, or created."""

import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mechgrok.config import Config, RunConfig
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.own import Factory
from mechgrok.runs import CONFIG, LOCK, SPLIT, START, Run, load_run, written_for
from mechgrok.storage import write_tensors
from mechgrok.tasks import Split, Task, task_from_spec
from mechgrok.training.locks import only_here


@dataclass(frozen=True, eq=False)
class Plan:
    """A run that is not on disk yet: everything that determines it.

    Attributes:
        config: the configuration as the run will store it.
        split: the inputs to train on.
        start: the weights of `config.start`.
        network: makes the network if it is user-defined.
    """

    config: RunConfig
    split: Split
    start: dict[str, Tensor] = field(default_factory=dict)
    network: Factory | None = None

    @cached_property
    def task(self) -> Task:
        """The task to be learned, written as the network will read it."""
        return written_for(task_from_spec(self.config.task), self.config.train)

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps with a checkpoint: none yet."""
        return ()


def find_run(path: str | Path | None, plan: Plan) -> Run | None:
    """The run of a plan in a folder, with the number of steps of the longer of the two; None if it can be created.

    Nothing is written.

    Raises:
        ConfigError: the folder holds another run, or something else.
        CheckpointError: the run in it is damaged.
    """
    if path is None:
        return None
    path = Path(path)
    if (path / CONFIG).exists():
        return _same_run(load_run(path), plan)
    if path.is_dir() and any(not _left_behind(file) for file in path.iterdir()):
        raise ConfigError(f"{path} is not empty and holds no run; choose another folder")
    return None


def as_folder(path: Any) -> Path | None:
    """The path of a folder; None means a temporary one.

    Raises:
        ConfigError: it is not a path, or an empty one.
    """
    if path is None:
        return None
    if not isinstance(path, str | PathLike) or not str(path):
        raise ConfigError(f"out is the path of a folder, or None for a temporary one; got {path!r}")
    return Path(path)


def create_run(path: str | Path | None, plan: Plan) -> Run:
    """Create the run of a plan in a folder in which `find_run` has found none.

    If another process has created the same run in the meantime, that one is used.

    Args:
        path: the folder; None means a temporary one, which lives as long as the run object.

    Raises:
        ConfigError: another run, or something else, has appeared in the folder in the meantime.
        CheckpointError: the folder cannot be written, or another process trains there.
    """
    if path is None:
        run = Run(
            Path(tempfile.mkdtemp(prefix="mechgrok-")), plan.config, temporary=True, network=plan.network
        )
        weakref.finalize(run, shutil.rmtree, run.path, ignore_errors=True)
        return _written(run, plan)
    path = Path(path)
    with only_here(path):
        return find_run(path, plan) or _written(Run(path, plan.config, network=plan.network), plan)


def _written(run: Run, plan: Plan) -> Run:
    run.remove_partial()
    run.write_split(plan.split)
    if plan.start:
        write_tensors(run.path / START, plan.start)
    run.write_config()
    return run


def check_room(path: str | Path | None, needed: int) -> None:
    """Check that the disk of a run's folder, which need not exist yet, has enough space.

    Args:
        path: the folder; None means a temporary one.
        needed: bytes that the run may write; see `mechgrok.training.disk_space`.

    Raises:
        CheckpointError: it has not.
    """
    path = Path(path or tempfile.gettempdir()).absolute()
    free = shutil.disk_usage(next(place for place in (path, *path.parents) if place.exists())).free
    if free < needed:
        raise CheckpointError(
            f"only {free / 2**20:z.0f} MiB are free at {path}, and the training may need {needed / 2**20:z.0f} MiB. "
            "Make room, choose a folder on another disk, or keep fewer checkpoints (a larger checkpoint_every)"
        )


def _left_behind(file: Path) -> bool:
    """Whether a file may be left by an interrupted start: anything of a run except its configuration."""
    partial = (f".{SPLIT}.", f".{START}.", f".{CONFIG}.", ".tmp")
    return file.name in (SPLIT, START, LOCK) or file.name.startswith(partial)


def _same_run(run: Run, plan: Plan) -> Run:
    """The run in its folder, possibly to be lengthened: more steps do not make a different configuration.

    Nor does a different number of threads: the run continues with its own.
    """
    steps = max(run.config.train.steps, plan.config.train.steps)
    lengthened = run.config.replace(train=run.config.train.replace(steps=steps))
    asked = plan.config.replace(train=plan.config.train.replace(steps=steps), threads=run.config.threads)
    differing = differences(lengthened, asked)
    if differing:
        raise ConfigError(
            f"{run.path} holds a run with another configuration ({'; '.join(differing)}); "
            "choose another folder, or delete this one"
        )
    if not torch.equal(run.split.train, plan.split.train):
        raise ConfigError(f"{run.path} holds a run with another split; choose another folder")
    return Run(run.path, lengthened, network=plan.network)


def differences(old: Config, new: Config) -> list[str]:
    """The fields in which two configurations differ, with both values."""
    found = []
    for name in type(old).model_fields:
        a, b = getattr(old, name), getattr(new, name)
        if isinstance(a, Config) and type(a) is type(b):
            found += differences(a, b)
        elif a != b:
            found.append(f"{name} is {a!r} there and {b!r} here")
    return found
