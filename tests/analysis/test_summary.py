"""The summary and its verdict."""

import pytest
import torch

import mechgrok as mg


def test_a_planted_network_gets_its_verdict():
    summary = mg.summarize(mg.cosine_network(13, {2: 20.0, 6: 20.0}))
    assert summary.generalised
    assert (
        "computes a+b with 100.00% accuracy, by the key frequencies 2, 6, which explain 100.0%"
        in summary.verdict
    )
    assert "kills the network: accuracy goes from 100.00% to" in summary.verdict
    assert {(a.site, a.keep) for a in summary.ablations} == {
        (site, keep) for site in ("embed", "neurons", "logits") for keep in (False, True)
    }


def test_a_fresh_network_is_undetermined():
    task = mg.modular_task("add", 13)
    summary = mg.summarize(mg.build_model(task, mg.ModelConfig(d_model=16)))
    assert not summary.generalised
    assert "has not learned a+b" in summary.verdict
    assert "undetermined" in summary.verdict
    assert summary.values["key_frequencies"] == []
    assert summary.ablations == ()


def test_right_answers_without_structure_are_undetermined():
    task = mg.modular_task("add", 13)
    shuffled = torch.randn(169, 13, generator=torch.Generator().manual_seed(0)) * 1e-3
    labels = torch.zeros(169, 13).scatter_(1, task.labels[:, None], 1.0)
    summary = mg.summarize(mg.grid_from_tensors(task, labels + shuffled))
    assert summary.generalised
    assert summary.neurons is None
    assert len(summary.keys) == 6, "a lookup table has a flat spectrum, and every frequency is in it"


def test_train_and_test_losses_need_a_split():
    model = mg.cosine_network(13, {2: 9.0})
    split = mg.cache_grid(model).task.split(0.4)
    assert "loss_train" not in mg.summarize(model).values
    values = mg.summarize(model, split).values
    assert values["loss_train"] == pytest.approx(mg.full_loss(model, split.train))
    assert values["excluded_loss_train"] == pytest.approx(mg.excluded_loss(model, [2], split.train))


def test_a_split_without_test_inputs_has_no_test_loss():
    model = mg.cosine_network(13, {2: 9.0})
    assert "loss_test" not in mg.summarize(model, mg.cache_grid(model).task.split(1.0)).values


def test_given_keys_are_used():
    model = mg.cosine_network(13, {2: 9.0, 3: 9.0})
    assert mg.summarize(model, keys=[3]).values["key_frequencies"] == [3]


def test_the_verdict_is_about_the_given_keys():
    verdict = mg.summarize(mg.cosine_network(13, {2: 9.0, 3: 9.0}), keys=[3]).verdict
    assert "by the key frequency 3, which explains 50.0%" in verdict
    assert "undetermined" in mg.summarize(mg.cosine_network(13, {2: 9.0}), keys=[]).verdict


def test_an_ablation_without_effect_kills_nothing():
    strong = mg.cosine_network(13, {2: 90.0, 3: 2.0})
    assert "does not kill the network" in mg.summarize(strong, keys=[3]).verdict
