"""Run: one training on disk. Configuration, split, history and checkpoints in a folder.

    config.json                          what the run follows from
    split.safetensors                    mask of the train inputs
    start.safetensors                    weights taken over from another network, if any
    groups.json                          which parameters an optimiser updates, with which settings
    history.jsonl                        one row for each evaluation
    checkpoints/step_00000000.safetensors
    state.safetensors                    weights and optimiser to go on from: of the newest checkpoint, or of
                                         the later step at which Ctrl-C was pressed

Files appear whole or not at all, except that history.jsonl grows line by line; a reader drops a last line
that was cut off. What else is damaged is a `CheckpointError` that names the file.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from mechgrok.activations import ActivationGrid, cache_grid
from mechgrok.config import MLPConfig, RunConfig, TrainConfig
from mechgrok.drawable import Drawable
from mechgrok.errors import CheckpointError, ConfigError, MechgrokError
from mechgrok.models.files import read_model, read_tensors, write_model
from mechgrok.models.networks import Network
from mechgrok.readable import Records
from mechgrok.shipped import folder_or_shipped, shipped_runs
from mechgrok.storage import digest, remove_partial, write_json, write_tensors, write_text
from mechgrok.tasks import Split, SplitRule, Task, task_from_spec

CONFIG, SPLIT, START, GROUPS, HISTORY, STATE, CHECKPOINTS = (
    "config.json",
    "split.safetensors",
    "start.safetensors",
    "groups.json",
    "history.jsonl",
    "state.safetensors",
    "checkpoints",
)
STEP = re.compile(r"step_(\d{8,})\.safetensors")
"""Names of checkpoints; what else lies beside them is none."""

HistoryRow = dict[str, int | float | None]
MEASURES = ("step", "loss_train", "loss_test", "accuracy_train", "accuracy_test", "sum_squared_weights")
"""What every row of a history has."""


@dataclass(frozen=True, eq=False)
class Run(Drawable):
    """A training on disk: finished, interrupted or under way.

    Attributes:
        path: its folder.
        config: all that it follows from.
        temporary: the folder is deleted with this object.
    """

    path: Path
    config: RunConfig
    temporary: bool = False

    def __repr__(self) -> str:
        return f"Run({self.path}: {self._task_name}, {self.config.train.recipe}, seed {self.config.seed})"

    def records(self) -> list[dict[str, Any]]:
        """What was trained, how far it is, and its latest evaluation."""
        facts: dict[str, Any] = {
            "task": self._task_name,
            "recipe": self.config.train.recipe,
            "seed": self.config.seed,
            "folder": self.path,
            "checkpoints": len(self.steps),
        }
        return [{"name": k, "value": v} for k, v in {**facts, **(self.history or [{}])[-1]}.items()]

    @property
    def _task_name(self) -> str:
        try:
            return self.task.name
        except MechgrokError:
            return "unknown task"

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
        """The inputs that were trained on.

        Raises:
            CheckpointError: the file is missing or damaged, or divides the inputs of another task.
        """
        file = self.path / SPLIT
        tensors, header = read_tensors(file)
        train = tensors.get("train")
        if train is None or train.dtype != torch.bool or train.shape != (self.task.n_inputs,):
            raise damaged(
                file,
                f"it has no 'train', one boolean for each of the {self.task.n_inputs} inputs of {self.task.name}",
            )
        rule: Any = header.get("rule")
        try:
            fraction, seed = float(header["fraction"]), int(header["seed"])
        except (KeyError, ValueError):
            rule = None
        if rule not in get_args(SplitRule):
            raise damaged(file, f"its header has no fraction, seed and rule, but {header}")
        return Split(train, fraction, seed, rule)

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps with a checkpoint, in ascending order."""
        names = [STEP.fullmatch(file.name) for file in (self.path / CHECKPOINTS).glob("step_*")]
        return tuple(sorted(int(name[1]) for name in names if name))

    @property
    def history(self) -> Records[HistoryRow]:
        """One row for each evaluation, by name: step, loss and accuracy on train and test, squared weights.

        A list, with `.frame()` for pandas.

        Losses in nats; test values are None where everything was trained on.

        Raises:
            CheckpointError: a line is damaged.
        """
        path = self.path / HISTORY
        # What follows the last end of a line is a row that was cut off, or nothing.
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return Records(_row(path, number, line) for number, line in enumerate(lines, 1))

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
        if not header.get("step", "").isdecimal():
            raise damaged(self.path / STATE, f"its header has no step, but {header}")
        return int(header["step"]), tensors

    @property
    def parameter_groups(self) -> dict[str, dict[str, Any]]:
        """For each optimiser its `settings` and the `parameters` that it updates; empty until training begins.

        Raises:
            CheckpointError: the file is damaged.
        """
        path = self.path / GROUPS
        groups = _json(path, path.read_bytes()) if path.exists() else {}
        if not isinstance(groups, dict):
            raise damaged(path, f"it holds {groups!r}, no parameters of optimisers")
        return groups

    def write_parameter_groups(self, groups: Mapping[str, Mapping[str, Any]]) -> None:
        """Note which parameters are trained, and how."""
        write_json(self.path / GROUPS, groups)

    def write_config(self) -> None:
        """Note what the run follows from; with it a folder becomes a run."""
        write_json(self.path / CONFIG, self.config.to_json())

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

    def remove_partial(self) -> None:
        """Remove files that a process which was killed has left half-written."""
        for name in (CONFIG, SPLIT, START, GROUPS, HISTORY, STATE):
            remove_partial(self.path, name)
        remove_partial(self.path / CHECKPOINTS, "step_*.safetensors")


def written_for(task: Task, config: TrainConfig) -> Task:
    """The task written down as a training has the network read it, where the task leaves that open."""
    sequence = config.sequence
    if sequence is None and isinstance(config.model, MLPConfig):
        sequence = ("a", "b")  # all that an MLP reads
    return task.with_sequence(*sequence) if sequence and task.sequence is None else task


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


def damaged(file: Path, why: str) -> CheckpointError:
    """The error for a file of a run that cannot be used."""
    return CheckpointError(
        f"{file} is damaged: {why}. Put back a copy of it, or train again in another folder"
    )


def _row(file: Path, number: int, line: bytes) -> HistoryRow:
    """One line of a history, numbered from 1."""
    row = _json(file, line, f"line {number}: ")
    if (
        not isinstance(row, dict)
        or not isinstance(row.get("step"), int)
        or not all(isinstance(row.get(name, ""), int | float | None) for name in MEASURES)
    ):
        raise damaged(file, f"line {number} is {row!r}, no evaluation with {', '.join(MEASURES)}")
    return row


def _json(file: Path, text: bytes, where: str = "") -> Any:
    try:
        return json.loads(text)
    except ValueError as error:  # those of JSON and of UTF-8 alike
        raise damaged(file, f"{where}{error}") from None
