"""What turns gradients into updates: gradient filters, optimisers and weight decay, freely combined."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mechgrok.config import TrainConfig
from mechgrok.errors import ConfigError
from mechgrok.training.parts import parameters_of

STATE_SEPARATOR = "|"
NOT_FOR_MUON = ("W_E", "W_pos", "W_U")


class GradientFilter(ABC):
    """Something done to the gradients in place, before the optimiser sees them."""

    @abstractmethod
    def __call__(self, name: str, weight: Tensor, gradient: Tensor) -> None: ...

    def state(self) -> dict[str, Tensor]:
        """Tensors that a resumed training needs, by name."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027 - most filters have no state
        """Take back what `state` gave."""


class GrokfastEMA(GradientFilter):
    """Adds lambda times the exponential moving average of the gradient (Lee et al. 2024, Grokfast-EMA)."""

    def __init__(self, alpha: float, strength: float) -> None:
        self.alpha, self.strength = alpha, strength
        self.average: dict[str, Tensor] = {}

    def __call__(self, name: str, weight: Tensor, gradient: Tensor) -> None:
        average = self.average.setdefault(name, gradient.clone())
        average.lerp_(gradient, 1 - self.alpha)
        gradient.add_(average, alpha=self.strength)

    def state(self) -> dict[str, Tensor]:
        return self.average

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.average = dict(state)


class GrokfastMA(GradientFilter):
    """Adds lambda times the mean of the last `window` gradients, once there are as many (Lee et al. 2024)."""

    def __init__(self, window: int, strength: float) -> None:
        self.window, self.strength = window, strength
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


class OrthoGrad(GradientFilter):
    """Removes the component along the weights and restores the length (Prieto et al. 2025, perpGrad)."""

    def __call__(self, name: str, weight: Tensor, gradient: Tensor) -> None:
        w, g = weight.detach().flatten(), gradient.flatten()
        orthogonal = g - (w @ g) / (w @ w + 1e-30) * w
        orthogonal *= g.norm() / (orthogonal.norm() + 1e-30)
        gradient.copy_(orthogonal.view_as(gradient))


