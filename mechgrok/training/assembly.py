"""What a training works with, put together in memory; whatever is wrong with it comes up here."""

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
    """A network at its start, what updates it, and what gives its gradients.

    Args:
        plan: what the training follows from, on disk or not.
        device, compile: as in `train`.

    Raises:
        ConfigError: an optimiser that cannot be built, a part that the network does not have, a device that is not
            there.
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
        """Gives the gradients of the network, and logits.

        Raises:
            TaskError: the task does not fit the network.
            ConfigError: the network cannot be compiled.
        """
        return make_step(self.model, self._task, self.data, self.objective, compile=self.compile)

    @cached_property
    def data(self) -> Data:
        """What is trained on, and evaluated, on the device."""
        data = self._task.data(self.plan.split, self.config.batch_size, self.plan.config.seed)
        return data.to(self.device)

    @cached_property
    def _task(self) -> Task:
        """What is learned, written as the network reads it."""
        return fit_task(self.model, self.plan.task)

    def state_at(self, step: int) -> dict[str, Tensor]:
        """The form of the state at a step; see `mechgrok.training.stored_state.state_like`."""
        return state_like(self.model, self.config, step)
