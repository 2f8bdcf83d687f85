"""Updates of several networks with stacked weights, all at once, even if their settings differ."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from mechgrok.config import TrainConfig
from mechgrok.fast.stacks import some_of
from mechgrok.models.hooked import HookedNetwork
from mechgrok.training.gradients import STATE_SEPARATOR
from mechgrok.training.parameters import parameters_of
from mechgrok.training.updates import Updater, warmup_factor

RATES = ("lr", "weight_decay", "betas", "eps")
"""Settings that may differ between the members of `AdamOfMembers`."""
OF_UPDATES = (
    "optimizer", "decay_towards", "momentum", "gradient", "grokfast_alpha", "grokfast_lambda", "grokfast_window",
    "frozen", "warmup",
)  # fmt: skip
"""The other fields of a configuration that determine how gradients are used."""


def update_settings(config: TrainConfig) -> tuple[str, str]:
    """A sortable key for how a network is updated, as strings; the rates come last."""
    kind, rates = ([getattr(config, field) for field in fields] for fields in (OF_UPDATES, RATES))
    return repr(kind), repr(rates)


class StackedUpdater:
    """Updates of stacked weights; neighbours that differ at most in their rates are updated as one.

    Args:
        configs: of each network, in the order of their `update_settings`.
        states: of each network, as an `Updater` of its own has it.
    """

    def __init__(
        self, stack: HookedNetwork, configs: Sequence[TrainConfig], states: Sequence[Mapping[str, Tensor]]
    ) -> None:
        self.parts: list[tuple[slice, Updater | AdamOfMembers]] = []
        self.weights: list[tuple[slice, nn.Parameter, nn.Parameter]] = []
        begin = 0
        for group in _updated_as_one(configs):
            own = slice(begin, begin := begin + len(group))
            part = some_of(stack, own)
            for name, weight in stack.named_parameters():
                self.weights.append((own, weight, part.get_parameter(name)))
            alike = len(set(map(update_settings, group))) == 1
            updater = Updater(part, group[0]) if alike else AdamOfMembers(part, group)
            updater.load(stack_states(states[own]))
            self.parts.append((own, updater))

    def __call__(self, step: int) -> None:
        """Perform update number `step` with the gradients of the stack."""
        for own, weight, view in self.weights:
            view.grad = None if weight.grad is None else weight.grad[own]
        for _, updater in self.parts:
            updater(step)

    def state(self, member: int) -> dict[str, Tensor]:
        """The state of one network, in the form of its own `Updater`."""
        own, updater = next(part for part in self.parts if part[0].start <= member < part[0].stop)
        return member_state(updater.state(), member - own.start)


FUSED = {"adamw": torch.ops.aten._fused_adamw_, "adam": torch.ops.aten._fused_adam_}
"""The kernels of torch's optimisers, called directly: for small weights, most of an optimiser's time is overhead."""


class AdamOfMembers:
    """AdamW or Adam for stacked weights with rates per member; bit for bit what `Updater` does for each one alone.

    Args:
        stack: weights [members, ...].
        configs: of each member; they differ in `RATES` alone.
    """

    def __init__(self, stack: nn.Module, configs: Sequence[TrainConfig]) -> None:
        self.configs = configs
        self.kind, self.warmup = configs[0].optimizer, configs[0].warmup
        frozen = parameters_of(stack, configs[0].frozen)
        self.parameters = {name: w for name, w in stack.named_parameters() if name not in frozen}
        weights = self.parameters.values()
        self.means, self.squares = ([torch.zeros_like(w) for w in weights] for _ in range(2))
        self.taken = torch.zeros((), device=self.means[0].device)
        self.of_members = [_by_member(tensors) for tensors in (weights, self.means, self.squares)]

    @torch.no_grad()
    def __call__(self, step: int) -> None:
        """Perform update number `step`, counted from 0."""
        self.taken += 1
        gradients = _by_member([w.grad for w in self.parameters.values() if w.grad is not None])
        factor, taken = warmup_factor(step, self.warmup), [self.taken] * len(self.parameters)
        for config, own, gradient, mean, square in zip(
            self.configs, self.of_members[0], gradients, *self.of_members[1:], strict=True
        ):
            beta1, beta2 = config.betas
            FUSED[self.kind](
                own, gradient, mean, square, [], taken, lr=config.lr * factor, beta1=beta1, beta2=beta2,
                weight_decay=config.weight_decay, eps=config.eps, amsgrad=False, maximize=False,
            )  # fmt: skip

    def state(self) -> dict[str, Tensor]:
        """The state in the form of an `Updater` of these weights."""
        if not self.taken:
            return {}
        state = {}
        for name, mean, square in zip(self.parameters, self.means, self.squares, strict=True):
            of = {"step": self.taken.clone(), "exp_avg": mean, "exp_avg_sq": square}
            state |= {_path(self.kind, name, key): tensor for key, tensor in of.items()}
        return state

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state returned by `state`."""
        if not state:
            return
        for name, mean, square in zip(self.parameters, self.means, self.squares, strict=True):
            mean.copy_(state[_path(self.kind, name, "exp_avg")])
            square.copy_(state[_path(self.kind, name, "exp_avg_sq")])
            self.taken.copy_(state[_path(self.kind, name, "step")])


def stack_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Combine the states of networks with the same number of updates into the state for their stacked weights.

    >>> stack_states([{"optimizer|adamw|w|exp_avg": torch.ones(3)}] * 2)["optimizer|adamw|w|exp_avg"].shape
    torch.Size([2, 3])
    """
    return {
        path: first
        if first.ndim == 0
        else torch.stack([state[path] for state in states], dim=_member_axis(path))
        for path, first in states[0].items()
    }


def member_state(state: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
    """Extract the part of such a state that belongs to one network; numbers, such as counts, belong to all."""
    return {
        path: tensor if tensor.ndim == 0 else tensor.select(_member_axis(path), member)
        for path, tensor in state.items()
    }


def _member_axis(path: str) -> int:
    """The axis of the networks: Grokfast-MA keeps its window of gradients along the first axis."""
    return 1 if path.endswith(f"{STATE_SEPARATOR}ring") else 0


def _updated_as_one(configs: Sequence[TrainConfig]) -> Iterator[list[TrainConfig]]:
    """Neighbours that are updated by one call."""
    for _, of_kind in groupby(configs, lambda config: update_settings(config)[0]):
        group = list(of_kind)
        plain = group[0].gradient == "plain" and group[0].decay_towards == "zero"
        if plain and group[0].optimizer in ("adamw", "adam"):
            yield group
        else:
            yield from (list(alike) for _, alike in groupby(group, update_settings))


def _by_member(stacked: Iterable[Tensor]) -> list[list[Tensor]]:
    """Views of each member's part."""
    return [list(own) for own in zip(*(tensor.detach().unbind() for tensor in stacked), strict=True)]


def _path(*parts: str) -> str:
    return STATE_SEPARATOR.join(("optimizer", *parts))
