"""What a training works with, put together in memory; whatever is wrong with it comes up here."""

from functools import cached_property

import torch
from torch import Tensor

from mechgrok.activations import fit_task
from mechgrok.config import TrainConfig
from mechgrok.runs import Run
from mechgrok.training.devices import find_device
from mechgrok.training.folders import Plan
from mechgrok.training.networks import fresh_network
from mechgrok.training.objectives import Objective, make_objective
from mechgrok.training.parts import take_over
from mechgrok.training.states import state_like
from mechgrok.training.step import AutogradStep, TrainingStep, make_step
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

    @cached_property
    def gradients(self) -> TrainingStep:
        """Gives the gradients of the network, and logits.

        Raises:
            TaskError: the task does not fit the network.
            ConfigError: the network cannot be compiled.
        """
        plan, objective = self.plan, objective_of(self.config)
        if self.config.batch_size:
            task = fit_task(self.model, plan.task)
            return AutogradStep(self.model, task, plan.split.train, objective, compile=self.compile)
        return make_step(self.model, plan.task, plan.split.train, objective, compile=self.compile)

    def state_at(self, step: int) -> dict[str, Tensor]:
        """The form of the state at a step; see `mechgrok.training.states.state_like`."""
        return state_like(self.model, self.config, step)


def objective_of(config: TrainConfig) -> Objective:
    """What a configuration minimises."""
    return make_objective(
        config.objective, dtype=config.loss_dtype, naive=config.naive_loss, scale=config.loss_scale
    )
