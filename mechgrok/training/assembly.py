"""The parts of a run, assembled in memory; any errors in them surface here."""

from functools import cached_property

import torch
from torch import Tensor

from mechgrok.activations import fit_task
from mechgrok.runs import Run
from mechgrok.tasks import Data, Task
from mechgrok.training.devices import find_device
from mechgrok.training.folders import Plan
from mechgrok.training.networks import fresh_network
from mechgrok.training.objectives import make_objective
from mechgrok.training.parameters import take_over
from mechgrok.training.step import TrainingStep, make_step
from mechgrok.training.stored_state import state_like
from mechgrok.training.updates import Updater


class Assembly:
    """A network at its start, its updater, and the step that computes its gradients.

    Args:
        plan: everything that determines the run, on disk or not.
        device, compile: as in `train`.

    Raises:
        ConfigError: an optimiser that cannot be built, a part that the network does not have, an unavailable
            device.
    """

    def __init__(
        self, plan: Plan | Run, *, device: str | torch.device | None = None, compile: bool = False
    ) -> None:
        self.plan, self.config, self.compile = plan, plan.config.train, compile
        self.device = find_device(device)
        self.model = fresh_network(plan.task, self.config, plan.config.seed, plan.network).to(self.device)
        take_over(self.model, plan.start)
        self.updater = Updater(self.model, self.config)
        self.objective = make_objective(self.config)

    @cached_property
    def gradients(self) -> TrainingStep:
        """Computes the gradients of the network, and logits.

        Raises:
            TaskError: the task does not fit the network.
            ConfigError: the network cannot be compiled.
        """
        return make_step(self.model, self._task, self.data, self.objective, compile=self.compile)

    @cached_property
    def data(self) -> Data:
        """The training and evaluation data, on the device."""
        data = self._task.data(self.plan.split, self.config.batch_size, self.plan.config.seed)
        return data.to(self.device)

    @cached_property
    def _task(self) -> Task:
        """The task, written as the network reads it."""
        return fit_task(self.model, self.plan.task)

    def state_at(self, step: int) -> dict[str, Tensor]:
        """The format of the state at a step; see `mechgrok.training.stored_state.state_like`."""
        return state_like(self.model, self.config, step)
