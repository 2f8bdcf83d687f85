"""Registries of everything that configuration fields name and users can add: optimizers, initial weights, and so on.

The registries are defined here, below everything that fills them, so that a configuration knows every name before
anything is imported. The content of each registry, and the properties of its entries, are described next to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mechgrok.errors import ConfigError, shown
from mechgrok.registry import Registry, module_of


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


@dataclass(frozen=True)
class ObjectiveEntry:
    """The objective that a run minimises.

    Attributes:
        function: called with the `TrainConfig`; returns an `Objective`, such as a `LossFunction` around a user's
            own function.
        title: name of its loss, for axes; by default the objective's name.
        unit: unit of the loss; empty if none.
    """

    function: Callable[..., Any]
    title: str = ""
    unit: str = ""


NATS = "nats"
"""The unit of cross-entropies, whose logarithm is the natural one."""
CROSS_ENTROPY = "cross_entropy"
"""The objective whose losses have no other name than "loss" in a history."""
OBJECTIVES: Registry[ObjectiveEntry] = Registry(
    "objective", ("cross_entropy", "mse", "stablemax"), "mechgrok.training.objectives", of=ObjectiveEntry
)
"""`TrainConfig.objective`: what is minimised."""

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
"""`TrainConfig.decay_towards`: the target towards which the weights decay."""

Draw = Callable[..., Any]
"""Called as draw(path, shape, config, generator) for each parameter of a new network; returns a tensor of that shape,
drawn only from the generator. `path` is the parameter's name, such as "blocks.0.mlp.W_in". It is not called for
norms, which start as the identity."""

INITS: Registry[Draw] = Registry(
    "scheme of initial weights", ("nanda", "nanda-heads", "pizza", "furuta", "tl"), "mechgrok.models.init"
)
"""`ModelConfig.init`: initial weights of a transformer."""

MLP_INITS: Registry[Draw] = Registry(
    "scheme of initial weights",
    ("pizza", "fan_in", "xavier", "pair", "pair_circle", "gromov"),
    "mechgrok.models.init",
)
"""`MLPConfig.init`: initial weights of a feed-forward network."""

SPLIT_RULES: Registry[Callable[..., Any]] = Registry(
    "split rule", ("shuffle", "randperm", "unordered"), "mechgrok.tasks.splits"
)
"""`TrainConfig.split_rule`: the choice of train inputs. Called as rule(operands, fraction, seed) with the operands
[n_inputs, arity]; returns the indices of the train inputs."""


@dataclass(frozen=True)
class NetworkEntry:
    """A family of networks.

    Attributes:
        function: called as function(config, seed); a class that derives from `HookedNetwork`. The seed is None if
            weights are to be loaded. Or its location, "module:name", imported with the first network.
        config: class of its architectures, a `NetworkConfig`.
    """

    function: Callable[..., Any] | str
    config: Any = None


class Networks(Registry[NetworkEntry]):
    """Families of networks by their kind."""

    def register(self, name: str, thing: NetworkEntry) -> NetworkEntry:
        """As in every registry.

        Raises:
            ConfigError: also if there is no class of configurations, or its kind has a different name.
        """
        if isinstance(thing, NetworkEntry):
            kind = getattr(thing.config, "model_fields", {}).get("kind")
            if kind is None or kind.default != name or name == CUSTOM:
                raise ConfigError(
                    f"a network is registered with the class of its configurations, @NETWORKS.add({shown(name)}, "
                    "config=MyConfig), in which it is the kind, kind: Literal['name'] = 'name', and is not "
                    f"{CUSTOM!r}; got {shown(thing.config)} with the kind {getattr(kind, 'default', None)!r}"
                )
        return super().register(name, thing)


CUSTOM = "custom"
"""The kind of a user-defined network that is not registered."""

NETWORKS = Networks(
    "kind of network",
    ("transformer", "mlp", "dense"),
    "mechgrok.config",
    of=NetworkEntry,
    written_in=lambda entry: module_of(entry.config),
)
"""`TrainConfig.model`: the family of a network. An entry has its class and the class of its configurations."""