class Updater:
    """One update of the weights of a network from the gradients that its parameters hold.

    Weight decay is decoupled, w <- w - lr * decay * (w - target), whatever the optimiser, where the target are the
    initial weights. Towards zero it is the optimiser's own: the same for AdamW and Muon, while Adam and SGD add
    decay * w to the gradient (L2). Every parameter decays, biases and embeddings included, as in the papers' code,
    except those that the configuration freezes.

    Attributes:
        parameters: those that are trained.
        groups: for each optimiser its `settings` and the names of the `parameters` that it updates.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.config = config
        frozen = parameters_of(model, config.frozen)
        self.parameters = {name: w for name, w in model.named_parameters() if name not in frozen}
        if not self.parameters:
            raise ConfigError(f"frozen={config.frozen} leaves nothing of the network to train")
        self.filter = _make_filter(config)
        self.initial = (
            {name: weight.detach().clone() for name, weight in self.parameters.items()}
            if config.decay_towards == "init"
            else {}
        )
        decay = 0.0 if self.initial else config.weight_decay
        names = _by_optimizer(self.parameters, config)
        self.optimizers = {
            kind: _make_optimizer(kind, {name: self.parameters[name] for name in names[kind]}, config, decay)
            for kind in names
        }
        self.groups = {
            kind: {"settings": _settings(optimizer, config), "parameters": names[kind]}
            for kind, optimizer in self.optimizers.items()
        }

    @torch.no_grad()
    def __call__(self, step: int) -> None:
        """Take the update number `step`, counted from 0."""
        lr = self.config.lr * warmup_factor(step, self.config.warmup)
        if self.filter is not None:
            for name, weight in self.parameters.items():
                if weight.grad is not None:
                    self.filter(name, weight, weight.grad)
        for name, initial in self.initial.items():
            self.parameters[name].lerp_(initial, lr * self.config.weight_decay)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()

    def state(self) -> dict[str, Tensor]:
        """All that a resumed training needs besides the weights, as tensors by name."""
        filtered = self.filter.state() if self.filter else {}
        tensors = {f"filter{STATE_SEPARATOR}{key}": tensor for key, tensor in filtered.items()}
        tensors |= {f"initial{STATE_SEPARATOR}{name}": tensor for name, tensor in self.initial.items()}
        for kind, optimizer in self.optimizers.items():
            for name, weight in self.parameters.items():
                for key, value in optimizer.state.get(weight, {}).items():
                    if value is not None:
                        path = STATE_SEPARATOR.join(("optimizer", kind, name, key))
                        tensors[path] = torch.as_tensor(value)
        return tensors

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        filter_state = {}
        for path, tensor in state.items():
            match path.split(STATE_SEPARATOR, 1):
                case ["filter", key]:
                    filter_state[key] = tensor
                case ["initial", name]:
                    self.initial[name].copy_(tensor)
                case ["optimizer", rest]:
                    kind, name, key = rest.split(STATE_SEPARATOR)
                    self.optimizers[kind].state[self.parameters[name]][key] = tensor.clone()
        if self.filter is not None:
            self.filter.load(filter_state)


def warmup_factor(step: int, warmup: int) -> float:
    """Multiplier of the learning rate at update number `step`: linear from 0 to 1 over `warmup` updates."""
    return min(step / warmup, 1.0) if warmup else 1.0


def _make_filter(config: TrainConfig) -> GradientFilter | None:
    match config.gradient:
        case "grokfast_ema":
            return GrokfastEMA(config.grokfast_alpha, config.grokfast_lambda)
        case "grokfast_ma":
            return GrokfastMA(config.grokfast_window, config.grokfast_lambda)
        case "orthograd":
            return OrthoGrad()
    return None


def _by_optimizer(parameters: Mapping[str, nn.Parameter], config: TrainConfig) -> dict[str, list[str]]:
    """Names of the parameters that each optimiser updates; an optimiser without any is left out."""
    if config.optimizer != "muon":
        return {config.optimizer: list(parameters)}
    matrices = [name for name in parameters if _is_for_muon(name)]
    others = [name for name in parameters if not _is_for_muon(name)]
    return {kind: names for kind, names in (("muon", matrices), ("adamw", others)) if names}


def _is_for_muon(name: str) -> bool:
    """Whether it is a matrix between hidden dimensions; the biases of several heads lie in rows, and are none."""
    weight = name.rpartition(".")[2]
    return weight.startswith("W_") and weight not in NOT_FOR_MUON


def _make_optimizer(
    kind: str, weights: Mapping[str, nn.Parameter], config: TrainConfig, decay: float
) -> "torch.optim.Optimizer | MatrixMuon":
    if kind == "muon":
        return MatrixMuon(weights, lr=config.lr, weight_decay=decay)
    if kind == "sgd":
        return torch.optim.SGD(weights.values(), lr=config.lr, momentum=config.momentum, weight_decay=decay)
    adam = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    return adam(
        weights.values(), lr=config.lr, betas=config.betas, eps=config.eps, weight_decay=decay, fused=True
    )


def _settings(optimizer: "torch.optim.Optimizer | MatrixMuon", config: TrainConfig) -> dict[str, Any]:
    """What the optimiser was given, without what torch chose by itself; the learning rate before any warm-up.

    The weight decay is the configuration's, with its target: towards the initial weights no optimiser sees it.
    """
    group = optimizer.param_groups[0]
    given = {
        name: value
        for name, value in group.items()
        if name != "params" and value is not None and value is not False  # a decay of 0 is a setting
    }
    return given | {"weight_decay": config.weight_decay, "decay_towards": config.decay_towards}


class MatrixMuon:
    """torch's Muon, taking the heads of an attention weight together as one matrix.

    torch refuses anything but matrices. [head, d_model, d_head] becomes [d_model, head * d_head], and W_O
    [head, d_head, d_model] becomes [head * d_head, d_model]. The update is scaled to the size of AdamW's, so
    that one learning rate serves both (Tveit et al. 2025 compare the two on grokking).
    """

    def __init__(self, weights: Mapping[str, nn.Parameter], *, lr: float, weight_decay: float) -> None:
        self.weights = weights
        self.matrices = {
            name: nn.Parameter(_as_matrix(name, w.detach()).clone()) for name, w in weights.items()
        }
        self.muon = torch.optim.Muon(
            self.matrices.values(), lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The settings that torch's optimisers keep under this name."""
        return self.muon.param_groups

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """State of each weight of the network."""
        return {weight: self.muon.state[self.matrices[name]] for name, weight in self.weights.items()}

    def step(self) -> None:
        """One update of the network's own weights."""
        for name, weight in self.weights.items():
            if weight.grad is not None:
                self.matrices[name].grad = _as_matrix(name, weight.grad).contiguous()
            self.matrices[name].data.copy_(_as_matrix(name, weight.detach()))
        self.muon.step()
        for name, weight in self.weights.items():
            weight.data.copy_(_as_heads(name, self.matrices[name].detach(), weight.shape))


def _as_matrix(name: str, weight: Tensor) -> Tensor:
    if weight.ndim == 2:
        return weight
    return weight.flatten(0, 1) if name.endswith("W_O") else weight.transpose(0, 1).flatten(1)


def _as_heads(name: str, matrix: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) == 2 or name.endswith("W_O"):
        return matrix.view(shape)
    return matrix.view(shape[1], shape[0], shape[2]).transpose(0, 1)
