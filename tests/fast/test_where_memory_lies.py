"""Gradients are identical to the bit, regardless of where in memory their operands are.

With torch's usual memory this shows that nothing else affects them either; the run that moves memory off its
alignment is one of the code paths.
"""

import pytest
import torch
from torch import nn

import mechgrok as mg
from mechgrok.config import NetworkConfig
from mechgrok.fast.kernels import product
from mechgrok.tasks import Finite
from mechgrok.training.objectives import CrossEntropy
from mechgrok.training.step import make_step

pytestmark = pytest.mark.bits

NETWORKS: dict[str, NetworkConfig] = {
    "transformer": mg.ModelConfig(),
    "one head": mg.ModelConfig(n_heads=1, d_head=64),
    "two layers": mg.ModelConfig(n_layers=2, d_model=64, d_mlp=128),
    "mlp": mg.MLPConfig(),
    "two hidden layers": mg.MLPConfig(n_layers=2, embeddings="separate", combine="concat", unembed_bias=True),
    "norm and gate": mg.ModelConfig(normalization="RMS", act_fn="silu", gated_mlp=True, d_model=64, d_mlp=96),
}


def gradients(model: nn.Module, task: mg.Task, mask: torch.Tensor) -> bytes:
    step = make_step(model, task, Finite(task.examples, mask), CrossEntropy())
    loss = step()
    grads = [w.grad for w in model.parameters() if w.grad is not None]
    assert grads
    return loss.numpy().tobytes() + b"".join(g.contiguous().numpy().tobytes() for g in grads)


@pytest.mark.parametrize("p", [59, 113])
@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_a_step_rounds_alike_wherever_memory_lies(config: NetworkConfig, p: int) -> None:
    task = mg.modular_task("add", p)
    model = mg.build_model(task, config, seed=0)
    mask = task.split(0.3, seed=0).train
    taken, found = [], set()
    for size in (1, 90, 1000, 17, 4001, 260):
        taken.append(torch.empty(size))
        found.add(gradients(model, task, mask))
    assert len(found) == 1


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_products_of_few_rows(rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(3, rows, 227, generator=generator), torch.randn(3, 227, 113, generator=generator)
    torch.testing.assert_close(product(a, b), (a.double() @ b.double()).float(), rtol=1e-4, atol=1e-5)
    taken, found = [], set()
    for size in (1, 90, 1000, 17, 4001, 260):
        taken.append(torch.empty(size))
        left = a.mT.clone().mT
        found |= {
            product(a.clone(), b.clone()).numpy().tobytes(),
            product(left, b[0].clone()).numpy().tobytes(),
        }
    assert len(found) == 2
