"""Updates of stacked weights: those of each network are what it would take alone."""

import pytest
import torch
from torch import nn

from mechgrok import ModelConfig, build_model, modular_task
from mechgrok.config import TrainConfig
from mechgrok.fast.stacks import stack_weights
from mechgrok.training.stacked_updates import (
    AdamOfMembers,
    StackedUpdater,
    member_state,
    stack_states,
    update_settings,
)
from mechgrok.training.updates import Updater

SEEDS = (0, 1, 2)
ADD = modular_task("add", 7)


def _networks(task, config):
    return [build_model(task, config, seed=seed).double() for seed in SEEDS]


UPDATES = {
    "adamw": {},
    "adam": {"optimizer": "adam"},
    "sgd": {"optimizer": "sgd", "momentum": 0.9},
    "grokfast_ema": {"gradient": "grokfast_ema"},
    "grokfast_ma": {"gradient": "grokfast_ma", "grokfast_window": 3},
    "to init": {"decay_towards": "init"},
    "frozen": {"frozen": ("embed",)},
}


def _give_gradients(models: list[nn.Module], step: int) -> None:
    for i, model in enumerate(models):
        generator = torch.Generator().manual_seed(100 * step + i)
        for weight in model.parameters():
            weight.grad = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)


@pytest.mark.parametrize("name", UPDATES)
def test_updates_of_the_stack_are_those_of_each_network_alone(name):
    config = TrainConfig(lr=1e-2, warmup=2, **UPDATES[name])
    alone, together = (_networks(ADD, ModelConfig(d_model=8)) for _ in range(2))
    single = [Updater(model, config) for model in alone]
    stack = stack_weights(together)
    updater = Updater(stack, config)
    for step in range(6):
        if step == 4:  # what is left of the stack after the middle one has gone
            states = [member_state(updater.state(), i) for i in range(len(together))]
            del alone[1], together[1], single[1], states[1]
            stack = stack_weights(together)
            updater = Updater(stack, config)
            updater.load(stack_states(states))
        _give_gradients(alone, step)
        for path, weight in stack.named_parameters():
            weight.grad = torch.stack([model.get_parameter(path).grad for model in alone])
        updater(step)
        for own in single:
            own(step)
    for i, own in enumerate(single):
        for path, tensor in own.state().items():
            torch.testing.assert_close(member_state(updater.state(), i)[path], tensor, msg=path)
        for path, weight in alone[i].named_parameters():
            torch.testing.assert_close(together[i].get_parameter(path), weight, msg=path)


RATES = [
    {"lr": 1e-2, "weight_decay": 0.0, "betas": (0.9, 0.999)},
    {"lr": 3e-3, "weight_decay": 2.0, "betas": (0.8, 0.98), "eps": 1e-4},
    {"lr": 1e-1, "weight_decay": 0.5, "betas": (0.9, 0.98)},
]


@pytest.mark.parametrize("frozen", [(), ("embed",)])
@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
def test_members_with_rates_of_their_own_are_updated_as_one(optimizer, frozen):
    configs = sorted(
        (TrainConfig(optimizer=optimizer, warmup=2, frozen=frozen, **rates) for rates in RATES),
        key=update_settings,
    )
    alone, together = (_networks(ADD, ModelConfig(d_model=8)) for _ in range(2))
    single = [Updater(model, config) for model, config in zip(alone, configs, strict=True)]
    stack = stack_weights(together)
    updater = StackedUpdater(stack, configs, [{}] * len(SEEDS))
    assert [(part, type(of)) for part, of in updater.parts] == [(slice(0, 3), AdamOfMembers)]
    for step in range(6):
        if step == 4:  # the last one leaves; two members go on from what there is
            states = [updater.state(i) for i in range(2)]
            del alone[2], together[2], single[2], configs[2]
            stack = stack_weights(together)
            updater = StackedUpdater(stack, configs, states)
        _give_gradients(alone, step)
        for path, weight in stack.named_parameters():
            weight.grad = torch.stack([model.get_parameter(path).grad for model in alone])
        updater(step)
        for own in single:
            own(step)
    for i, own in enumerate(single):
        assert updater.state(i).keys() == own.state().keys()
        for path, tensor in own.state().items():
            torch.testing.assert_close(updater.state(i)[path], tensor, msg=path)
        for path, weight in alone[i].named_parameters():
            torch.testing.assert_close(together[i].get_parameter(path), weight, msg=path)


def test_other_settings_are_updated_apart():
    changes = [
        {},
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "lr": 0.1},
        {"gradient": "grokfast_ema"},
        {"lr": 0.1},
    ]
    configs = sorted((TrainConfig(**change) for change in changes), key=update_settings)
    models = [build_model(ADD, ModelConfig(d_model=8), seed=seed) for seed in range(5)]
    updater = StackedUpdater(stack_weights(models), configs, [{}] * 5)
    assert sorted(part.stop - part.start for part, _ in updater.parts) == [1, 1, 1, 2]
