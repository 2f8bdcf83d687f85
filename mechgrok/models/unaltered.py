"""Check that a network is fully described by its weights and configuration, and that it is still the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mechgrok.registries import NETWORKS

_NETWORKS = tuple(str(NETWORKS[name].function).partition(":")[0] for name in NETWORKS.names)
_HOOK_POINTS = "transformer_lens.hook_points"
"""Given by name: code that has a network has loaded these modules, and analyses of bare tensors need none of them."""
_CONTAINERS = (nn.ModuleList, nn.Identity)
_BOOKKEEPING = ("training", "hook_dict", "mod_dict", "is_caching", "context_level")
"""Attributes of modules that do not affect the result of a pass; measurements are made in evaluation mode."""
_VALUES = (int, float, str, bool, tuple, type(None))


def is_unaltered(model: object) -> bool:
    """Whether a network is one of mechgrok's classes, with every part as built and no hooks.

    Such a network is a function of only its weights, buffers and settings, which `NetworkState` compares. A
    user-defined class, a replaced part, a parametrised weight or a hook of any kind can do anything.

    >>> from mechgrok import ModelConfig, build_model, modular_task
    >>> model = build_model(modular_task("add", 5), ModelConfig(d_model=16), seed=0)
    >>> is_unaltered(model)
    True
    >>> model.blocks[0].mlp = nn.Linear(16, 16)
    >>> is_unaltered(model)
    False
    """
    return (
        isinstance(model, nn.Module)
        and type(model).__module__ in _NETWORKS
        and all(map(_is_as_built, model.modules()))
    )


def has_linear_readout(model: Any) -> bool:
    """Whether the logits are certain to be the last hidden layer's neurons times W_L, plus terms independent of them.

    >>> from mechgrok import ModelConfig, build_model, modular_task
    >>> task = modular_task("add", 5)
    >>> [has_linear_readout(build_model(task, ModelConfig(d_model=16, normalization=n), seed=0)) for n in (None, "LN")]
    [True, False]
    """
    return is_unaltered(model) and getattr(model.cfg, "normalization", None) is None


@dataclass(frozen=True)
class NetworkState:
    """Everything that a pass through an unaltered network depends on.

    The values of the weights are kept and compared, not their addresses or versions: `weight.data[...] = 0` changes
    neither.
    """

    settings: Mapping[tuple[str, str], Any]
    weights: Mapping[str, Tensor]

    @staticmethod
    def of(model: Any) -> "NetworkState":
        """The current state; the weights are copied."""
        return NetworkState(_settings(model), {name: w.clone() for name, w in _weights(model).items()})

    def is_that_of(self, model: Any) -> bool:
        """Whether the network is still in this state."""
        settings, weights = _settings(model), _weights(model)
        return (
            settings.keys() == self.settings.keys()
            and weights.keys() == self.weights.keys()
            and all(_same(settings[name], value) for name, value in self.settings.items())
            and all(_equal(weights[name], weight) for name, weight in self.weights.items())
        )


def _is_as_built(module: nn.Module) -> bool:
    known = type(module).__module__ in (*_NETWORKS, _HOOK_POINTS) or type(module) in _CONTAINERS
    hooked = module._forward_hooks or module._forward_pre_hooks
    return known and not hooked and "forward" not in vars(module)


def _settings(model: nn.Module) -> dict[tuple[str, str], Any]:
    """Attributes of modules besides weights and other modules: sizes, the activation function, the configuration."""
    return {
        (path, name): value
        for path, module in model.named_modules()
        if type(module).__module__ != _HOOK_POINTS
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in _BOOKKEEPING
    }


def _weights(model: nn.Module) -> dict[str, Tensor]:
    named = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
    return {name: tensor.detach() for name, tensor in named}


def _same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, _VALUES) and type(a) is type(b) and a == b)


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)
