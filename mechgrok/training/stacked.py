"""Several networks of one architecture as one: weights are stacked and products are batched."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mechgrok.fast.objective import Objective
from mechgrok.fast.stacked_mlp_step import StackedMLPStep
from mechgrok.fast.stacked_transformer_step import StackedTransformerStep
from mechgrok.fast.stacks import labels_side_by_side, side_by_side
from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.readout import at_scored, options_for
from mechgrok.tasks import Task
from mechgrok.training.step import EVALUATION_ROWS


@runtime_checkable
class StackedGradients(Protocol):
    """Gradients of stacked networks, each on its own train inputs."""

    def __call__(self) -> None:
        """Overwrite every parameter's `.grad` with the gradients of each network's own mean loss."""
        ...

    def logits(self, member: int) -> Float[Tensor, "inputs d_vocab_out"]:
        """Logits of one network on all inputs of the task; all of them are computed together, once per update."""
        ...


HAND_WRITTEN: tuple[Any, ...] = (StackedTransformerStep, StackedMLPStep)
"""Tried in this order by `stacked_step_for`."""


def stacked_step_for(model: HookedNetwork) -> Any:
    """The hand-written step for stacks of networks like this one; None if it does not exist."""
    return next((step for step in HAND_WRITTEN if step.supports(model)), None)


def make_stacked_step(
    models: Sequence[HookedNetwork],
    stack: HookedNetwork,
    tasks: Sequence[Task],
    train_masks: Sequence[Bool[Tensor, " inputs"]],
    objective: Objective,
) -> StackedGradients:
    """The step of stacked networks: hand-written if possible, otherwise by autograd."""
    return (stacked_step_for(models[0]) or StackedStep)(stack, tasks, train_masks, objective)


class StackedStep:
    """Gradients of stacked networks by autograd, each on its own train inputs.

    Args:
        stack: what `stack_weights` gives.
        tasks: of each network; their inputs are the same.
        train_masks: [n_inputs] for each network, which inputs it is trained on.
    """

    def __init__(
        self,
        stack: HookedNetwork,
        tasks: Sequence[Task],
        train_masks: Sequence[Bool[Tensor, " inputs"]],
        objective: Objective,
    ) -> None:
        self.stack, self.objective = stack, objective
        self.options = options_for(stack)
        self.parameters: dict[str, nn.Parameter] = dict(stack.named_parameters())
        like = next(stack.parameters())
        device = like.device
        self.tokens = tasks[0].inputs.to(device)
        rows, self.share = side_by_side(train_masks, like)
        self.train_tokens, self.train_labels = self.tokens[rows], labels_side_by_side(tasks, rows)
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
        """Logits of one network on all inputs of the task; all of them are computed together, once per update."""
        if self._logits is None:
            parts = self.tokens.split(EVALUATION_ROWS)
            run = vmap(self._run, in_dims=(0, None))
            self._logits = torch.cat([run(self.parameters, part) for part in parts], dim=1)
        return self._logits[member]

    def _run(self, parameters: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
        outputs = functional_call(self.stack, dict(parameters), (tokens,), self.options)
        return at_scored(outputs)[:, 0]
