"""Run: one training on disk. Configuration, split, history and checkpoints in a folder.

    config.json                          what the run follows from
    split.safetensors                    mask of the train inputs
    start.safetensors                    weights taken over from another network, if any
    groups.json                          which parameters an optimiser updates, with which settings
    history.jsonl                        one row for each evaluation
    checkpoints/step_00000000.safetensors
    state.safetensors                    weights and optimiser at the newest checkpoint, to go on from

Files appear whole or not at all, except that history.jsonl grows line by line; a reader drops a last line
that was cut off.
"""

import json
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mechgrok.activations import ActivationGrid, cache_grid
from mechgrok.config import Config, MLPConfig, RunConfig, TrainConfig
from mechgrok.drawable import Drawable
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.files import read_model, read_tensors, write_model
from mechgrok.models.networks import Network
from mechgrok.shipped import folder_or_shipped, shipped_runs
from mechgrok.storage import digest, write_json, write_tensors, write_text
from mechgrok.tasks import Split, Task, task_from_spec

CONFIG, SPLIT, START, GROUPS, HISTORY, STATE, CHECKPOINTS = (
    "config.json",
    "split.safetensors",
    "start.safetensors",
    "groups.json",
    "history.jsonl",
    "state.safetensors",
    "checkpoints",
)
ROOM = 64 * 2**20
"""Bytes that must be free on the disk before a training starts."""

HistoryRow = dict[str, int | float | None]


@dataclass(frozen=True, eq=False)
class Run(Drawable):
    """A training on disk: finished, interrupted or under way."""

    path: Path
    config: RunConfig

    @cached_property
    def task(self) -> Task:
        """What was learned, written down as the network read it."""
        return written_for(task_from_spec(self.config.task), self.config.train)

    @cached_property
    def start(self) -> dict[str, Tensor]:
        """The weights that the training took over from another network, by name; none where it drew them all.

        Raises:
            CheckpointError: they are missing or no longer those that the configuration speaks of.
        """
        if self.config.start is None:
            return {}
        tensors, _ = read_tensors(self.path / START)
        if digest(tensors) != self.config.start.sha256:
            raise CheckpointError(f"{self.path / START} does not hold the weights that {CONFIG} speaks of")
        return tensors

    @cached_property
    def split(self) -> Split:
        """The inputs that were trained on."""
        tensors, header = read_tensors(self.path / SPLIT)
        rule: Any = header["rule"]
        return Split(tensors["train"], float(header["fraction"]), int(header["seed"]), rule)

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps with a checkpoint, in ascending order."""
        return tuple(sorted(int(p.stem[5:]) for p in (self.path / CHECKPOINTS).glob("step_*.safetensors")))

    @property
    def history(self) -> list[HistoryRow]:
        """One row for each evaluation, by name: step, loss and accuracy on train and test, squared weights.

        Losses in nats; test values are None where everything was trained on.
        """
        path = self.path / HISTORY
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        try:
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except json.JSONDecodeError as error:
            raise CheckpointError(f"{path} is damaged: {error}") from None

    def model(self, step: int | None = None) -> Network:
        """The network at a checkpoint, the newest for None.

        Raises:
            CheckpointError: there is no checkpoint at this step; the text names the nearest.
        """
        steps = self.steps
        if not steps:
            raise CheckpointError(f"{self.path} has no checkpoint yet")
        step = steps[-1] if step is None else step
        if step not in steps:
            nearest = min(steps, key=lambda s: abs(s - step))
            raise CheckpointError(
                f"{self.path} has no checkpoint at step {step}; it has {len(steps)} from {steps[0]} to "
                f"{steps[-1]}, the nearest is {nearest}"
            )
        model = read_model(self.checkpoint(step))
        model.task = self.task
        return model

    def grid(self, step: int | None = None, names: list[str] | None = None) -> ActivationGrid:
        """Activations of the network at a checkpoint over all inputs."""
        return cache_grid(self.model(step), self.task, names)

    def checkpoint(self, step: int) -> Path:
        """File of the checkpoint at a step, whether it exists or not."""
        return self.path / CHECKPOINTS / f"step_{step:08d}.safetensors"

    def write_checkpoint(self, step: int, model: Network) -> None:
        """Keep the weights at a step."""
        write_model(model, self.checkpoint(step))

    def write_state(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Keep all that is needed to go on from a step."""
        write_tensors(self.path / STATE, tensors, {"step": str(step)})

    def read_state(self) -> tuple[int, dict[str, Tensor]] | None:
        """The step to go on from and its tensors; None for a run that has none yet."""
        if not (self.path / STATE).exists():
            return None
        tensors, header = read_tensors(self.path / STATE)
        return int(header["step"]), tensors

    @property
    def parameter_groups(self) -> dict[str, dict[str, Any]]:
        """For each optimiser its `settings` and the `parameters` that it updates; empty until training begins."""
        path = self.path / GROUPS
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def write_parameter_groups(self, groups: Mapping[str, Mapping[str, Any]]) -> None:
        """Note which parameters are trained, and how."""
        write_json(self.path / GROUPS, groups)

    def append_history(self, row: HistoryRow) -> None:
        """Add the row of one evaluation."""
        try:
            with (self.path / HISTORY).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise CheckpointError(f"cannot write {self.path / HISTORY}: {error}") from error

    def forget_after(self, step: int) -> None:
        """Drop history and checkpoints of later steps, which a resumed run will make again."""
        kept = [row for row in self.history if (row["step"] or 0) <= step]
        write_text(self.path / HISTORY, "".join(json.dumps(row) + "\n" for row in kept))
        for later in self.steps:
            if later > step:
                self.checkpoint(later).unlink()


