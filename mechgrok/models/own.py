"""User-defined networks in training: made by a function of the user, since no file can hold their code."""

from collections.abc import Callable
from typing import Any

import torch

from mechgrok.config import CustomConfig, check_seed
from mechgrok.errors import ConfigError, shown
from mechgrok.models.wrapped import WrappedNetwork

Factory = Callable[[Any], WrappedNetwork]
"""A function that makes a fresh network for a task: `lambda task: mg.wrap(MyMLP(), task, ...)`."""


def own_network(
    make: Factory | None, task: Any, seed: int, noted: CustomConfig | None = None
) -> WrappedNetwork:
    """A fresh user-defined network, with weights drawn from the seed; the caller's generator is left unchanged.

    Args:
        noted: what a run has recorded about it; the network is compared with this.

    Raises:
        ConfigError: no function to make it was given; it does not return a wrapped network, or not the recorded one.
    """
    if make is None:
        name = "" if noted is None else f", {noted.name}"
        raise ConfigError(
            f"the run is one of a network of its user's own{name}, which no file can hold: give the function that "
            "makes it, load_run(path, network=lambda task: mg.wrap(...)), and the same to train"
        )
    if not callable(make) or isinstance(make, WrappedNetwork):
        raise ConfigError(
            "network is a function that makes a fresh network for a task, such as lambda task: mg.wrap(MyMLP(), task); "
            f"got {shown(make)}"
        )
    with torch.random.fork_rng():
        torch.manual_seed(check_seed(seed))
        network = make(task)
    if not isinstance(network, WrappedNetwork):
        raise ConfigError(
            f"network gives a network that mg.wrap made, for the task; it gave {shown(network)}"
        )
    if noted is not None and own_config(network) != noted:
        raise ConfigError(
            f"the run is one of {noted.name} with {len(noted.parameters)} weights, and network made a "
            f"{type(network.module).__name__} with {len(network.state_dict())}, or of other names and shapes"
        )
    return network


def own_config(network: WrappedNetwork) -> CustomConfig:
    """The facts that a run records about the network."""
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    return CustomConfig(name=type(network.module).__name__, parameters=shapes)
