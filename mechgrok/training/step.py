"""One training step: the loss on the train inputs and its gradient, by hand where possible, else by autograd."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.activations import fit_task
from mechgrok.errors import ConfigError
from mechgrok.fast.mlp_step import FastMLPStep
from mechgrok.fast.transformer_step import FastStep
from mechgrok.models.protocol import HookedModel, device_of, evaluation_mode
from mechgrok.tasks import Task
from mechgrok.training.objectives import Objective

EVALUATION_ROWS = 4096
"""Inputs per forward pass when logits are asked for."""


@runtime_checkable
class TrainingStep(Protocol):
    """Loss and gradient of a network on the train inputs of a task."""

    kind: ClassVar[Literal["fast", "autograd"]]

    def __call__(self) -> Float[Tensor, ""]:
        """Mean train loss in float64; every parameter's `.grad` is overwritten with a fresh gradient."""
        ...

    def logits(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "_ d_vocab_out"]:
        """Logits at the read-out position for some inputs of the task, or all, without a graph."""
        ...


@runtime_checkable
class HandWrittenStep(TrainingStep, Protocol):
    """A step that knows the networks that it is written for."""

    def __init__(
        self, model: Any, task: Task, train_mask: Bool[Tensor, " inputs"], objective: Objective
    ) -> None: ...

    @staticmethod
    def supports(model: object) -> bool: ...


HAND_WRITTEN: tuple[type[HandWrittenStep], ...] = (FastStep, FastMLPStep)
"""Tried in this order by `make_step`."""


class AutogradStep:
    """The step of any network, by automatic differentiation of the logits at the read-out position.

    Args:
        train_mask: [n_inputs], which inputs of the task are trained on.
        compile: compile the network for its gradients with `torch.compile`; takes up to a minute, at once. That is for
            all train inputs; for mini-batches torch compiles once more when the first of them comes.

    Raises:
        ConfigError: there is nothing to compile with, or the network cannot be compiled.
    """

    kind: ClassVar[Literal["fast", "autograd"]] = "autograd"

    def __init__(
        self,
        model: HookedModel,
        task: Task,
        train_mask: Bool[Tensor, " inputs"],
        objective: Objective,
        *,
        compile: bool = False,
    ) -> None:
        self.model, self.objective = model, objective
        self.tokens = task.tokens.to(device_of(model))
        rows = train_mask.to(self.tokens.device)
        self.train_tokens, self.train_labels = self.tokens[rows], task.labels.to(rows.device)[rows]
        self.options = readout_options(model)
        self.compiled: Callable[[Tensor], Tensor] | None = None
        if compile:
            self._compile()

    def __call__(self, batch: Int[Tensor, " batch"] | None = None) -> Float[Tensor, ""]:
        """As the protocol says; `batch` takes some of the train inputs, by number, for a mini-batch."""
        tokens, labels = self.train_tokens, self.train_labels
        if batch is not None:
            tokens, labels = tokens[batch], labels[batch]
        for _, parameter in self.model.named_parameters():
            parameter.grad = None
        with torch.enable_grad():
            logits = (self.compiled or self._run)(tokens)
        # The objective may work in place, on a copy: the graph may need the logits themselves.
        loss, gradient = self.objective.loss_and_gradient(logits.detach().clone(), labels)
        logits.backward(gradient)
        return loss

    @torch.no_grad()
    def logits(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "_ d_vocab_out"]:
        tokens = self.tokens if rows is None else self.tokens[rows.to(self.tokens.device)]
        with evaluation_mode(self.model):
            return torch.cat([self._run(part) for part in tokens.split(EVALUATION_ROWS)])

    def _run(self, tokens: Tensor) -> Tensor:
        model: Any = self.model
        return model(tokens, **self.options)[:, -1]

    def _compile(self) -> None:
        """Compile forward and backward by running them; torch would leave that, and its errors, to the first step.

        What is compiled serves for inputs of one number; for a second number torch compiles again, for any.
        """
        try:
            self.compiled = torch.compile(self._run)
            self()
        except Exception as error:
            raise ConfigError(
                f"compile=True failed: {_reason(error)}. torch.compile needs a C++ compiler (g++, clang++ or cl), on a "
                "GPU Triton as well; leave compile out"
            ) from error


def readout_options(model: HookedModel) -> dict[str, bool]:
    """Arguments of a forward pass that computes no more than the logits at the last position need."""
    return {"readout_only": True} if getattr(model, "can_read_out_only", False) else {}


def _reason(error: BaseException) -> str:
    """The first line of the innermost error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition("\n")[0] or type(error).__name__


def make_step(
    model: HookedModel,
    task: Task,
    train_mask: Bool[Tensor, " inputs"],
    objective: Objective,
    *,
    compile: bool = False,
) -> TrainingStep:
    """The fastest step for a network: written by hand where there is one, else autograd's.

    Move the network to its device and precision first; the step keeps buffers there.

    Args:
        train_mask: [n_inputs], which inputs of the task are trained on.
        compile: compile a network that goes through autograd.

    Raises:
        TaskError: the task does not fit the network.
        ConfigError: the mask is not one boolean per input, or selects none; the network is to be compiled, and
            cannot be, or has a step written by hand, in which there is nothing to compile.

    >>> from mechgrok import ModelConfig, build_model, modular_task
    >>> from mechgrok.training.objectives import CrossEntropy
    >>> task = modular_task("add", 7)
    >>> model = build_model(task, ModelConfig(d_model=16), seed=0)
    >>> step = make_step(model, task, task.split(0.5).train, CrossEntropy())
    >>> step.kind, step().dtype, model.embed.W_E.grad.shape
    ('fast', torch.float64, torch.Size([8, 16]))
    """
    task = fit_task(model, task)
    if train_mask.dtype != torch.bool or train_mask.shape != task.labels.shape or not train_mask.any():
        raise ConfigError(
            f"a train mask holds one boolean for each of the {task.n_inputs} inputs of {task.name} and "
            f"selects some; got {train_mask.dtype} of shape {tuple(train_mask.shape)} selecting "
            f"{int(train_mask.count_nonzero())}. task.split(fraction).train is one"
        )
    for step in HAND_WRITTEN:
        if step.supports(model):
            if compile:
                raise ConfigError(
                    "compile=True is for networks that go through autograd; this one has a faster step, written by "
                    "hand, in which there is nothing to compile; leave compile out"
                )
            return step(model, task, train_mask, objective)
    return AutogradStep(model, task, train_mask, objective, compile=compile)
