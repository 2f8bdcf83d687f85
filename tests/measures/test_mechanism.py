"""Measures of the mechanism: planted circuits, a memory, and the run that comes with mechgrok."""

import pytest
import torch
from planted import phase_grid, wave_network

import mechgrok as mg
from mechgrok.progress.compute import measured

NAMES = (
    "explained_share",
    "scrubbed_accuracy_train",
    "scrubbed_accuracy",
    "ideal_accuracy",
    "phase_alignment",
)


def values_of(model, keys, *names, task=None, split=None):
    task = task or model.task
    snapshot = mg.Snapshot(0, model, task, split or task.split(0.5), tuple(keys))
    return measured(snapshot, [mg.MEASURES[name] for name in names])


@pytest.mark.parametrize(("p", "k"), [(5, 2), (7, 3), (12, 5), (15, 4), (59, 7)])
@pytest.mark.parametrize("operation", ["add", "sub"])
def test_a_planted_circuit_is_all_mechanism(p, k, operation):
    task = mg.modular_task(operation, p, sequence=("a", "b"))
    keys = sorted({1, k})
    if len(keys) == p // 2:  # all blocks with one coefficient are a lookup table
        keys = [k]
    model = wave_network(task, phase_grid(keys), gain=8.0)
    values = values_of(model, keys, *NAMES, task=task)
    for name in NAMES[:-1]:
        assert values[name] == 1, name
    assert values["phase_alignment"] == pytest.approx(
        0, abs=1e-9
    )  # both phases take all values, as on a torus


@pytest.mark.parametrize("p", [5, 12, 15, 59])
def test_one_phase_for_both_operands_is_aligned(p):
    task = mg.modular_task("add", p, sequence=("a", "b"))
    waves = [(2, f, f) for f in (0.3, 1.1, 2.0)] + [(1, f, f + 0.4) for f in (0.5, 1.5)]
    values = values_of(wave_network(task, waves), [1, 2], "phase_alignment", task=task)
    expected = abs(3 + 2 * torch.polar(torch.tensor(1.0), torch.tensor(-0.4)).item()) / 5
    assert values["phase_alignment"] == pytest.approx(expected, abs=1e-6)


def test_they_are_what_the_public_functions_say():
    task = mg.modular_task("add", 11)
    model = mg.cosine_network(11, {2: 6.0, 5: 4.0})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.06 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    split = task.split(0.4)
    values = values_of(
        model, [2, 5], *NAMES, "class_distance_ratio", "zero_loss", "zero_gradient", split=split
    )
    collapse = mg.softmax_collapse(model, split.train)
    assert values == pytest.approx({
        "explained_share": mg.explained_share(model, [2, 5]),
        "scrubbed_accuracy_train": mg.scrub(model, split.train).accuracy,
        "scrubbed_accuracy": mg.scrub(model).accuracy,
        "ideal_accuracy": mg.ideal_network(model).accuracy,
        "phase_alignment": mg.neuron_phases(model).alignment(),
        "class_distance_ratio": mg.class_distance_ratio(model, split.test),
        **{f"zero_loss[{name}]": share for name, share in collapse.no_loss.items()},
        **{f"zero_gradient[{name}]": share for name, share in collapse.no_gradient.items()},
    })  # fmt: skip
    assert 0 < values["scrubbed_accuracy"] < 1
    assert 0 < values["explained_share"] < 1


def test_they_say_why_they_are_not_there():
    task = mg.modular_task("add", 7)
    flat = mg.build_model(task, mg.ModelConfig(d_model=16, attn_only=True), seed=0)
    values = values_of(flat, [1], *NAMES[1:], "class_distance_ratio", task=task)
    assert all("no neurons" in reason for reason in values.values()), values
    fresh = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    values = values_of(fresh, [], "explained_share", "phase_alignment", task=task)
    assert "no key frequency" in values["explained_share"]
    parity = mg.parity_task(4, (0, 1))
    model = mg.build_model(parity, seed=0)
    values = values_of(model, [], *NAMES[1:], task=parity)
    assert all(isinstance(reason, str) for reason in values.values()), values


def test_a_network_with_gated_neurons_has_the_others():
    task = mg.modular_task("add", 7)
    gated = mg.build_model(task, mg.ModelConfig(d_model=16, gated_mlp=True), seed=0)
    values = values_of(gated, [1], *NAMES, task=task)
    assert "gated" in values["ideal_accuracy"]
    assert isinstance(values["scrubbed_accuracy"], float)


def test_a_memory_does_not_survive_scrubbing():
    """A network that knows its train inputs by heart, and the others no better than by chance."""
    run = mg.train(
        mg.modular_task("add", 59), "fast", model=mg.ModelConfig(d_model=64), fraction=0.15, weight_decay=0.0,
        steps=100, progress=False,
    )  # fmt: skip
    model, train = run.model(), run.split.train
    values = values_of(model, [], "accuracy_train", "accuracy_test", *NAMES, task=run.task, split=run.split)
    assert values["accuracy_train"] == 1
    assert values["accuracy_test"] < 0.1
    assert values["scrubbed_accuracy_train"] < 0.1
    found = mg.scrub(model, train)
    assert found.before.accuracy == 1
    assert found.accuracy == pytest.approx(values["scrubbed_accuracy_train"], abs=0.01)


@pytest.fixture(scope="module")
def course():
    names = ["accuracy_train", "accuracy_test", *NAMES, "class_distance_ratio", "zero_loss"]
    run = mg.load_run("add113")
    return mg.progress_measures(run, names, steps=run.steps[::2] + run.steps[-1:], progress=False)


def at(course, name):
    return torch.tensor(course[name], dtype=torch.float64)


def test_on_the_shipped_run_they_rise_with_the_test_accuracy(course):
    test, scrubbed, share = (
        at(course, n) for n in ("accuracy_test", "scrubbed_accuracy_train", "explained_share")
    )
    memorised = (at(course, "accuracy_train") == 1) & (test < 0.1)
    assert memorised.sum() > 5
    assert scrubbed[memorised].max() < 0.12
    assert share[memorised].max() == 0
    assert (scrubbed - test).abs().max() < 0.15
    assert scrubbed[-1] > 0.99
    assert share[-1] > 0.95
    assert share.diff().min() > -0.01
    ranks = torch.stack([x.argsort().argsort().double() for x in (test, scrubbed)])
    assert torch.corrcoef(ranks)[0, 1] > 0.95


def test_on_the_shipped_run_train_inputs_say_what_all_inputs_say(course):
    difference = at(course, "scrubbed_accuracy_train") - at(course, "scrubbed_accuracy")
    assert difference.abs().max() < 0.06


def test_on_the_shipped_run_the_ideal_network_is_ahead(course):
    test, ideal = at(course, "accuracy_test"), at(course, "ideal_accuracy")
    rising = (test > 0.05) & (test < 0.9)
    assert rising.sum() > 5
    assert (ideal > test)[rising].all()
    reached = [
        min(step for step, x in zip(course.steps, values, strict=True) if x > 0.5) for values in (ideal, test)
    ]
    assert reached[0] < 0.7 * reached[1]


def test_on_the_shipped_run_classes_separate_and_losses_vanish(course):
    ratio = at(course, "class_distance_ratio")
    assert ratio[-1] > 5 * ratio[0]
    vanished = (
        at(course, "zero_loss[float16]"),
        at(course, "zero_loss[float32]"),
        at(course, "zero_loss[float64]"),
    )
    assert vanished[0][-1] > vanished[1][-1] >= vanished[2][-1]
