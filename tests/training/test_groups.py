"""Which trainings are stacked, and that members of a stack become what they become alone."""

import pytest
import torch

import mechgrok as mg
from mechgrok.sweeps.settings import vary
from mechgrok.training import groups
from mechgrok.training.groups import in_groups
from mechgrok.training.processes import Job, train_in_processes

ADD = mg.modular_task("add", 7)
MLP = mg.MLPConfig(d_embed=8, d_mlp=16, n_layers=2)
TRANSFORMER = mg.ModelConfig(d_model=16, n_heads=2)
TOLERANCE = 1e-4
"""Relative, of losses over the first 20 steps."""


def _jobs(folder, settings):
    return [Job(s.task, s.config, s.seed, folder / s.digest) for s in settings]


@pytest.fixture
def always(monkeypatch):
    """A stack is always said to be faster."""
    monkeypatch.setattr(groups, "_milliseconds", lambda jobs: (1.0, 0.5))


def _settings(model):
    """What a stack allows for: labels, amounts of data, schemes of initial weights, and rates."""
    tasks = [ADD, mg.modular_task("sub", 7), mg.random_labels(ADD, seed=3)]
    common = {"task": tasks, "steps": 20, "eval_every": 5, "weight_decay": [0.1, 2.0]}
    inits = ["pizza", "fan_in"] if model is MLP else ["nanda", "pizza"]
    recipes = [mg.TrainConfig(model=model.replace(init=init), recipe=init) for init in inits]
    one = vary(**common, recipe=recipes, fraction=[0.3, 0.8], lr=3e-3)
    return one + vary(**common, recipe=recipes[0], fraction=0.5, lr=1e-2, betas=(0.8, 0.9), seed=5)


@pytest.mark.parametrize("model", [MLP, TRANSFORMER], ids=["mlp", "transformer"])
def test_members_of_one_stack_are_what_train_makes_of_them(model, tmp_path, always):
    settings = _settings(model)
    found = in_groups(_jobs(tmp_path, settings), workers=1)
    assert [len(group) for group in found.groups] == [30]
    assert "30 in stacks of up to 30" in found.words[0]
    failures = train_in_processes(found.groups, device=torch.device("cpu"), workers=1, progress=False)
    assert failures == {}
    for setting in settings:
        alone = mg.train(setting.task, setting.config, seed=setting.seed, progress=False).history
        stacked = mg.load_run(tmp_path / setting.digest).history
        assert [row["step"] for row in stacked] == [0, 5, 10, 15, 20]
        for row, expected in zip(stacked, alone, strict=True):
            for name, value in expected.items():
                assert row[name] == pytest.approx(value, rel=TOLERANCE, abs=1e-9), (setting, name)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "muon"},
        {"batch_size": 8},
        {"n_layers": 2},
    ],
    ids=["muon", "mini-batches", "through autograd"],
)
def test_what_is_not_stacked_on_a_processor(changes, tmp_path, always):
    settings = vary(task=ADD, d_model=16, seed=range(6), **changes)
    found = in_groups(_jobs(tmp_path, settings), workers=2)
    assert [len(group) for group in found.groups] == [1] * 6
    assert found.words == ("6 one by one",)


def test_fresh_inputs_are_not_stacked(tmp_path, always):
    task = mg.skip_trigram_task()
    settings = vary(task=task, d_model=16, attn_only=True, seed=range(6))
    assert len(in_groups(_jobs(tmp_path, settings), workers=2).groups) == 6


def test_stacks_are_what_takes_less_time(tmp_path, monkeypatch):
    jobs = _jobs(tmp_path, vary(task=ADD, d_model=16, seed=range(6)))
    monkeypatch.setattr(groups, "_milliseconds", lambda jobs: (0.5, 1.0))
    assert len(in_groups(jobs, workers=2).groups) == 6


def test_stacks_fit_the_memory_and_the_processors(tmp_path, monkeypatch, always):
    jobs = _jobs(tmp_path, vary(task=ADD, d_model=16, seed=range(200)))
    assert [len(group) for group in in_groups(jobs, workers=2).groups] == [64, 64, 64, 8]
    assert [len(group) for group in in_groups(jobs, workers=20).groups] == [10] * 20
    of_one = ADD.n_inputs * (groups.PER_OUTPUT * 7 + groups.PER_NEURON * 64)
    monkeypatch.setattr(groups, "memory_free", lambda: round(2 * 2 * 5.5 * of_one))
    assert {len(group) for group in in_groups(jobs, workers=2).groups} == {5}
    monkeypatch.setattr(groups, "memory_free", lambda: 2 * 2 * 3 * of_one)
    assert {len(group) for group in in_groups(jobs, workers=2).groups} == {1}


def test_times_are_measured_with_the_updates(tmp_path, monkeypatch):
    jobs = _jobs(tmp_path, vary(task=ADD, d_model=16, lr=[1e-3, 1e-2], seed=range(4)))
    alone, together = groups._milliseconds(jobs)
    assert together > 0
    assert alone > 0

    class Slow(groups.StackedUpdater):
        def __call__(self, step):
            torch.linalg.svd(torch.ones(300, 300))
            super().__call__(step)

    monkeypatch.setattr(groups, "StackedUpdater", Slow)
    assert groups._milliseconds(jobs)[1] > together


def test_networks_of_several_sizes_are_several_kinds(tmp_path, always):
    jobs = _jobs(tmp_path, vary(task=ADD, d_model=[16, 32], seed=range(4)))
    swept = in_groups(jobs, workers=1)
    assert [{job.config.model.d_model for job in group} for group in swept.groups] == [{16}, {32}]
