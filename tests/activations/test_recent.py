"""Consecutive analyses share one run of a network, and never use a run of another network."""

import gc
import threading
import weakref

import pytest
import torch

import mechgrok as mg
from mechgrok.activations import as_grid, caching, recent
from mechgrok.activations.recent import MOST_GRIDS, RECENT
from mechgrok.models.unaltered import NetworkState

TASK = mg.modular_task("add", 7)
CONFIGS = {
    "by hand": mg.ModelConfig(d_model=8, n_heads=2, d_mlp=12),
    "two layers": mg.ModelConfig(d_model=8, n_heads=2, d_mlp=12, n_layers=2, normalization="LN"),
    "MLP": mg.MLPConfig(d_embed=8, d_mlp=12),
}
every_kind = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


@pytest.fixture(autouse=True)
def runs(monkeypatch):
    """How often a network was run over all inputs."""
    RECENT.forget()
    counted = []

    def run_grid(*args):
        counted.append(None)
        return original(*args)

    original = caching.run_grid
    monkeypatch.setattr(caching, "run_grid", run_grid)
    yield counted
    RECENT.forget()


def network(config=CONFIGS["by hand"], seed=0, task=TASK):
    return mg.build_model(task, config, seed=seed)


@pytest.mark.parametrize("config", [*CONFIGS.values(), mg.DenseConfig(d_mlp=12)], ids=[*CONFIGS, "dense"])
def test_analyses_in_a_row_run_the_network_once(config, runs):
    model = network(config)
    mg.find_key_frequencies(model)
    mg.restricted_loss(model, [1, 2])
    mg.excluded_loss(model, [1])
    mg.neuron_frequencies(model)
    mg.logit_fve(model, [2])
    mg.accuracy(model)
    assert len(runs) == 1


def test_the_numbers_are_those_of_a_grid():
    model = network()
    grid = mg.cache_grid(model)
    for _ in range(2):
        assert mg.full_loss(model) == mg.full_loss(grid)
        assert torch.equal(mg.neuron_frequencies(model).power, mg.neuron_frequencies(grid).power)


def test_a_task_is_inferred_once(runs):
    model = mg.cosine_network(7, {2: 9.0})
    model.task = None
    assert mg.find_key_frequencies(model).frequencies == (2,)
    assert mg.restricted_loss(model, [2]) == pytest.approx(mg.full_loss(model))
    assert len(runs) == 1


def assign(weight, value):
    with torch.no_grad():
        weight[0] = value


CHANGES = {
    "in place": lambda model: assign(model.W_E, 2.0),
    "one number": lambda model: assign(model.W_E.view(-1), 1e-3),
    "past the version, by data": lambda model: model.W_E.data[0].fill_(2.0),
    "past the version, by numpy": lambda model: model.W_E.detach().numpy().__setitem__(0, 2.0),
    "the data exchanged": lambda model: setattr(model.embed.W_E, "data", model.W_E.detach() * 2),
    "another parameter": lambda model: setattr(
        model.embed, "W_E", torch.nn.Parameter(model.W_E.detach() * 2)
    ),
    "a state that was loaded": lambda model: model.load_state_dict(network(model.cfg, seed=1).state_dict()),
    "another precision": lambda model: model.double(),
    "another activation function": lambda model: [
        setattr(block.mlp, "act", torch.sigmoid) for block in model.blocks
    ],
    "an update": lambda model: train_a_step(model),
}


