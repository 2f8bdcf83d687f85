"""Parts of a network by the names of its parameters: those that a run starts from, and those that it freezes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mechgrok.config import StartConfig
from mechgrok.errors import ConfigError, shown
from mechgrok.models.protocol import HookedModel
from mechgrok.storage import digest

Weights = HookedModel | Mapping[str, Tensor]
"""A network, or weights under the names of its parameters."""


def parameters_of(model: nn.Module, parts: Sequence[str]) -> dict[str, nn.Parameter]:
    """The parameters of some parts, by name.

    Args:
        parts: names of parameters or of their parent modules, up to a dot: "embed" stands for `embed.W_E`,
            "blocks.0.mlp" for the hidden layer, "blocks" for everything between the embedding and the
            unembedding.

    Raises:
        ConfigError: a part that the network does not have.

    >>> from mechgrok import MLPConfig, build_model, modular_task
    >>> model = build_model(modular_task("add", 5), MLPConfig())
    >>> list(parameters_of(model, ["embed"]))
    ['embed.W_E']
    """
    named = dict(model.named_parameters())
    for part in parts:
        if not any(_within(name, part) for name in named):
            raise ConfigError(f"the network has no part {part!r}; its parameters are {', '.join(named)}")
    return {name: weight for name, weight in named.items() if any(_within(name, part) for part in parts)}


def starting_weights(
    model: nn.Module, start: Weights, parts: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """The weights that a network copies from another one, by name.

    Args:
        model: the network that receives them.
        start: the network or weights to copy from.
        parts: the parts to copy, as in `parameters_of`; None copies everything in `start`.

    Raises:
        ConfigError: neither a network nor weights; no part at all, or a part that one of the two lacks; a
            different shape, or a non-finite weight.
    """
    if isinstance(parts, str) or not isinstance(parts, Sequence | None):
        raise ConfigError(f"parts is a sequence of names, as in parts=['embed']; got {shown(parts)}")
    if isinstance(start, HookedModel):
        start = dict(start.named_parameters())
    if not isinstance(start, Mapping):
        raise ConfigError(
            f"start is a network, as load_model(path) gives one, or a dictionary of weights by name; got {shown(start)}"
        )
    wanted = parameters_of(model, list(start) if parts is None else parts)
    missing = [name for name in wanted if name not in start]
    if missing:
        raise ConfigError(
            f"the weights to start from lack {', '.join(missing)}; they have {', '.join(start)}"
        )
    if not wanted:
        raise ConfigError("there is nothing to start from: start has no weights, or parts names none")
    for name, weight in wanted.items():
        if not (isinstance(start[name], Tensor) and start[name].is_floating_point()):
            raise ConfigError(f"{name} to start from is a tensor of floats; got {shown(start[name])}")
        if start[name].shape != weight.shape:
            raise ConfigError(
                f"{name} has the shape {tuple(start[name].shape)} where the training starts from, and "
                f"{tuple(weight.shape)} in this network; tasks with the same symbols, and the same `specials`, "
                "have networks of the same shapes"
            )
        if not start[name].isfinite().all():
            raise ConfigError(
                f"{name} has weights that are NaN or infinite where the training starts from; the training that it "
                "comes from has diverged: take an earlier checkpoint, or name other parts"
            )
    return {name: start[name].detach().clone() for name in wanted}


def start_config(start: Weights, weights: Mapping[str, Tensor]) -> StartConfig:
    """The facts that a run records about the weights that it copied."""
    task = getattr(getattr(start, "task", None), "name", "")
    return StartConfig(task=task, parameters=tuple(weights), sha256=digest(weights))


@torch.no_grad()
def take_over(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Overwrite some parameters of a network."""
    named: dict[str, Any] = dict(model.named_parameters())
    for name, weight in weights.items():
        named[name].copy_(weight)


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")
