"""One training step: the loss of a batch and its gradient, hand-written if possible, otherwise by autograd."""

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
from mechgrok.models.readout import Positions, outputs_of
from mechgrok.signature import Classes, Signature, Tokens
from mechgrok.tasks import Batch, Data, Finite, Task
from mechgrok.training.objectives import Objective

EVALUATION_ROWS = 4096
"""Inputs per forward pass when outputs are requested."""


@runtime_checkable
class TrainingStep(Protocol):
    """Loss and gradient of a network on the data of a task."""

    kind: ClassVar[Literal["fast", "autograd"]]

    def __call__(self, update: int = 0) -> Float[Tensor, ""]:
        """Mean loss of the batch of an update, in float64; overwrites every parameter's `.grad` with its gradient."""
        ...

    def logits(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "_ *scored d_out"]:
        """Outputs for some or all of the data's examples, without a graph; [n, scored, d_out] for several positions."""
        ...


@runtime_checkable
class HandWrittenStep(TrainingStep, Protocol):
    """A step for all train inputs of a finite task at once, for the networks that it supports."""

    def __init__(
        self, model: Any, task: Task, train_mask: Bool[Tensor, " inputs"], objective: Objective
    ) -> None: ...

    @staticmethod
    def supports(model: object) -> bool: ...


HAND_WRITTEN: tuple[type[HandWrittenStep], ...] = (FastStep, FastMLPStep)
"""Steps, in the order in which `make_step` tries them."""


class AutogradStep:
    """A step for any network on any data, by automatic differentiation of the outputs at the scored positions.

    Args:
        signature: gives the positions at which the network is read.
        compile: compile the network for its gradients with `torch.compile`; takes up to a minute, immediately. Meant
            for batches of one size; at a different size torch compiles once more.

    Raises:
        ConfigError: no compiler is available, or the network cannot be compiled.
    """

    kind: ClassVar[Literal["fast", "autograd"]] = "autograd"

    def __init__(
        self,
        model: HookedModel,
        signature: Signature,
        data: Data,
        objective: Objective,
        *,
        compile: bool = False,
    ) -> None:
        self.model, self.signature, self.objective = model, signature, objective
        self.data = data.to(device_of(model))
        self.compiled: Callable[[Tensor, Positions], Tensor] | None = None
        if compile:
            self._compile()

    def __call__(self, update: int = 0) -> Float[Tensor, ""]:
        batch = self.data.batch(update)
        for _, parameter in self.model.named_parameters():
            parameter.grad = None
        with torch.enable_grad():
            outputs = (self.compiled or self._run)(batch.inputs, batch.read_at(self.signature))
        loss, gradient = self._loss_and_gradient(outputs, batch)
        outputs.backward(gradient)
        return loss

    @torch.no_grad()
    def logits(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "_ *scored d_out"]:
        examples = self.data.examples
        examples = examples if rows is None else examples[rows.to(examples.inputs.device)]
        with evaluation_mode(self.model):
            parts = examples.split(EVALUATION_ROWS)
            outputs = torch.cat([self._run(part.inputs, part.read_at(self.signature)) for part in parts])
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _run(self, inputs: Tensor, scored: Positions) -> Float[Tensor, "batch scored d_out"]:
        return outputs_of(self.model, inputs, scored)

    def _loss_and_gradient(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Every scored position counts as a separate example."""
        # The objective may work in place, so it gets a copy: the graph may need the outputs themselves.
        flat = outputs.detach().flatten(0, 1).clone()
        loss, gradient = self.objective.loss_and_gradient(flat, batch.flat_targets)
        return loss, gradient.view_as(outputs)

    def _compile(self) -> None:
        """Compile forward and backward by running them; torch would defer this, and its errors, to the first step.

        The compiled code serves one number of inputs; for a second number torch compiles again, for any number.
        """
        try:
            self.compiled = torch.compile(self._run)
            self()
        except Exception as error:
            raise ConfigError(
                f"compile=True failed: {_reason(error)}. torch.compile needs a C++ compiler (g++, clang++ or cl), on a "
                "GPU Triton as well; leave compile out"
            ) from error


def make_step(
    model: HookedModel, task: Task, data: Data, objective: Objective, *, compile: bool = False
) -> TrainingStep:
    """The fastest step for a network and data: hand-written if there is one, otherwise autograd's.

    Move the network to its device and precision first; the step keeps buffers there.

    Args:
        data: the training data, as returned by `task.data`.
        compile: whether to compile a network that uses autograd.

    Raises:
        TaskError: the task does not fit the network.
        ConfigError: the network is to be compiled, and cannot be, or has a hand-written step, in which there is
            nothing to compile.

    >>> from mechgrok import ModelConfig, build_model, modular_task
    >>> from mechgrok.training.objectives import CrossEntropy
    >>> task = modular_task("add", 7)
    >>> model = build_model(task, ModelConfig(d_model=16), seed=0)
    >>> step = make_step(model, task, task.data(task.split(0.5)), CrossEntropy())
    >>> step.kind, step().dtype, model.embed.W_E.grad.shape
    ('fast', torch.float64, torch.Size([8, 16]))
    """
    task = fit_task(model, task)
    whole = isinstance(data, Finite) and not data.batch_size
    written = step_written_for(model, task.signature) if whole else None
    if written is None or not isinstance(data, Finite):
        return AutogradStep(model, task.signature, data, objective, compile=compile)
    if compile:
        raise ConfigError(
            "compile=True is for networks that go through autograd; this one has a faster step, written by "
            "hand, in which there is nothing to compile; leave compile out"
        )
    return written(model, task, data.train_mask, objective)


def step_written_for(model: object, signature: Signature) -> Callable[..., HandWrittenStep] | None:
    """The hand-written step for a network on tokens with classes read at the last position.

    It takes all train inputs at once. None if there is none, so that gradients use autograd.
    """
    plain = isinstance(signature.inputs, Tokens) and isinstance(signature.outputs, Classes)
    if not (plain and signature.reads_last):
        return None
    return next((step for step in HAND_WRITTEN if step.supports(model)), None)


def _reason(error: BaseException) -> str:
    """The first line of the innermost error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition("\n")[0] or type(error).__name__
