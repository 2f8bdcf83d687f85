"""Several networks of one architecture as one: their weights stacked, every product one batched product."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mechgrok.config import TrainConfig
from mechgrok.fast.objective import Objective
from mechgrok.fast.stacked_mlp_step import StackedMLPStep
from mechgrok.fast.stacked_transformer_step import StackedTransformerStep
from mechgrok.fast.stacks import side_by_side, some_of
from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.readout import at_scored, options_for
from mechgrok.tasks import Task
from mechgrok.training.gradients import STATE_SEPARATOR
from mechgrok.training.step import EVALUATION_ROWS
from mechgrok.training.updates import Updater


class StackedGradients(Protocol):
    """Gradients of stacked networks, each on its own train inputs."""

    def __call__(self) -> None:
        """Overwrite every parameter's `.grad` with the gradients of each network's own mean loss."""
        ...

    def logits(self, member: int) -> Float[Tensor, "inputs d_vocab_out"]:
        """Logits of one network on all inputs of the task; those of all are computed together, once for each update."""
        ...


HAND_WRITTEN: tuple[Any, ...] = (StackedTransformerStep, StackedMLPStep)
"""Tried in this order by `stacked_step_for`."""


def stacked_step_for(model: HookedNetwork) -> Any:
    """The step that is written by hand for stacks of networks like this one; None if there is none."""
    return next((step for step in HAND_WRITTEN if step.supports(model)), None)


def make_stacked_step(
    models: Sequence[HookedNetwork],
    stack: HookedNetwork,
    task: Task,
    train_masks: Sequence[Bool[Tensor, " inputs"]],
    objective: Objective,
) -> StackedGradients:
    """The step of networks that are stacked: by hand where there is one for them, else by autograd."""
    return (stacked_step_for(models[0]) or StackedStep)(stack, task, train_masks, objective)


class StackedStep:
    """Gradients of stacked networks by autograd, each on its own train inputs of the task.

    Args:
        stack: what `stack_weights` gives.
        train_masks: [n_inputs] for each network, which inputs it is trained on.
    """

    def __init__(
        self,
        stack: HookedNetwork,
        task: Task,
        train_masks: Sequence[Bool[Tensor, " inputs"]],
        objective: Objective,
    ) -> None:
        self.stack, self.objective = stack, objective
        self.options = options_for(stack)
        self.parameters: dict[str, nn.Parameter] = dict(stack.named_parameters())
        like = next(stack.parameters())
        device = like.device
        self.tokens = task.inputs.to(device)
        rows, self.share = side_by_side(train_masks, like)
        self.train_tokens, self.train_labels = self.tokens[rows], task.labels.to(device)[rows]
        self._logits: Tensor | None = None

    def __call__(self) -> None:
        """Overwrite every parameter's `.grad` with the gradients of each network's own mean loss."""
        self._logits = None
        for parameter in self.parameters.values():
            parameter.grad = None
        with torch.enable_grad():
            logits = vmap(self._run)(self.parameters, self.train_tokens)
        # All inputs of all networks as one long list, each with its weight in the mean over one network's inputs.
        flat, labels = logits.detach().flatten(0, 1).clone(), self.train_labels.flatten()
        _, gradient = self.objective.loss_and_gradient(flat, labels, self.train_labels.shape[1])
        gradient = gradient.view_as(logits)
        logits.backward(gradient if self.share is None else gradient * self.share)

    @torch.no_grad()
    def logits(self, member: int) -> Float[Tensor, "inputs d_vocab_out"]:
        """Logits of one network on all inputs of the task; those of all are computed together, once for each update."""
        if self._logits is None:
            parts = self.tokens.split(EVALUATION_ROWS)
            run = vmap(self._run, in_dims=(0, None))
            self._logits = torch.cat([run(self.parameters, part) for part in parts], dim=1)
        return self._logits[member]

    def _run(self, parameters: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
        outputs = functional_call(self.stack, dict(parameters), (tokens,), self.options)
        return at_scored(outputs)[:, 0]


def stack_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The state of an `Updater` of stacked weights, from those of the networks, which have taken as many updates.

    >>> stack_states([{"optimizer|adamw|w|exp_avg": torch.ones(3)}] * 2)["optimizer|adamw|w|exp_avg"].shape
    torch.Size([2, 3])
    """
    return {
        path: first
        if first.ndim == 0
        else torch.stack([state[path] for state in states], dim=_member_axis(path))
        for path, first in states[0].items()
    }


def member_state(state: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
    """The part of such a state that belongs to one network; numbers, as of updates, belong to all."""
    return {
        path: tensor if tensor.ndim == 0 else tensor.select(_member_axis(path), member)
        for path, tensor in state.items()
    }


def _member_axis(path: str) -> int:
    """Grokfast-MA keeps its window of gradients along the first axis."""
    return 1 if path.endswith(f"{STATE_SEPARATOR}ring") else 0


OF_UPDATES = (
    "optimizer", "lr", "weight_decay", "decay_towards", "betas", "momentum", "eps", "gradient", "grokfast_alpha",
    "grokfast_lambda", "grokfast_window", "frozen", "warmup",
)  # fmt: skip
"""Fields of a configuration that decide what becomes of a gradient."""


def update_settings(config: TrainConfig) -> str:
    """What decides how a network is updated, as text that can be compared and sorted."""
    return repr([getattr(config, field) for field in OF_UPDATES])


class StackedUpdater:
    """Updates of stacked weights, where neighbours with the same settings are updated as one.

    Args:
        configs: of each network; those with the same `update_settings` are to be neighbours.
        states: of each network, as an `Updater` of its own has it.
    """

    def __init__(
        self, stack: HookedNetwork, configs: Sequence[TrainConfig], states: Sequence[Mapping[str, Tensor]]
    ) -> None:
        self.parts: list[tuple[slice, Updater]] = []
        self.weights: list[tuple[slice, nn.Parameter, nn.Parameter]] = []
        begin = 0
        for _, group in groupby(configs, update_settings):
            own = slice(begin, begin := begin + len(list(group)))
            part = some_of(stack, own)
            for name, weight in stack.named_parameters():
                self.weights.append((own, weight, part.get_parameter(name)))
            updater = Updater(part, configs[own.start])
            updater.load(stack_states(states[own]))
            self.parts.append((own, updater))

    def __call__(self, step: int) -> None:
        """Take the update number `step` from the gradients of the stack."""
        for own, weight, view in self.weights:
            view.grad = None if weight.grad is None else weight.grad[own]
        for _, updater in self.parts:
            updater(step)

    def state(self, member: int) -> dict[str, Tensor]:
        """The state of one network, as an `Updater` of its own has it."""
        own, updater = next(part for part in self.parts if part[0].start <= member < part[0].stop)
        return member_state(updater.state(), member - own.start)
