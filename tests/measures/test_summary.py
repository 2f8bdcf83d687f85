"""The summary and its verdict."""

import json
from math import pi

import pytest
import torch
from planted import cosine_logits

import mechgrok as mg
from mechgrok.measures.summary_numbers import COUNTS, VARIANTS, unit_of
from mechgrok.progress.compute import measured


def test_a_planted_network_gets_its_verdict():
    summary = mg.summarize(mg.cosine_network(13, {2: 20.0, 6: 20.0}))
    assert summary.generalised
    assert (
        "computes a+b with 100.00% accuracy: its logits are about 20·cos(w_2(a+b-c)) + 20·cos(w_6(a+b-c)) + mean(c), "
        "which settles the answer to 100.0% of the inputs; the same coefficients at other keys settle 0.0%."
        in summary.verdict
    )
    assert "8 of 8 predictions of what interventions do came true" in summary.verdict
    assert (
        "It does so by the key frequencies 2, 6, which explain 100.0% of its logits (the others: 0.0%)"
        in summary.verdict
    )
    assert "kills the network: accuracy goes from 100.00% to" in summary.verdict
    assert {(a.site, a.keep) for a in summary.ablations} == {
        (site, keep) for site in ("embed", "neurons", "logits") for keep in (False, True)
    }


def test_what_a_formula_explains_is_said_with_its_control():
    """Formula and causal evidence come first, and what explains anything has a control beside it."""
    summary = mg.summarize(mg.cosine_network(13, {2: 20.0, 6: 20.0}))
    found = summary.explanation
    assert (found.explained_share, found.control_share) == (1, 0)
    values = summary.values
    assert (values["explained_share"], values["explained_share_control"]) == (1, 0)
    order = [
        summary.verdict.index(text)
        for text in ("cos(w_2", "settles", "cluster of neurons", "key frequencies")
    ]
    assert order == sorted(order)
    stated = json.loads(summary.to_json())
    assert stated["formula"] == found.formula
    assert [row["control"] for row in stated["predictions"]] == [item.control for item in found.interventions]


def test_a_lookup_table_has_no_formula_to_say():
    task = mg.modular_task("add", 13)
    table = torch.zeros(169, 13).scatter_(1, task.labels[:, None], 9.0)
    summary = mg.summarize(mg.grid_from_tensors(task, table))
    assert "and no formula says how: every frequency is there with the same coefficient" in summary.verdict
    assert "explained_share" not in summary.values


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


def test_a_verdict_says_that_nothing_was_held_back():
    """All inputs right is no sign of an algorithm where all of them were trained on."""
    model = mg.cosine_network(13, {2: 20.0, 6: 20.0})
    task = mg.cache_grid(model).task
    said = "on the inputs that it was trained on (nothing was held back to test it)"
    assert said in mg.summarize(model, task.split(1.0)).verdict
    assert said not in mg.summarize(model, task.split(0.9)).verdict
    assert said not in mg.summarize(model).verdict, "what it was trained on is not known"


def test_without_keys_the_verdict_says_how_little_the_candidates_explain():
    """A table of the train pairs, raised where it would give a wrong answer."""
    task = mg.modular_task("add", 31)
    train = task.split(0.3, seed=0).train
    right = torch.nn.functional.one_hot(task.labels, 31).double()
    answers = 10 * right * train[:, None] + 0.01 * right
    summary = mg.summarize(mg.grid_from_tensors(task, answers))
    assert summary.values["accuracy_all"] == 1
    assert "has no key frequencies: the strongest 15 candidates explain 30" in summary.verdict
    assert "undetermined" in summary.verdict
    assert summary.ablations == ()
    assert summary.fve is None


def test_given_keys_are_used():
    model = mg.cosine_network(13, {2: 9.0, 3: 9.0})
    assert mg.summarize(model, keys=[3]).values["key_frequencies"] == [3]


def test_the_verdict_is_about_the_given_keys():
    verdict = mg.summarize(mg.cosine_network(13, {2: 9.0, 3: 9.0}), keys=[3]).verdict
    assert "by the key frequency 3, which explains 50.0% of its logits (the others: 50.0%)" in verdict
    assert "undetermined" in mg.summarize(mg.cosine_network(13, {2: 9.0}), keys=[]).verdict


