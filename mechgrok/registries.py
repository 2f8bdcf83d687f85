"""Registries of everything that configuration fields name and users can add: optimizers, initial weights, and so on.

The registries are defined here, below everything that fills them, so that a configuration knows every name before
anything is imported. The content of each registry, and the properties of its entries, are described next to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mechgrok.registry import Registry


def every_parameter(name: str) -> bool:
    """Accept every parameter: the default for an optimizer that does not restrict what it updates."""
    return True


@dataclass(frozen=True)
class OptimizerEntry:
    """An entry for an optimizer.

    Attributes:
        function: called as function(weights, config, weight_decay) with the parameters by name, the `TrainConfig`
            and the decay towards zero to apply. It returns a `torch.optim.Optimizer`, or an object with its
            `param_groups`, `state` and `step()`.
        elementwise: whether it acts on every element of a weight independently, so that the weights of several
            networks can be stacked.
        takes: whether it updates a parameter, by name; AdamW updates the others.
    """

    function: Callable[..., Any]
    elementwise: bool = False
    takes: Callable[[str], bool] = every_parameter


OPTIMIZERS: Registry[OptimizerEntry] = Registry(
    "optimizer", ("adamw", "adam", "sgd", "muon"), "mechgrok.training.optimizers", of=OptimizerEntry
)
"""`TrainConfig.optimizer`: how gradients become updates."""


@dataclass(frozen=True)
class GradientEntry:
    """An entry for a transformation of gradients before the optimizer sees them.

    Attributes:
        function: called with the `TrainConfig`; returns a `GradientFilter`, or None to do nothing. A class that
            derives from `GradientFilter` and takes the configuration is such a function.
        elementwise: as for optimizers.
    """

    function: Callable[..., Any]
    elementwise: bool = False


OBJECTIVES: Registry[Callable[..., Any]] = Registry(
    "objective", ("cross_entropy", "mse", "stablemax"), "mechgrok.training.objectives"
)
"""`TrainConfig.objective`: what is minimised. Called with the `TrainConfig`; returns an `Objective`, for instance a
`LossFunction` around a user-defined function."""

GRADIENTS: Registry[GradientEntry] = Registry(
    "gradient filter",
    ("plain", "grokfast_ema", "grokfast_ma", "orthograd"),
    "mechgrok.training.gradients",
    of=GradientEntry,
)
"""`TrainConfig.gradient`: the transformation of gradients before the update."""


@dataclass(frozen=True)
class DecayEntry:
    """An entry for a weight decay, applied separately from the gradient, before the optimizer's update.

    Attributes:
        function: called as function(weight, start, rate) for each parameter, with its initial value and the learning
            rate times `weight_decay`; changes the weight in place.
        by_optimizer: whether the optimizer applies it, as decay towards zero; the function then only describes
            it.
        elementwise: as for optimizers.
    """

    function: Callable[..., None]
    by_optimizer: bool = False
    elementwise: bool = False


DECAYS: Registry[DecayEntry] = Registry(
    "weight decay", ("zero", "init"), "mechgrok.training.optimizers", of=DecayEntry
)
"""`TrainConfig.decay_towards`: what the weights are pulled towards."""

Draw = Callable[..., Any]
"""Called as draw(path, shape, config, generator) for each parameter of a new network; returns a tensor of that shape,
drawn only from the generator. `path` is the parameter's name, such as "blocks.0.mlp.W_in". It is not called for
norms, which start as the identity."""

INITS: Registry[Draw] = Registry(
    "scheme of initial weights", ("nanda", "pizza", "furuta", "tl"), "mechgrok.models.init"
)
"""`ModelConfig.init`: initial weights of a transformer."""

MLP_INITS: Registry[Draw] = Registry(
    "scheme of initial weights", ("pizza", "fan_in", "xavier"), "mechgrok.models.init"
)
"""`MLPConfig.init`: initial weights of a feed-forward network."""

SPLIT_RULES: Registry[Callable[..., Any]] = Registry(
    "split rule", ("shuffle", "randperm", "unordered"), "mechgrok.tasks.splits"
)
"""`TrainConfig.split_rule`: which inputs are trained on. Called as rule(operands, fraction, seed) with the operands
[n_inputs, arity]; returns the indices of the train inputs."""
