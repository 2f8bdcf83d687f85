"""The remaining performance of planted networks when no product reaches their neurons."""

from math import pi

import pytest
import torch
from planted import phase_grid, wave_network
from torch import Tensor, nn

import mechgrok as mg
from mechgrok.analysis.additive import additive_part

PRE, BESIDE = "blocks.0.mlp.hook_pre", "blocks.0.hook_resid_mid"


class Clock(nn.Module):
    """cos(w(a+b)) and sin(w(a+b)) as neurons, and logits cos(w(a+b-c)): all of it products."""

    def __init__(self, p: int, k: int, sums: float = 0.0) -> None:
        super().__init__()
        self.waves, self.sums = 2 * pi * k / p * torch.arange(p).double(), sums
        self.pre, self.act = nn.Identity(), nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        x, y = self.waves[tokens[:, 0]], self.waves[tokens[:, 1]]
        both = torch.stack([(x + y).cos(), (x + y).sin(), self.sums * (x.cos() + y.sin())], dim=1)
        h = self.act(self.pre(both))
        return 9 * (h[:, :1] * self.waves.cos() + h[:, 1:2] * self.waves.sin())


@pytest.mark.parametrize("p", [3, 7, 12, 53])
def test_a_clock_loses_everything(p: int):
    network = mg.wrap(Clock(p, 1), mg.modular_task("add", p), hooks={"pre": "pre", "neurons": "act"})
    found = mg.additive_only(network)
    assert found.before.accuracy == 1
    assert found.accuracy == pytest.approx(1 / p)
    assert found.loss == pytest.approx(torch.tensor(p).double().log().item(), rel=1e-9)
    assert found.products == pytest.approx(1)


def test_the_share_of_products_is_that_of_their_variance():
    # A product has variance 1/2 on each of two neurons, a sum of a cosine and a sine sums^2 on the third.
    network = mg.wrap(Clock(11, 2, 3.0), mg.modular_task("add", 11), hooks={"pre": "pre", "neurons": "act"})
    assert mg.additive_only(network).products == pytest.approx(1 / (1 + 9))


@pytest.mark.parametrize("p", [5, 12, 53])
def test_neurons_that_read_sums_lose_nothing(p: int):
    task = mg.modular_task("add", p, sequence=("a", "b"))
    network = wave_network(task, phase_grid([1, 2]))
    network.task = task
    found = mg.additive_only(network)
    assert found.loss == pytest.approx(found.before.loss, rel=1e-9)
    assert (found.accuracy, found.products) == (found.before.accuracy, pytest.approx(0, abs=1e-20))


@pytest.mark.parametrize(
    "config", [mg.ModelConfig(d_model=16), mg.ModelConfig(d_model=16, normalization="LN")]
)
def test_everything_before_and_beside_the_neurons_is_a_sum(config: mg.ModelConfig):
    task = mg.modular_task("add", 6)
    network = mg.build_model(task, config, seed=1)
    found = mg.additive_only(network, task.split(0.5).train)
    grid = mg.cache_grid(network, task, [PRE, BESIDE])

    def summed(x: Tensor) -> Tensor:
        square = x.double().view(6, 6, -1)
        return (
            (square.mean(1, keepdim=True) + square.mean(0) - square.mean((0, 1))).view(36, 1, -1).to(x.dtype)
        )

    new = {name: summed(grid[name]) for name in (PRE, BESIDE)}
    hooks = [(name, lambda x, hook: torch.cat([x[:, :-1], new[hook.name]], 1)) for name in new]
    logits = network.run_with_hooks(task.tokens, fwd_hooks=hooks)[:, -1, :6]
    assert torch.allclose(found.logits, logits, atol=1e-5)
    assert found.sites == (PRE, BESIDE)
    assert found.loss == pytest.approx(
        nn.functional.cross_entropy(logits[task.split(0.5).train], task.labels[task.split(0.5).train]).item(),
        rel=1e-4,
    )


def test_operands_need_no_group():
    task = mg.task_from_function(lambda a, b: max(a, b) > 4, n=9, name="max above 4")
    assert mg.additive_only(mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)).products > 0


def test_the_sum_of_a_product_table_with_a_row_missing():
    task = mg.modular_task("div", 5)
    grid = mg.grid_from_tensors(task, torch.zeros(task.n_inputs, 5))
    a, b = task.operands.T.double()
    assert torch.allclose(additive_part((a + b.square())[:, None], grid)[:, 0], a + b.square())
    assert additive_part(((a - 2) * (b - 2.5))[:, None], grid).abs().max() < 1e-12


def test_what_has_no_two_operands_is_refused_in_words():
    with pytest.raises(mg.UndefinedMetricError, match="has no operands"):
        mg.additive_only(mg.build_model(mg.parity_task(4, (0, 1)), seed=0))
    mixed = mg.mixed_task([mg.modular_task("add", 5), mg.modular_task("sub", 5)])
    with pytest.raises(mg.UndefinedMetricError, match="all pairs of two operands"):
        mg.additive_only(mg.build_model(mixed, mg.ModelConfig(d_model=16), seed=0))
    with pytest.raises(mg.ActivationError, match="network"):
        mg.additive_only(mg.grid_from_tensors(mg.modular_task("add", 5), torch.zeros(25, 5)))


def test_each_hidden_layer_can_be_asked():
    """Sums of waves reach the first layer of neurons, and their products the second."""
    task = mg.modular_task("add", 11)
    deep = mg.build_model(task, mg.MLPConfig(d_embed=8, d_mlp=16, n_layers=2), seed=0)
    first, last = mg.additive_only(deep, layer=0), mg.additive_only(deep)
    assert first.products == pytest.approx(0, abs=1e-12)
    assert first.loss == pytest.approx(first.before.loss, rel=1e-5)
    assert last.sites == mg.additive_only(deep, layer=-1).sites == ("blocks.1.mlp.hook_pre",)
    assert last.products > 0.01
    with pytest.raises(mg.ActivationError, match="2 hidden layers, there is no layer 2"):
        mg.additive_only(deep, layer=2)
