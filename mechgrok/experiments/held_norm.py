"""Trainings at a fixed norm of the weights: AdamW that scales them back after each step."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mechgrok.config import TrainConfig
from mechgrok.experiments.trainings import train_kept
from mechgrok.registries import OPTIMIZERS, OptimizerEntry
from mechgrok.runs import HistoryRow
from mechgrok.tasks import Task
from mechgrok.tasks.data import seeded

N = TypeVar("N", bound=nn.Module)
TINY = torch.finfo(torch.float32).tiny


class HeldNorm(torch.optim.AdamW):
    """AdamW that gives weights together one norm after each step, from one step on.

    Args:
        weights: all weights by name.
        config: gives the other settings of AdamW.
        norm: root of the sum of squares of the held weights; None holds the norm that they have now.
        since: the first step after which the norm is held.
        biases: whether vectors are held too; otherwise they are free, and do not decay.
        tangent: whether gradients lose their part along the held weights. Without that the smallest loss at this norm
            is no point of rest unless it is a stationary point at every norm: Adam scales each coordinate, which turns
            a gradient along the weights into a step to the side.
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        config: TrainConfig,
        *,
        norm: float | None = None,
        since: int = 1,
        biases: bool = True,
        tangent: bool = False,
    ) -> None:
        self.held = [weight for weight in weights.values() if biases or weight.ndim > 1]
        free = [weight for weight in weights.values() if not (biases or weight.ndim > 1)]
        groups = [{"params": self.held}, *([{"params": free, "weight_decay": 0.0}] if free else [])]
        super().__init__(
            groups,
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.norm, self.since = norm_of(self.held) if norm is None else norm, since
        self.tangent = tangent

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        if self.tangent:
            self._remove_part_along_weights()
        super().step()
        if self.state[self.held[0]]["step"] >= self.since:
            factor = self.norm / max(norm_of(self.held), TINY)  # zeros remain zeros
            for weight in self.held:
                weight.mul_(factor)

    def _remove_part_along_weights(self) -> None:
        pairs = [(weight, weight.grad) for weight in self.held if weight.grad is not None]
        along = sum((weight * gradient).sum(dtype=torch.float64) for weight, gradient in pairs)
        share = float(along) / max(norm_of(self.held) ** 2, TINY)
        for weight, gradient in pairs:
            gradient.sub_(weight, alpha=share)


def norm_of(weights: list[nn.Parameter]) -> float:
    """Root of the sum of squares of all weights, summed in float64.

    >>> norm_of([nn.Parameter(torch.tensor([3.0])), nn.Parameter(torch.tensor([[4.0]]))])
    5.0
    """
    squares: list[Tensor] = [weight.detach().square().sum(dtype=torch.float64) for weight in weights]
    return torch.stack(squares).sum().sqrt().item()


def scaled(network: N, factor: float) -> N:
    """A copy of a network with all of its weights, biases included, times a factor."""
    other = deepcopy(network)
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(factor)
    return other


def as_linear(network: N, *what: str | int) -> N:
    """A copy of a network with the initial weights of torch.nn.Linear: uniform within 1/sqrt(inputs), biases too.

    Args:
        network: every bias follows its matrix [inputs, outputs], as in a `HookedDense`.
        what: determines the draw.
    """
    other, generator, bound = deepcopy(network), seeded("linear", *what), 1.0
    with torch.no_grad():
        for weight in other.parameters():
            bound = weight.shape[0] ** -0.5 if weight.ndim > 1 else bound
            weight.copy_((2 * torch.rand(weight.shape, generator=generator) - 1) * bound)
    return other


def history_at_norm(
    task: Task,
    recipe: TrainConfig,
    network: nn.Module,
    alpha: float,
    *,
    tangent: bool = False,
    seed: int = 0,
) -> Sequence[HistoryRow]:
    """The history of a training that starts at a network's weights times alpha, and keeps their norm."""
    with held_norm(tangent=tangent) as optimizer:
        held = recipe.replace(optimizer=optimizer)
        return train_kept(task, held, seed=seed, start=scaled(network, alpha)).history


@contextmanager
def held_norm(*, norm: float | None = None, **settings: Any) -> Iterator[str]:
    """The name under which `HeldNorm` with these settings is an optimizer, for as long as it is needed."""
    name = f"adamw_at_{'initial_norm' if norm is None else f'norm_{norm:z.4g}'}"
    name += "_tangent" if settings.get("tangent") else ""
    OPTIMIZERS[name] = OptimizerEntry(partial(_held, {"norm": norm, **settings}))
    try:
        yield name
    finally:
        del OPTIMIZERS[name]


def _held(
    settings: Mapping[str, Any],
    weights: Mapping[str, nn.Parameter],
    config: TrainConfig,
    weight_decay: float,
) -> HeldNorm:
    return HeldNorm(weights, config, **settings)
