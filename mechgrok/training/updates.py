"""One update of a network: gradient filter, weight decay and optimizer, freely combined."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mechgrok.config import TrainConfig
from mechgrok.errors import ConfigError
from mechgrok.registries import DECAYS, GRADIENTS, OPTIMIZERS
from mechgrok.training.gradients import STATE_SEPARATOR
from mechgrok.training.parameters import parameters_of

OF_THE_OTHERS = "adamw"
"""The optimiser for parameters that an optimizer does not accept."""


class Updater:
    """One update of the weights of a network from the gradients that its parameters hold.

    Weight decay towards the initial weights is decoupled, w <- w - lr * decay * (w - target), whatever the optimiser.
    Decay towards zero is the optimiser's own: the same for AdamW and Muon, while Adam and SGD add decay * w to the
    gradient (L2). Every parameter decays, including biases and embeddings, as in the papers' code, except those that
    the configuration freezes.

    Attributes:
        parameters: the trained parameters.
        groups: for each optimiser its `settings` and the names of the `parameters` that it updates.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.config = config
        frozen = parameters_of(model, config.frozen)
        self.parameters = {name: w for name, w in model.named_parameters() if name not in frozen}
        if not self.parameters:
            raise ConfigError(f"frozen={config.frozen} leaves nothing of the network to train")
        self.filter = GRADIENTS[config.gradient].function(config)
        self.decay = DECAYS[config.decay_towards]
        self.initial = (
            {}
            if self.decay.by_optimizer
            else {name: weight.detach().clone() for name, weight in self.parameters.items()}
        )
        decay = config.weight_decay if self.decay.by_optimizer else 0.0
        names = _by_optimizer(self.parameters, config)
        self.optimizers = {
            kind: OPTIMIZERS[kind].function({name: self.parameters[name] for name in of_kind}, config, decay)
            for kind, of_kind in names.items()
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
            self.decay.function(self.parameters[name], initial, lr * self.config.weight_decay)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()

    def state(self) -> dict[str, Tensor]:
        """Everything needed to resume a run besides the weights, as tensors by name."""
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
        """Restore the tensors returned by `state`."""
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


def takes_weights_whole(config: TrainConfig) -> str:
    """The setting that does not act on each entry of a weight separately, and so not on stacked weights; "" if none."""
    registries = {"optimizer": OPTIMIZERS, "gradient": GRADIENTS, "decay_towards": DECAYS}
    for field, registry in registries.items():
        name = getattr(config, field)
        if not registry[name].elementwise:
            return f"{field}={name!r}"
    return ""


def _by_optimizer(parameters: Mapping[str, nn.Parameter], config: TrainConfig) -> dict[str, list[str]]:
    """Names of the parameters that each optimizer updates; optimizers without any are omitted."""
    takes = OPTIMIZERS[config.optimizer].takes
    own = [name for name in parameters if takes(name)]
    others = [name for name in parameters if not takes(name)]
    return {kind: names for kind, names in ((config.optimizer, own), (OF_THE_OTHERS, others)) if names}


def _settings(optimizer: Any, config: TrainConfig) -> dict[str, Any]:
    """The optimiser's given settings, without torch's own choices; the learning rate is the one before any warm-up.

    The weight decay is the configuration's, with its target: no optimiser sees decay towards the initial weights.
    """
    group = optimizer.param_groups[0]
    given = {
        name: value
        for name, value in group.items()
        if name != "params" and value is not None and value is not False  # a decay of 0 is a setting
    }
    return given | {"weight_decay": config.weight_decay, "decay_towards": config.decay_towards}