def written_for(task: Task, config: TrainConfig) -> Task:
    """The task written down as a training has the network read it, where the task leaves that open."""
    sequence = config.sequence
    if sequence is None and isinstance(config.model, MLPConfig):
        sequence = ("a", "b")  # all that an MLP reads
    return task.with_sequence(*sequence) if sequence and task.sequence is None else task


def create_run(
    path: str | Path | None, config: RunConfig, split: Split, start: Mapping[str, Tensor] | None = None
) -> Run:
    """A new run in a folder, or the one that is already there with the same configuration or fewer steps.

    Args:
        path: the folder; None takes a temporary one, which lives as long as the run object.
        start: the weights of `config.start`.

    Raises:
        ConfigError: the folder holds another run, or something else.
        CheckpointError: the folder cannot be written, or the disk is nearly full.
    """
    if path is None:
        run = create_run(tempfile.mkdtemp(prefix="mechgrok-"), config, split, start)
        weakref.finalize(run, shutil.rmtree, run.path, ignore_errors=True)
        return run
    path = Path(path)
    if (path / CONFIG).exists():
        return _same_run(_open(path), config, split)
    if path.is_dir() and any(not _left_behind(file) for file in path.iterdir()):
        raise ConfigError(f"{path} is not empty and holds no run; choose another folder")
    _make_folder(path)
    write_tensors(
        path / SPLIT,
        {"train": split.train},
        {"fraction": str(split.fraction), "seed": str(split.seed), "rule": split.rule},
    )
    if start:
        write_tensors(path / START, start)
    write_json(path / CONFIG, config.to_json())
    return Run(path, config)


def _left_behind(file: Path) -> bool:
    """Whether a file is one that a start which was cut off leaves: all of a run but its configuration."""
    return file.name in (SPLIT, START) or file.name.startswith((f".{SPLIT}.", f".{START}.", f".{CONFIG}."))


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error}") from error
    free = shutil.disk_usage(path).free
    if free < ROOM:
        raise CheckpointError(
            f"only {free / 2**20:.0f} MiB are free at {path}, a training needs {ROOM / 2**20:.0f} MiB or more"
        )


def load_run(path: str | Path) -> Run:
    """Open a run.

    Args:
        path: its folder, or the name of one of the runs that come with mechgrok (`shipped_runs`).

    Raises:
        CheckpointError: there is no run in the folder, or its configuration is damaged.

    >>> load_run("add113-fast").task
    Task(add113: a b = -> 113 classes, 12769 inputs)
    """
    return _open(folder_or_shipped(path))


def run_of(checkpoint: Path) -> Run | None:
    """The run whose checkpoint a file is, by its place; None for any other file."""
    folder = checkpoint.parent.parent
    return _open(folder) if checkpoint.parent.name == CHECKPOINTS and (folder / CONFIG).is_file() else None


def _open(path: Path) -> Run:
    file = path / CONFIG
    if not file.is_file():
        raise CheckpointError(
            f"{path} holds no run: there is no {CONFIG} in it, and it is none of those that come with "
            f"mechgrok ({', '.join(shipped_runs()) or 'none is installed'})"
        )
    try:
        return Run(path, RunConfig(**json.loads(file.read_text(encoding="utf-8"))))
    except (json.JSONDecodeError, UnicodeDecodeError, ConfigError, TypeError) as error:
        raise CheckpointError(f"{file} is damaged or of another version: {error}") from None


def _same_run(run: Run, config: RunConfig, split: Split) -> Run:
    """The run in its folder, which may be lengthened: more steps are no other configuration."""
    steps = max(run.config.train.steps, config.train.steps)
    lengthened = run.config.replace(train=run.config.train.replace(steps=steps))
    differing = differences(lengthened, config.replace(train=config.train.replace(steps=steps)))
    if differing:
        raise ConfigError(
            f"{run.path} holds a run with another configuration ({'; '.join(differing)}); "
            "choose another folder, or delete this one"
        )
    if not torch.equal(run.split.train, split.train):
        raise ConfigError(f"{run.path} holds a run with another split; choose another folder")
    if steps > run.config.train.steps:
        write_json(run.path / CONFIG, lengthened.to_json())
    return Run(run.path, lengthened)


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
