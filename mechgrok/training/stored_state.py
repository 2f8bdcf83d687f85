"""The state from which a run resumes: its weights and everything else that the next update depends on, by name."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from mechgrok.config import TrainConfig
from mechgrok.errors import CheckpointError
from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.networks import make_network
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.training.gradients import STATE_SEPARATOR
from mechgrok.training.updates import Updater

WEIGHT = f"weight{STATE_SEPARATOR}"
SHOWN = 3
"""Maximum number of names listed in an error."""

State = dict[str, Tensor]


def joined_state(model: nn.Module, optimizer: Mapping[str, Tensor]) -> State:
    """Weights and the state of an `Updater` under distinguishable names."""
    return {f"{WEIGHT}{name}": weight for name, weight in model.state_dict().items()} | dict(optimizer)


def parted_state(state: Mapping[str, Tensor]) -> tuple[State, State]:
    """Separate the parts joined by `joined_state`."""
    weights = {name.removeprefix(WEIGHT): t for name, t in state.items() if name.startswith(WEIGHT)}
    return weights, {name: t for name, t in state.items() if not name.startswith(WEIGHT)}


def state_like(model: HookedNetwork | WrappedNetwork, config: TrainConfig, step: int) -> State:
    """The names, shapes and precisions of the state at a step; the values are meaningless.

    Optimisers create their tensors at the first update, which is taken here on another network, without a gradient.
    """
    weight = next(model.parameters())
    if isinstance(model, WrappedNetwork):
        other = deepcopy(model)
    else:
        other = make_network(model.cfg).to(weight.device, weight.dtype)
    for parameter in other.parameters():
        parameter.grad = torch.zeros_like(parameter)
    updater = Updater(other, config)
    if step:
        updater(0)
    return joined_state(other, updater.state())


def check_state(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], file: Path) -> None:
    """Compare a state read from disk with the expected one.

    Raises:
        CheckpointError: it has missing or unexpected tensors, or different shapes.
    """
    lacking = [name for name in expected if name not in state]
    foreign = [name for name in state if name not in expected]
    other = [name for name in expected if name in state and _form(state[name]) != _form(expected[name])]
    problems = {
        "it lacks": lacking,
        "it has the unknown": foreign,
        "of another shape or precision are": other,
    }
    found = [f"{what} {_some(names)}" for what, names in problems.items() if names]
    if found:
        raise CheckpointError(
            f"{file} is not the state of this training: {'; '.join(found)}. Put back a copy of it, or train again in "
            "another folder; the checkpoints can be read as they are"
        )


def _form(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
