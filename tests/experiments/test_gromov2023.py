"""The protocol of Gromov 2023 on constructed networks instead of trained ones."""

from types import SimpleNamespace

import pytest
import torch

import mechgrok as mg
from mechgrok.experiments import gromov2023 as module
from mechgrok.experiments.reproduction import find_reproduction, run_reproduction
from mechgrok.training.recipes import GROMOV

HISTORY = [
    {"step": 100 * i, "accuracy_train": min(1.0, i / 9), "accuracy_test": min(1.0, i / 15)} for i in range(21)
]


@pytest.fixture
def rows(monkeypatch):
    def of(model, history=HISTORY):
        run = SimpleNamespace(model=lambda: model, history=history)
        monkeypatch.setattr(module, "train_kept", lambda *args, **options: run)
        return {row.quantity: row for row in run_reproduction(find_reproduction("gromov2023")).rows}

    return of


def scaled(network: mg.HookedMLP) -> mg.HookedMLP:
    """The network with weights of one height that give one-hot answers on average."""
    n, p = network.cfg.d_mlp, network.cfg.d_vocab
    height = (2 * (p - 1) / (n * p)) ** (1 / 3)
    network.load_state_dict({name: height * w for name, w in network.state_dict().items()})
    return network


def test_the_analytic_solution_holds(rows):
    found = rows(scaled(mg.gromov_network(97, 500, seed=7)))
    assert [name for name, row in found.items() if not row.holds] == []
    assert found["agreement of output phase and sum of input phases, seed 0"].measured == pytest.approx(1)
    assert found["norm of the weights over that of the analytic solution, seed 1"].measured == pytest.approx(
        1, abs=0.01
    )
    assert found["step of 100% train accuracy, in steps at a learning rate of 50, seed 0"].measured == 9000


@pytest.mark.slow
def test_a_network_without_the_sum_of_phases_does_not(rows):
    network = scaled(mg.gromov_network(97, 500))
    weights = network.state_dict()
    fresh = scaled(mg.gromov_network(97, 500, seed=1)).state_dict()["unembed.W_U"]
    network.load_state_dict({**weights, "unembed.W_U": fresh})
    failed = {name for name, row in rows(network).items() if not row.holds}
    assert failed == {f"agreement of output phase and sum of input phases, seed {seed}" for seed in (0, 1)}


@pytest.mark.slow
def test_neither_does_an_untrained_one_or_one_that_never_generalises(rows):
    untrained = mg.build_model(mg.modular_task("add", 97), GROMOV.model, seed=0)
    never = [{"step": 100 * i, "accuracy_train": 1.0, "accuracy_test": 0.01} for i in range(3)]
    failed = {name for name, row in rows(untrained, never).items() if not row.holds}
    assert "share of the neurons that are waves of one frequency, seed 0" in failed
    assert "norm of the weights over that of the analytic solution, seed 0" in failed
    assert "step of 100% test accuracy, in steps at a learning rate of 50, seed 0" in failed


def test_the_initial_weights_are_those_of_the_paper():
    """f(x) = W_2 (W_1 x)^2 / (2 p n) with weights of variance 1: the outputs have the same spread."""
    network = mg.build_model(mg.modular_task("add", 97), GROMOV.model, seed=0).double()
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.randn(97, 500, generator=generator, dtype=torch.float64) for _ in range(2))
    out = torch.randn(97, 500, generator=generator, dtype=torch.float64)
    theirs = (first[:, None] + second[None]).square() @ out.T / (2 * 97 * 500)
    ours = mg.cache_grid(network).logits
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.1)
    one_hot = torch.nn.functional.one_hot(network.task.labels, 97)
    assert (ours - one_hot).square().mean().item() == pytest.approx(0.0103, abs=1e-4)  # published: 0.0105
