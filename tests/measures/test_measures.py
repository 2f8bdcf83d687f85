"""Measures: planted answers, and equality with the functions that compute a single quantity."""

import runpy
from math import cos, log, pi
from pathlib import Path

import pytest
import torch
from planted import gromov_waves, phase_grid, wave_network

import mechgrok as mg
from mechgrok.measures.neurons import tuning
from mechgrok.progress.compute import measured

pytestmark = pytest.mark.bits

TASKS = {
    "prime": mg.modular_task("add", 13),
    "even": mg.modular_task("add", 12),
    "difference, composite": mg.modular_task("sub", 15),
    "product": mg.modular_task("mul", 13),
    "product without primitive root": mg.modular_task("mul", 8),
    "uneven answers": mg.modular_task("a^2+a*b", 11),
    "answers that never occur": mg.modular_task("a^2*b^2", 11),
    "permutations": mg.sn_task("S3"),
    "S4": mg.sn_task("S4"),
}


def snapshot_of(model, keys, *, split=None, task=None, step=0):
    task = task or model.task
    return mg.Snapshot(step, model, task, split or task.split(0.5), tuple(keys))


def values_of(model, keys, *names, **options):
    return measured(snapshot_of(model, keys, **options), [mg.MEASURES[name] for name in names])


@pytest.mark.parametrize("p", [7, 12, 15, 59])
def test_a_planted_circuit(p):
    amplitudes = {1: 9.0, p // 2 - 1: 6.0}
    model = mg.cosine_network(p, amplitudes)
    task = model.task
    split = task.split(0.4)
    keys = tuple(amplitudes)
    values = measured(snapshot_of(model, keys, split=split), list(mg.MEASURES.values()))
    everything = mg.full_loss(model)

    assert values["restricted_loss"] == pytest.approx(everything, rel=1e-9)
    assert values["restricted_accuracy"] == pytest.approx(values["accuracy_train"], rel=1e-12)
    assert values["accuracy_train"] == pytest.approx(values["accuracy_test"], rel=1e-12)
    assert values["excluded_loss"] == pytest.approx(log(p), rel=1e-9)
    assert values["logit_fve"] == pytest.approx(1)
    for key, amplitude in amplitudes.items():
        share = amplitude**2 / sum(a**2 for a in amplitudes.values())
        assert values[f"logit_fve_per_key[{key}]"] == pytest.approx(share)
        other = mg.cosine_network(p, {k: a for k, a in amplitudes.items() if k != key})
        alone = mg.cosine_network(p, {key: amplitude})
        assert values[f"excluded_loss_per_key[{key}]"] == pytest.approx(mg.full_loss(other, split.train))
        assert values[f"restricted_loss_per_key[{key}]"] == pytest.approx(mg.full_loss(alone))
    assert values["distance_irrelevance"] == pytest.approx(1)
    assert values["frequency_synchronisation"] == pytest.approx(1)
    assert values["effective_dimension"] == pytest.approx(2 * len(amplitudes))
    assert values["fourier_coefficient_ratio_W_E"] == pytest.approx(1)
    heights = [sum(a * (1 - cos(2 * pi * k * d / p)) for k, a in amplitudes.items()) for d in range(1, p)]
    assert values["margin_min"] == pytest.approx(min(heights))
    assert values["margin_median"] == pytest.approx(min(heights))
    assert values["sum_squared_weights"] == pytest.approx(
        sum(v for name, v in values.items() if name.startswith("sum_squared_weights_per_tensor["))
    )
    assert values["gini_W_E"] == pytest.approx(1 - 2 / (p // 2))


def test_one_planted_circle_is_circular_and_its_operands_are_not_treated_alike():
    values = values_of(mg.cosine_network(11, {2: 5.0}), [2], "circularity", "gradient_symmetricity")
    assert values["circularity"] == pytest.approx(1)
    assert values["gradient_symmetricity"] == pytest.approx(
        mg.gradient_symmetricity(mg.cosine_network(11, {2: 5.0}), 100).value
    )


@pytest.mark.parametrize(("keys", "expected"), [([1], 0.0), ([1, 2], 0.0), ([2, 4, 5], 0.0)])
def test_neurons_that_are_spread_evenly_are_synchronised_by_chance(keys, expected):
    task = mg.modular_task("add", 11, sequence=("a", "b"))
    model = wave_network(task, gromov_waves(11, 50, seed=0))
    values = values_of(model, keys, "frequency_synchronisation", task=task)
    assert values["frequency_synchronisation"] == pytest.approx(expected, abs=1e-12)


def test_synchronisation_counts_the_commonest_blocks_and_chance():
    task = mg.modular_task("add", 11, sequence=("a", "b"))
    waves = phase_grid([3]) + phase_grid([5])[:5]
    value = values_of(wave_network(task, waves), [1], "frequency_synchronisation", task=task)
    assert value["frequency_synchronisation"] == pytest.approx((25 / 30 - 1 / 5) / (1 - 1 / 5))


def test_there_is_no_synchronisation_where_answers_never_occur():
    task = TASKS["answers that never occur"]
    model = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    values = values_of(model, [1], "frequency_synchronisation", task=task)
    assert "some answers of a^2*b^2 mod 11 never occur" in values["frequency_synchronisation"]


def test_decided_neurons_are_counted_by_key():
    # Squares of waves at n/3 have that frequency again, so that these neurons are pure.
    task = mg.modular_task("add", 9, sequence=("a", "b"))
    model = wave_network(task, phase_grid([3]) + phase_grid([1])[:15])
    names = ("neuron_fve", "neurons_decided", "neuron_clusters")
    values = values_of(model, [1, 3], *names, task=task)
    assert values["neuron_fve"] == pytest.approx(1)
    assert values["neurons_decided"] == pytest.approx(25 / 40)
    assert (values["neuron_clusters[1]"], values["neuron_clusters[3]"]) == (0, 25)


def test_a_planted_group_circuit():
    model = mg.character_network("S3", {"sign": 1.0, "standard": 3.0})
    keys = ("sign", "standard")
    values = values_of(model, keys, "restricted_loss", "excluded_loss", "logit_fve", "effective_dimension")
    assert values["restricted_loss"] == pytest.approx(mg.full_loss(model))
    assert values["excluded_loss"] == pytest.approx(log(6))
    assert values["logit_fve"] == pytest.approx(1)


def expected_values(grid, split, keys):
    """What the functions that compute one thing at a time say."""
    inside = grid.task.frame.covers(grid.task.n_inputs)
    neurons = mg.neuron_frequencies(grid)
    fve = mg.logit_fve(grid, keys)
    yield "loss_train", mg.full_loss(grid, split.train)
    yield "loss_test", mg.full_loss(grid, split.test)
    yield "accuracy_train", mg.accuracy(grid, split.train)
    yield "accuracy_test", mg.accuracy(grid, split.test)
    yield "restricted_loss", mg.restricted_loss(grid, keys)
    yield "excluded_loss", mg.excluded_loss(grid, keys, split.train)
    yield "logit_fve", fve.fraction
    for key in keys:
        yield f"restricted_loss_per_key[{key}]", mg.restricted_loss(grid, [key])
        yield f"excluded_loss_per_key[{key}]", mg.excluded_loss(grid, [key], split.train)
        yield f"logit_fve_per_key[{key}]", fve.per_key[key]
        yield f"neuron_clusters[{key}]", neurons.clusters.get(key, 0)
    yield "neurons_decided", neurons.decided.double().mean().item()
    yield "gini_W_E", mg.gini(mg.frequency_norms(grid))
    yield "gini_W_L", mg.gini(mg.frequency_norms(grid, matrix="W_L"))
    yield "sum_squared_weights", mg.sum_squared_weights(grid.model)
    if grid.task.frame.basis.what == "frequency":
        yield "fourier_frequency_density_W_E", mg.fourier_frequency_density(grid)
        yield "fourier_frequency_density_W_L", mg.fourier_frequency_density(grid, matrix="W_L")
        yield "fourier_coefficient_ratio_W_E", mg.fourier_coefficient_ratio(grid)
        yield "fourier_coefficient_ratio_W_L", mg.fourier_coefficient_ratio(grid, matrix="W_L")
        yield "circularity", mg.circularity(grid)
    assert inside.any()


@pytest.mark.parametrize("architecture", ["transformer", "MLP", "two layers"])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_trained_networks_have_the_values_of_the_single_functions(task, architecture):
    config = {
        "transformer": mg.ModelConfig(d_model=16, n_heads=2),
        "MLP": mg.MLPConfig(d_embed=16, d_mlp=32),
        "two layers": mg.ModelConfig(d_model=16, n_heads=2, n_layers=2),
    }[architecture]
    run = mg.train(task, model=config, steps=30, fraction=0.6, checkpoint_every=15, progress=False)
    keys = run.task.frame.basis.labels[:2]
    table = mg.progress_measures(run, [*mg.MEASURES], keys, progress=False)
    for i, step in enumerate(run.steps):
        for name, value in expected_values(run.grid(step), run.split, keys):
            assert table[name][i] == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_neurons_are_tuned_as_by_the_transform_over_both_operands(task):
    model = mg.build_model(task, mg.ModelConfig(d_model=16), seed=1)
    snapshot = mg.Snapshot(0, model, task)
    ours, reference = tuning(snapshot), mg.neuron_frequencies(snapshot.grid)
    assert torch.equal(ours.alive, reference.alive)
    assert torch.allclose(ours.fve, reference.fve, atol=1e-5)
    assert torch.allclose(ours.power, reference.power, rtol=1e-4, atol=1e-5 * reference.power.max().item())
    clear = reference.alive & (reference.power.topk(2).values.diff(dim=1).abs()[:, 0] > 1e-4)
    assert torch.equal(ours.frequency[clear], reference.frequency[clear])


def test_constant_neurons_are_dead_whatever_their_height():
    task = mg.modular_task("add", 11)
    model = mg.build_model(task, mg.ModelConfig(d_model=16), seed=1)
    with torch.no_grad():
        model.blocks[0].mlp.W_in[:, :7] = 0
        model.blocks[0].mlp.b_in[:7] = 1000 / 3
    alive = tuning(mg.Snapshot(0, model, task)).alive
    assert not alive[:7].any()
    assert alive[7:].any()


def test_margins_are_those_of_the_train_inputs():
    model = mg.build_model(mg.modular_task("add", 7), mg.ModelConfig(d_model=16), seed=0)
    split = model.task.split(0.3, seed=3)
    logits = mg.cache_grid(model).logits.double()
    margins = sorted(
        (row[c] - torch.cat([row[:c], row[c + 1 :]]).max()).item()
        for row, c, train in zip(logits, model.task.labels, split.train, strict=True)
        if train
    )
    values = values_of(model, [1], "margin_min", "margin_median", split=split)
    assert values["margin_min"] == pytest.approx(margins[0], rel=1e-5)
    assert values["margin_median"] == pytest.approx(margins[(len(margins) - 1) // 2], rel=1e-5)


def test_what_a_measure_needs_is_what_it_says():
    task = mg.modular_task("add", 7)
    model = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    flat = mg.build_model(task, mg.ModelConfig(d_model=16, attn_only=True), seed=0)
    lacking = {
        "keys": mg.Snapshot(0, model, task, task.split(0.5)),
        "split": mg.Snapshot(0, model, task, None, (1, 2)),
        "neurons": mg.Snapshot(0, flat, task, task.split(0.5), (1, 2)),
    }
    for need, snapshot in lacking.items():
        for name, measure in mg.MEASURES.items():
            undefined = isinstance(measured(snapshot, [measure]).get(name), str)
            if {"values", "positions"} & {*measure.needs}:  # which this task does not have
                assert undefined, name
            elif "heads" in measure.needs:  # which this network has, and this task does not ask for
                assert undefined == (name == "copying_score"), name
            elif name != "neuron_fve" or need == "neurons":
                assert undefined == (need in measure.needs), (need, name)


def test_measures_of_values_are_in_the_default_set_of_tasks_with_values_alone():
    x = torch.linspace(-1, 1, 40)[:, None]
    task = mg.array_task(x, x**2, name="square")
    run = mg.train(task, steps=30, model=mg.DenseConfig(d_mlp=16), progress=False)
    table = mg.progress_measures(run, progress=False)
    row = run.history[-1]
    assert table["r2_test"][-1] == pytest.approx(row["r2_test"], rel=1e-6)
    assert table["loss_test"][-1] == pytest.approx(row["mse_test"], rel=1e-6)
    assert table["accuracy_test"] == (None, None)
    assert "r2_test" not in mg.progress_measures("add113", steps=[0], progress=False).measures


def test_measures_of_positions_are_in_the_default_set_of_tasks_with_several_alone():
    task = mg.digit_addition_task(1, finite=50)
    run = mg.train(task, steps=30, model=mg.ModelConfig(d_model=16), progress=False)
    table = mg.progress_measures(run, progress=False)
    row, test = run.history[-1], run.split.test
    digits = table.parts("loss_per_position")
    assert list(digits) == ["10^1", "10^0"]
    assert sum(losses[-1] for losses in digits.values()) / 2 == pytest.approx(row["loss_test"], rel=1e-6)
    right = mg.cache_grid(run).logits.argmax(-1) == task.labels
    assert table["exact_match"][-1] == pytest.approx(right.all(1)[test].double().mean().item())
    assert "exact_match" not in mg.progress_measures("add113", steps=[0], progress=False).measures
    asked = mg.progress_measures("add113", ["exact_match"], steps=[0], progress=False)
    assert "at one position alone" in asked.undefined["exact_match"][0]


def test_measures_of_heads_are_in_the_default_set_of_sequences_alone():
    task = mg.running_sum_task(6, 5)
    run = mg.train(task, steps=20, model=mg.ModelConfig(d_model=16, n_heads=2), progress=False)
    table = mg.progress_measures(run, progress=False)
    scores = mg.head_scores(run.model(), task)
    assert table["induction_score"][-1] == scores["induction"].max().item()
    assert {name: values[-1] for name, values in table.parts("previous_token_score_per_head").items()} == {
        row.name: row.previous_token for row in scores
    }
    assert table["copying_score"][-1] == scores["copying"].max().item()
    assert not any(
        "heads" in mg.MEASURES[name].needs
        for name in mg.progress_measures("add113", steps=[0], progress=False).measures
    )


def test_the_in_context_score_compares_the_ends_of_a_sequence():
    task = mg.running_sum_task(8, 5)
    run = mg.train(task, steps=20, model=mg.ModelConfig(d_model=16), progress=False)
    table = mg.progress_measures(run, ["in_context_score", "loss_per_position"], progress=False)
    losses = [values[-1] for values in table.parts("loss_per_position").values()]
    assert table["in_context_score"][-1] == pytest.approx(sum(losses[-2:]) / 2 - sum(losses[:2]) / 2)


def test_every_measure_is_described():
    for measure in mg.MEASURES.values():
        assert measure.unit, measure
        assert measure.summary.endswith((".", ":")), measure
        assert set(measure.needs) <= {"keys", "split", "neurons", "values", "positions", "heads"}, measure


def test_the_page_of_measures_is_current():
    docs = Path(__file__).parents[2] / "docs"
    written = runpy.run_path(str(docs / "measures.py"))["page"]()
    assert (docs / "measures.md").read_text(encoding="utf-8") == written, "run: python docs/measures.py"