def train_a_step(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(TASK.tokens[:, : 2 if model.cfg.kind == "mlp" else 3]).square().mean().backward()
    optimizer.step()


@every_kind
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_network_is_run_again(config, change, runs):
    model = network(config)
    before = mg.full_loss(model)
    change(model)
    expected = mg.full_loss(mg.cache_grid(model))
    runs.clear()
    after = mg.full_loss(model)
    assert after == expected != before
    assert len(runs) == 1
    assert mg.full_loss(model) == after
    assert len(runs) == 1


def test_a_change_that_is_taken_back_is_no_change(runs):
    model = network()
    mg.full_loss(model)
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    assign(model.W_E, 2.0)
    model.load_state_dict(weights)
    mg.full_loss(model)
    assert len(runs) == 1


@every_kind
def test_hooks_are_run_each_time(config, runs):
    model = network(config)
    before = mg.full_loss(model)
    scale = [0.5]
    hook = [(f"blocks.{model.cfg.n_layers - 1}.mlp.hook_post", lambda x, hook: x * scale[0])]
    with model.hooks(fwd_hooks=hook):
        half = mg.full_loss(model)
        scale[0] = 0.0
        none = mg.full_loss(model)
    assert len({before, half, none}) == 3
    assert mg.full_loss(model) == before


def test_another_task_is_another_grid(runs):
    model = network()
    before = mg.accuracy(model), mg.full_loss(model)
    model.task = mg.modular_task("sub", 7)
    assert mg.full_loss(model) == mg.full_loss(mg.cache_grid(model, model.task)) != before[1]


def test_networks_of_the_users_own_are_run_each_time(runs):
    class Scaled(mg.HookedTransformer):
        scale = 1.0

        def forward(self, *args, **kwargs):
            return self.scale * super().forward(*args, **kwargs)

    model = Scaled(network().cfg, seed=0)
    model.task = TASK
    before = mg.full_loss(model)
    Scaled.scale = 2.0
    assert mg.full_loss(model) != before
    assert len(runs) == 2


def test_what_the_user_holds_is_not_what_is_remembered():
    model = network()
    before = mg.full_loss(model)
    grid = mg.cache_grid(model)
    grid.logits.zero_()
    grid.neurons.numpy()[:] = 0
    assert mg.full_loss(model) == before
    assert mg.neuron_frequencies(model).alive.any()


def test_a_grid_changed_in_place_is_measured_as_it_is():
    """The means per answer are taken once for a grid, and again when its logits were changed."""
    grid = mg.cache_grid(mg.cosine_network(7, {1: 5.0, 2: 5.0}))
    before = mg.restricted_loss(grid, [1])
    grid.logits.mul_(2)
    fresh = mg.grid_from_tensors(grid.task, grid.logits.clone())
    assert mg.restricted_loss(grid, [1]) == pytest.approx(mg.restricted_loss(fresh, [1])) != before
    shared = grid.logits.numpy().copy()
    bare = mg.grid_from_tensors(grid.task, shared)
    once = mg.restricted_loss(bare, [1])
    shared /= 2
    assert mg.restricted_loss(bare, [1]) != once


def test_few_are_remembered_and_none_is_kept_alive():
    models = [network(seed=seed) for seed in range(MOST_GRIDS + 2)]
    for model in models:
        mg.full_loss(model)
    assert len(RECENT) == MOST_GRIDS
    ends = [weakref.ref(model) for model in models]
    del models, model
    gc.collect()
    assert [end() for end in ends] == [None] * len(ends)
    assert len(RECENT) == 0


def test_a_large_grid_is_not_kept(monkeypatch, runs):
    monkeypatch.setattr(recent, "MOST_BYTES", 1000)
    model = network()
    mg.full_loss(model)
    mg.full_loss(model)
    assert (len(RECENT), len(runs)) == (0, 2)


def test_a_network_that_changes_during_its_run_is_not_remembered(runs):
    model = network()
    state = NetworkState.of(model)
    grid = mg.cache_grid(model)
    assign(model.W_E, 2.0)
    RECENT.remember(grid, state)
    assert len(RECENT) == 0


def test_a_run_without_gradients_serves_one_with_them():
    model = network()
    with torch.inference_mode():
        before = mg.full_loss(model), mg.restricted_loss(model, [1])
    assert (mg.full_loss(model), mg.restricted_loss(model, [1])) == before
    assert mg.gradient_symmetricity(model, 5).value <= 1


def test_threads_get_the_numbers_of_their_own_networks():
    models = [network(seed=seed) for seed in range(4)]
    expected = [mg.full_loss(mg.cache_grid(model)) for model in models]
    wrong = []

    def measure(start):
        for i in range(40):
            number = (start + i) % len(models)
            if mg.full_loss(models[number]) != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=measure, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(RECENT) <= MOST_GRIDS


def test_hooks_asked_for_come_with_the_neurons(runs):
    model = network()
    grid = as_grid(model, ["hook_embed"])
    assert set(grid.activations) == {"hook_embed", "blocks.0.mlp.hook_post"}
    assert as_grid(model).neurons is grid.neurons
    as_grid(model, ["blocks.0.attn.hook_z"])
    assert len(runs) == 2
