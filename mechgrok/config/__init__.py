"""Closed configurations: what a network, a training and a run are made of.

Every class here is frozen, refuses unknown keys, and goes to JSON and back unchanged. Values that follow
from others are properties, never fields, so that they cannot disagree.
"""

from mechgrok.config.architectures import (
    Activation,
    CustomConfig,
    DenseConfig,
    MLPConfig,
    ModelConfig,
    NetworkConfig,
    as_architecture,
)
from mechgrok.config.base import (
    Config,
    Count,
    Decay,
    Fraction,
    NonNegative,
    OpenSize,
    Positive,
    Rate,
    Seed,
    Size,
    check_seed,
    registry_of,
)
from mechgrok.config.training import (
    AllTrainChanges,
    RunConfig,
    StartConfig,
    TrainChanges,
    TrainConfig,
    registered_names,
)

__all__ = [
    "Activation",
    "AllTrainChanges",
    "Config",
    "Count",
    "CustomConfig",
    "Decay",
    "DenseConfig",
    "Fraction",
    "MLPConfig",
    "ModelConfig",
    "NetworkConfig",
    "NonNegative",
    "OpenSize",
    "Positive",
    "Rate",
    "RunConfig",
    "Seed",
    "Size",
    "StartConfig",
    "TrainChanges",
    "TrainConfig",
    "as_architecture",
    "check_seed",
    "registered_names",
    "registry_of",
]
