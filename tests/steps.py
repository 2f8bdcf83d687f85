"""Shared code for tests of hand-written training steps: a float64 autograd reference, and states to compare."""

import copy
from collections.abc import Callable, Sequence

import torch
from hypothesis import assume, strategies as st
from torch import Tensor, nn
from torch.nn import functional

from mechgrok import build_model
from mechgrok.config import MLPConfig, NetworkConfig, TrainConfig
from mechgrok.errors import ConfigError
from mechgrok.fast.objective import Objective
from mechgrok.models.transformer import ACTIVATIONS
from mechgrok.tasks import Finite, Task
from mechgrok.training.objectives import CrossEntropy, make_objective
from mechgrok.training.step import AutogradStep, TrainingStep, make_step

RELATIVE = 1e-5
MEMORISED = 3e-5
"""The same where a network has memorised: there gradients follow exp(-margin), whose relative error is the absolute
one of the logits, and float32 rounds numbers of about 30 by up to 2e-6 each time; there are some ten roundings."""


def reference(model: nn.Module, task: Task, mask: Tensor) -> tuple[float, dict[str, Tensor]]:
    """The usual loop in float64: all positions forward, log_softmax at the last, backward."""
    twin = copy.deepcopy(model).double()
    log_p = functional.log_softmax(twin(task.tokens[mask])[:, -1], dim=-1)
    loss = -log_p.gather(1, task.labels[mask][:, None]).mean()
    loss.backward()
    return loss.item(), {name: weight.grad for name, weight in twin.named_parameters()}


def assert_same_gradients(model: nn.Module, expected: dict[str, Tensor], relative: float = RELATIVE) -> None:
    """Every parameter's gradient; the floor is the rounding of one number of float32, as large as the whole gradient.

    A gradient that is the difference of larger ones, as those of queries and keys are, can be no more exact than that.
    """
    total = torch.stack([g.norm() for g in expected.values()]).norm()
    floor = torch.finfo(torch.float32).eps if next(model.parameters()).dtype == torch.float32 else 1e-12
    for name, weight in model.named_parameters():
        error, size = (weight.grad - expected[name]).norm(), expected[name].norm()
        assert error <= relative * size + floor * total, f"{name}: {error / size:.1e}"


def assert_step_is_exact(model: nn.Module, task: Task, mask: Tensor, loss: Tensor) -> None:
    """Loss and gradients of a step just made are the reference's, as far as the precision of the network tells.

    Softmax turns the absolute error of logits into a relative one. A ReLU that float32 has on the other side of 0 has
    another gradient: such networks are left out.
    """
    single = next(model.parameters()).dtype == torch.float32
    largest, kink = _extremes(model, task, mask)
    assume(not single or kink > KINK)
    expected_loss, expected = reference(model, task, mask)
    relative = RELATIVE + ROUNDINGS * torch.finfo(torch.float32).eps * largest if single else 1e-10
    assert loss.dtype == torch.float64
    assert abs(loss.item() - expected_loss) <= relative * expected_loss
    assert_same_gradients(model, expected, relative)


ROUNDINGS = 10
"""Sums on the way to a logit, each of which rounds it."""
KINK = 1e-5
"""Pre-activations this close to 0, as a share of the largest, are on either side of it."""


def _extremes(model: nn.Module, task: Task, mask: Tensor) -> tuple[float, float]:
    """The largest logit, and the smallest pre-activation over the largest, 1 without ReLUs; in float64."""
    seen: list[Tensor] = []
    twin = copy.deepcopy(model).double()
    hooks = [
        (name, lambda x, hook: seen.append(x.detach().abs())) for name in twin.hook_dict if "hook_pre" in name
    ]
    with torch.no_grad():
        logits = twin.run_with_hooks(task.tokens[mask], fwd_hooks=hooks)[:, -1]
    kinks = seen if getattr(model.cfg, "act_fn", "") == "relu" else []
    return logits.abs().max().item(), min(((x.min() / x.max()).item() for x in kinks), default=1.0)


