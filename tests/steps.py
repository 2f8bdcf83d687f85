"""What tests of hand-written training steps share: autograd in float64 to compare with, and states to compare in."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from mechgrok.config import TrainConfig
from mechgrok.tasks import Finite, Task
from mechgrok.training.objectives import CrossEntropy, make_objective
from mechgrok.training.step import make_step

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
    """Every parameter's gradient; the floor is for those that are 0 but for rounding, as that of b_K is."""
    total = torch.stack([g.norm() for g in expected.values()]).norm()
    for name, weight in model.named_parameters():
        error, size = (weight.grad - expected[name]).norm(), expected[name].norm()
        assert error <= relative * size + 1e-12 * total, f"{name}: {error / size:.1e}"


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
