"""What the fields of configurations may name, and users can add to: optimizers, initial weights, and the like.

The registries stand here, below everything that fills them, so that a configuration knows every name before
anything is imported. What one of them holds, and what an entry says about its function, is written beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mechgrok.registry import Registry


def every_parameter(name: str) -> bool:
    """Whether a parameter is one of all: what an optimizer updates that says nothing about it."""
    return True


@dataclass(frozen=True)
class OptimizerEntry:
    """An optimizer by name.

    Attributes:
        function: called as function(weights, config, weight_decay) with the parameters by name, the `TrainConfig` and
            the decay towards zero that it is to apply. It gives a `torch.optim.Optimizer`, or what has its
            `param_groups`, `state` and `step()`.
        elementwise: whether it acts on every number of a weight by itself, so that the weights of several networks can
            be stacked.
        takes: whether it updates a parameter, by name; AdamW updates the others.
    """

    function: Callable[..., Any]
    elementwise: bool = False
    takes: Callable[[str], bool] = every_parameter


OPTIMIZERS: Registry[OptimizerEntry] = Registry(
    "optimizer", ("adamw", "adam", "sgd", "muon"), "mechgrok.training.optimizers", of=OptimizerEntry
)
"""`TrainConfig.optimizer`: what turns gradients into updates."""


@dataclass(frozen=True)
class GradientEntry:
    """Something done to gradients before the optimizer sees them.

    Attributes:
        function: called with the `TrainConfig`; gives a `GradientFilter`, or None for nothing to do. A class that
            derives from `GradientFilter` and takes the configuration is such a function.
        elementwise: as for optimizers.
    """

    function: Callable[..., Any]
    elementwise: bool = False


OBJECTIVES: Registry[Callable[..., Any]] = Registry(
    "objective", ("cross_entropy", "mse", "stablemax"), "mechgrok.training.objectives"
)
"""`TrainConfig.objective`: what is minimised. Called with the `TrainConfig`; gives an `Objective`, for instance a
`LossFunction` around a function of one's own."""

GRADIENTS: Registry[GradientEntry] = Registry(
    "gradient filter",
    ("plain", "grokfast_ema", "grokfast_ma", "orthograd"),
    "mechgrok.training.gradients",
    of=GradientEntry,
)
"""`TrainConfig.gradient`: what happens to gradients first."""


@dataclass(frozen=True)
class DecayEntry:
    """A weight decay that is taken apart from the gradient, before the optimizer's update.

    Attributes:
        function: called as function(weight, start, rate) for each parameter, with its initial value and the learning
            rate times `weight_decay`; changes the weight in place.
        by_optimizer: the optimizer applies it, as decay towards zero; the function then only says what it is.
        elementwise: as for optimizers.
    """

    function: Callable[..., None]
    by_optimizer: bool = False
    elementwise: bool = False


DECAYS: Registry[DecayEntry] = Registry(
    "weight decay", ("zero", "init", "l1"), "mechgrok.training.optimizers", of=DecayEntry
)
"""`TrainConfig.decay_towards`: where the weights are pulled."""

Draw = Callable[..., Any]
"""Called as draw(path, shape, config, generator) for each parameter of a fresh network; gives a tensor of the shape,
drawn from the generator alone. `path` is the parameter's name, such as "blocks.0.mlp.W_in". Norms start as the
identity without it."""

INITS: Registry[Draw] = Registry(
    "scheme of initial weights", ("nanda", "nanda-heads", "pizza", "furuta", "tl"), "mechgrok.models.init"
)
"""`ModelConfig.init`: how the weights of a transformer begin."""

MLP_INITS: Registry[Draw] = Registry(
    "scheme of initial weights", ("pizza", "fan_in", "xavier", "pair", "pair_circle"), "mechgrok.models.init"
)
"""`MLPConfig.init`: how those of a feed-forward network do."""

SPLIT_RULES: Registry[Callable[..., Any]] = Registry(
    "split rule", ("shuffle", "randperm", "unordered"), "mechgrok.tasks.splits"
)
"""`TrainConfig.split_rule`: which inputs are trained on. Called as rule(operands, fraction, seed) with the operands
[n_inputs, arity]; gives the numbers of the train inputs."""
