"""Several networks of one architecture as one: their weights stacked, [members, ...] under their usual names."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, TypeVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.networks import make_network
from mechgrok.tasks import Task

N = TypeVar("N", bound=HookedNetwork)


def stack_weights(models: Sequence[N]) -> N:
    """A network that holds the weights of all.

    The weights of the given networks become views of these, so that an update of the stack is one of theirs.

    >>> from mechgrok import ModelConfig, build_model, modular_task
    >>> models = [build_model(modular_task("add", 5), ModelConfig(d_model=8), seed=seed) for seed in (0, 1)]
    >>> stack_weights(models).embed.W_E.shape
    torch.Size([2, 6, 8])
    """
    stack = network_like(models[0])
    for name, weight in stack.named_parameters():
        weight.data = torch.stack([model.get_parameter(name).detach() for model in models])
        for model, own in zip(models, weight.data, strict=True):
            model.get_parameter(name).data = own
    return stack


def some_of(stack: N, own: slice) -> N:
    """A stack of some members, whose weights are views of those of all."""
    some = network_like(stack)
    for name, weight in stack.named_parameters():
        some.get_parameter(name).data = weight.data[own]
    return some


def network_like(model: N) -> N:
    """A network of the same architecture, device and precision, whose weights are still to be filled in."""
    weight = next(model.parameters())
    return cast(N, make_network(model.cfg).to(weight.device, weight.dtype))


class WrittenStackedStep(ABC):
    """What hand-written steps of stacked networks share: gradients in place, and logits once for each update.

    Args:
        stack: a network whose weights are those of several, [members, ...] under their usual names.
    """

    kind: ClassVar[Literal["fast", "autograd"]] = "fast"

    def __init__(self, stack: HookedNetwork) -> None:
        self.grads: dict[nn.Parameter, Tensor] = {w: torch.zeros_like(w) for w in stack.parameters()}
        self._logits: Tensor | None = None

    @torch.no_grad()
    def __call__(self) -> None:
        """Overwrite every parameter's `.grad` with the gradients of each network's own mean loss."""
        self._logits = None
        self.write_gradients()
        for parameter, gradient in self.grads.items():
            parameter.grad = gradient

    @torch.no_grad()
    def logits(self, member: int) -> Float[Tensor, "inputs d_vocab_out"]:
        """Logits of one network on all inputs of the task; all of them are computed together, once per update."""
        if self._logits is None:
            self._logits = self.all_logits()
        return self._logits[member]

    @abstractmethod
    def write_gradients(self) -> None:
        """Overwrite `grads`, whose tensors stay."""

    @abstractmethod
    def all_logits(self) -> Float[Tensor, "members inputs d_vocab_out"]:
        """Logits of every network on all inputs of the task."""


def side_by_side(train_masks: Sequence[Bool[Tensor, " inputs"]], like: Tensor) -> tuple[
    Int[Tensor, "members rows"], Float[Tensor, "members rows 1"] | None
]:  # fmt: skip
    """The train inputs of each member, the shorter lists filled up with the first input, and what fills up for nothing.

    Returns:
        Numbers of inputs, and factors on the gradients of their outputs in the mean over the longest list: they make
        it the mean over each member's own, with 0 for what was only filled in. None where all are equally long.

    >>> few, many = torch.tensor([False, True]), torch.tensor([True, True])
    >>> rows, share = side_by_side([few, many], torch.zeros(1))
    >>> rows.tolist(), share[..., 0].tolist()
    ([[1, 0], [0, 1]], [[2.0, 0.0], [1.0, 1.0]])
    """
    rows = [mask.to(like.device).nonzero().flatten() for mask in train_masks]
    lengths = torch.tensor([len(own) for own in rows], dtype=torch.float64, device=like.device)[:, None]
    padded = pad_sequence(rows, batch_first=True)
    longest = padded.shape[1]
    if bool((lengths == longest).all()):
        return padded, None
    filled = torch.arange(longest, device=like.device) < lengths
    return padded, (filled * (longest / lengths)).to(like.dtype)[..., None]


def labels_side_by_side(
    tasks: Sequence[Task], rows: Int[Tensor, "members rows"]
) -> Int[Tensor, "members rows"]:
    """The labels of the inputs of each member, whose tasks have the same inputs.

    >>> from mechgrok import modular_task
    >>> tasks = [modular_task(operation, 5) for operation in ("add", "sub")]
    >>> labels_side_by_side(tasks, torch.tensor([[1, 6], [1, 6]])).tolist()
    [[1, 2], [4, 0]]
    """
    return torch.stack([task.labels for task in tasks]).to(rows.device).gather(1, rows)