def randomise(model: nn.Module, seed: int, scale: float) -> None:
    """Scale the weights, and give the biases values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(scale)
            if "b_" in name:
                weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))


def memorise(model: nn.Module, last: nn.Parameter, task: Task, mask: Tensor) -> None:
    """Fit the train inputs evenly, then scale the logits up to a loss of about 1e-9.

    Evenly, by squared error, since the precision of a loss is the absolute one of the logits: in float32 a part in
    1e5 where they are about 25, but no more where most of them have to be 80 for the hardest input to be 25.

    Args:
        last: the matrix that scales the logits.
    """
    data = Finite(task.examples, mask)
    step = make_step(model, task, data, make_objective(TrainConfig(objective="mse")))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(400):
        step()
        optimizer.step()
    step = make_step(model, task, data, CrossEntropy())
    with torch.no_grad():
        while step() > 2e-9:
            last.mul_(1.02)


def autograd_step(model: nn.Module, task: Task, mask: Tensor, objective: Objective) -> AutogradStep:
    """Autograd's step with the arguments of the steps that are written by hand."""
    return AutogradStep(model, task.signature, Finite(task.examples, mask), objective)


Make = Callable[[nn.Module, Task, Tensor, Objective], TrainingStep]
"""A step that is made of a network, a task, the mask of its train inputs and an objective."""


def assert_trains_alike(
    makes: Sequence[Make], task: Task, config: NetworkConfig, lr: float, updates: int
) -> None:
    """The same training by each step: its weights in float64 after some updates."""
    mask, weights = task.split(0.6).train, []
    for make in makes:
        model = build_model(task, config, seed=1).double()
        step = make(model, task, mask, CrossEntropy(torch.float64))
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        for _ in range(updates):
            optimizer.zero_grad()
            step()
            optimizer.step()
        weights.append(nn.utils.parameters_to_vector(model.parameters()))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-10)


def assert_same_objective(makes: Sequence[Make], task: Task, config: NetworkConfig, name: str) -> None:
    """Loss and gradients of another objective than cross-entropy, by each step."""
    mask = task.split(0.5).train
    fast, slow = (build_model(task, config, seed=3).double() for _ in makes)
    losses = [
        make(model, task, mask, make_objective(TrainConfig(objective=name, loss_scale=0.5)))()
        for make, model in zip(makes, (fast, slow), strict=True)
    ]
    torch.testing.assert_close(losses[0], losses[1])
    assert_same_gradients(fast, {n: w.grad for n, w in slow.named_parameters()}, 1e-10)


def assert_overwrites_gradients(make: Make, task: Task, config: NetworkConfig) -> None:
    """Whatever the gradients were, and of the weights as they are when the step is called."""
    model = build_model(task, config, seed=0)
    mask = task.split(0.5).train
    step = make(model, task, mask, CrossEntropy())
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, torch.nan)
    step()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
            weight.grad.fill_(1e6)
    step()
    assert_same_gradients(model, reference(model, task, mask)[1])


MLP_OPTIONS = {
    "inputs": ["embedding", "one_hot"],
    "embeddings": ["shared", "separate"],
    "combine": ["sum", "concat"],
    "d_embed": [3, 8, 17],
    "d_mlp": [5, 12, 40],
    "n_layers": [1, 2, 3],
    "act_fn": list(ACTIVATIONS),
    "mlp_bias": [True, False],
    "bias_per_operand": [True, False],
    "readout": ["direct", "factored", "tied"],
    "unembed_bias": [True, False],
    "init": ["pizza", "fan_in", "xavier"],
}


@st.composite
def mlp_configs(draw: st.DrawFn) -> MLPConfig:
    """Any architecture of a feed-forward network that the configuration allows."""
    drawn = {name: draw(st.sampled_from(values)) for name, values in MLP_OPTIONS.items()}
    try:
        return MLPConfig(**drawn)
    except ConfigError:
        assume(False)
        raise
