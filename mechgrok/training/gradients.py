"""Filters applied to gradients before the optimizer sees them, by name, in `mechgrok.GRADIENTS`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from mechgrok.config import TrainConfig
from mechgrok.registries import GRADIENTS

STATE_SEPARATOR = "|"
"""Separates the parts of a name in a stored state."""


class GradientFilter(ABC):
    """An in-place change of the gradients before the optimizer sees them.

    Derive from it and register the class: `@GRADIENTS.add("mine")`. One object is created per run and called in every
    step, for each parameter that has a gradient.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    @abstractmethod
    def __call__(self, name: str, weight: Tensor, gradient: Tensor) -> None:
        """Change the gradient of the parameter with this name in place."""

    def state(self) -> dict[str, Tensor]:
        """Tensors needed to resume a run, by name."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027 - most filters have no state
        """Restore the tensors returned by `state`."""


@GRADIENTS.add("plain", elementwise=True)
def unfiltered(config: TrainConfig) -> None:
    """Gradients unchanged."""


@GRADIENTS.add("grokfast_ema", elementwise=True)
class GrokfastEMA(GradientFilter):
    """Adds lambda times the exponential moving average of the gradient (Lee et al. 2024, Grokfast-EMA)."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        self.alpha, self.strength = config.grokfast_alpha, config.grokfast_lambda
        self.average: dict[str, Tensor] = {}

    def __call__(self, name: str, weight: Tensor, gradient: Tensor) -> None:
        average = self.average.setdefault(name, gradient.clone())
        average.lerp_(gradient, 1 - self.alpha)
        gradient.add_(average, alpha=self.strength)

    def state(self) -> dict[str, Tensor]:
        return self.average

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.average = dict(state)


@GRADIENTS.add("grokfast_ma", elementwise=True)
class GrokfastMA(GradientFilter):
    """Adds lambda times the mean of the last `window` gradients, once there are that many (Lee et al. 2024)."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        self.window, self.strength = config.grokfast_window, config.grokfast_lambda
        self.ring: dict[str, Tensor] = {}
        self.seen: dict[str, int] = {}

    def __call__(self, name: str, weight: Tensor, gradient: Tensor) -> None:
        if name not in self.ring:
            self.ring[name] = gradient.new_zeros(self.window, *gradient.shape)
            self.seen[name] = 0
        self.ring[name][self.seen[name] % self.window] = gradient
        self.seen[name] += 1
        if self.seen[name] >= self.window:
            gradient.add_(self.ring[name].mean(0), alpha=self.strength)

    def state(self) -> dict[str, Tensor]:
        return {f"{n}{STATE_SEPARATOR}ring": t for n, t in self.ring.items()} | {
            f"{n}{STATE_SEPARATOR}seen": torch.tensor(count) for n, count in self.seen.items()
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        pairs = [(*key.split(STATE_SEPARATOR), tensor) for key, tensor in state.items()]
        self.ring = {name: tensor for name, kind, tensor in pairs if kind == "ring"}
        self.seen = {name: int(tensor) for name, kind, tensor in pairs if kind == "seen"}


@GRADIENTS.add("orthograd")
class OrthoGrad(GradientFilter):
    """Removes the component along the weights and restores the length (Prieto et al. 2025, perpGrad)."""

    def __call__(self, name: str, weight: Tensor, gradient: Tensor) -> None:
        w, g = weight.detach().flatten(), gradient.flatten()
        orthogonal = g - (w @ g) / (w @ w + 1e-30) * w
        orthogonal *= g.norm() / (orthogonal.norm() + 1e-30)
        gradient.copy_(orthogonal.view_as(gradient))