def test_an_ablation_without_effect_kills_nothing():
    strong = mg.cosine_network(13, {2: 90.0, 3: 2.0})
    assert "does not kill the network" in mg.summarize(strong, keys=[3]).verdict


@pytest.mark.parametrize(("operation", "p"), [("mul", 13), ("div", 11)])
def test_a_network_that_multiplies_is_a_clock_in_discrete_log_space(operation, p):
    task = mg.modular_task(operation, p)
    summary = mg.summarize(mg.grid_from_tensors(task, cosine_logits(task, {1: 30.0, p // 2 - 1: 30.0})))
    assert summary.logarithmic
    assert "It is like a clock in discrete-log space" in summary.verdict
    forced = mg.grid_from_tensors(task.in_basis(mg.fourier_basis(p)), torch.eye(p)[task.labels])
    if operation == "mul":
        assert "discrete-log" not in mg.summarize(forced).verdict, "not in the basis of addition"


def test_a_pizza_in_an_order_of_its_own_is_no_clock():
    n = 11
    names = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    sums = (torch.arange(n)[:, None] + torch.arange(n)) % n
    task = mg.group_task(names[sums][names.argsort()][:, names.argsort()], name="renamed")
    x, y, z = torch.meshgrid(*[torch.arange(n).double()] * 3, indexing="ij")
    waves = sum((pi * k / n * (x - y)).cos().abs() * (2 * pi * k / n * (x + y - z)).cos() for k in (1, 3))
    logits = torch.zeros(n * n, n, dtype=torch.float64)
    logits[task.frame.rows.flatten()[:, None], task.frame.classes] = 9 * waves.flatten(0, 1)
    summary = mg.summarize(mg.grid_from_tensors(task, logits))
    assert "It is a pizza in discrete-log space" in summary.verdict


def test_sums_are_not_called_logarithms():
    summary = mg.summarize(mg.cosine_network(13, {2: 20.0, 6: 20.0}))
    assert not summary.logarithmic
    assert "discrete-log" not in summary.verdict


OTHER_FORMS = ("_without_mean", "_character_space", "double_centred")


def test_the_numbers_are_those_of_the_measures_that_they_name():
    model = mg.build_model(mg.modular_task("add", 13), mg.ModelConfig(d_model=16), seed=0)
    split, keys = model.task.split(0.5), (2, 6)
    values = mg.summarize(model, split, keys=keys).values
    snapshot = mg.Snapshot(0, model, model.task, split, keys)
    compared = {name: VARIANTS.get(name, name) for name in values if not name.endswith(OTHER_FORMS)}
    compared = {
        name: measure for name, measure in compared.items() if measure in mg.MEASURES and name not in COUNTS
    }
    assert len(compared) > 15
    for name, measure in compared.items():
        own = measured(snapshot, [mg.MEASURES[measure]])
        parts = (
            {f"{measure}[{k}]": v for k, v in values[name].items()} if isinstance(values[name], dict) else {}
        )
        for column, value in own.items():
            if measure != "neuron_clusters" or column in parts:
                assert parts.get(column, values[name]) == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_every_number_has_a_unit():
    model = mg.cosine_network(13, {2: 9.0})
    for split in (None, model.task.split(0.4)):
        values = mg.summarize(model, split).values
        assert [name for name in values if not unit_of(name)] == ["task", "key_frequencies"]
    assert unit_of("excluded_loss_all_per_key") == "nats"


def test_the_history_of_a_run_has_measures():
    run = mg.train(mg.modular_task("add", 7), model=mg.ModelConfig(d_model=16), steps=4, progress=False)
    snapshot = mg.Snapshot(4, run.model(4), run.task, run.split)
    row = dict(run.history[-1])
    assert row.pop("step") == 4
    assert len(row) >= 5
    for name, value in measured(snapshot, [mg.MEASURES[name] for name in row]).items():
        assert row[name] == pytest.approx(value, rel=1e-5), name
