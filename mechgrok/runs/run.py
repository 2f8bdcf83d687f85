"""One training run on disk, with its task, its split, and its network at each checkpoint."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mechgrok.activations import ActivationGrid, cache_grid
from mechgrok.config import CustomConfig, NetworkConfig, TrainConfig
from mechgrok.drawable import Drawable
from mechgrok.errors import CheckpointError, MechgrokError
from mechgrok.models.files import network_of, read_tensors
from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.own import Factory, own_network
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.registries import SPLIT_RULES
from mechgrok.runs.folder import CONFIG, SPLIT, START, RunFolder
from mechgrok.runs.seals import damaged
from mechgrok.storage import DIGEST_KEY, digest
from mechgrok.tasks import Split, Task, task_from_spec


@dataclass(frozen=True, eq=False)
class Run(RunFolder, Drawable):
    """A training run on disk: finished, interrupted or in progress.

    Attributes:
        path: its folder.
        config: everything that determines it.
        temporary: the folder is deleted with this object.
        network: makes the network of the run if it is user-defined.
    """

    temporary: bool = False
    network: Factory | None = None

    def __repr__(self) -> str:
        return f"Run({self.path}: {self._task_name}, {self.config.train.recipe}, seed {self.config.seed})"

    def records(self) -> list[dict[str, Any]]:
        """What was trained, how far it has got, and its latest evaluation."""
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
        """The task that was learned, written as the network read it."""
        return written_for(task_from_spec(self.config.task), self.config.train)

    @cached_property
    def start(self) -> dict[str, Tensor]:
        """The weights that the run copied from another network, by name; empty if it drew them all.

        Raises:
            CheckpointError: they are missing, or no longer those that the configuration refers to.
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
            CheckpointError: the file is missing or damaged, splits the inputs of another task, or belongs to
                another run.
        """
        file = self.path / SPLIT
        tensors, header = self._read(file, None if self.seal is None else {DIGEST_KEY: self.seal.split})
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
        if rule not in SPLIT_RULES:
            raise damaged(file, f"its header has no fraction, seed and rule, but {header}")
        return Split(train, fraction, seed, rule)

    def model(self, step: int | None = None) -> HookedNetwork | WrappedNetwork:
        """The network at a checkpoint, the newest one if None.

        Raises:
            CheckpointError: there is no checkpoint at this step; the text names the nearest.
            ConfigError: the network is user-defined, and the run was opened without the function that makes it.
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
        file, custom = self.checkpoint(step), self.config.train.model
        if isinstance(custom, CustomConfig):
            own = own_network(self.network, self.task, self.config.seed, custom)
            return own.with_weights(self.weights(step))
        tensors, header = self._read(file, self._said(step))
        model = network_of(tensors, header, file)
        model.task = self.task
        return model

    def grid(self, step: int | None = None, names: list[str] | None = None) -> ActivationGrid:
        """Activations of the network at a checkpoint over all inputs."""
        return cache_grid(self.model(step), self.task, names)


def written_for(task: Task, config: TrainConfig) -> Task:
    """The task written as the training configuration has the network read it, if the task leaves that open."""
    return task.written(*config.sequence) if config.sequence else read_by(task, config.model)


def read_by(task: Task, network: NetworkConfig | CustomConfig) -> Task:
    """The task written as a network of this architecture has to read it, if the task leaves that open."""
    return task.written(*network.slots) if network.slots else task
