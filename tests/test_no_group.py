"""A task without a group: everything that needs no group is available, and missing parts explain why."""

import pytest

import mechgrok as mg
from mechgrok.cli.drawing import draw_all
from mechgrok.models.constructed import cosine_network

REASON = "sits in no group"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    task = mg.task_from_function(lambda a, b: max(a, b) > 4, n=9, name="max above 4")
    config = mg.ModelConfig(d_model=16)
    folder = tmp_path_factory.mktemp("no_group") / "run"
    return mg.train(
        task, model=config, fraction=0.8, steps=40, checkpoint_every=20, out=folder, progress=False
    )


def test_the_summary_has_losses_and_the_reason(run):
    summary = mg.summarize(run)
    assert summary.values["loss_test"] == pytest.approx(run.history[-1]["loss_test"])
    assert {"accuracy_all", "loss_train", "sum_squared_weights"} <= summary.values.keys()
    assert REASON in summary.keys.reason
    assert not summary.keys
    assert summary.values["key_frequencies"] == []


def test_a_network_that_has_learned_it_is_said_to_have(run):
    labels = run.task.labels
    known = mg.grid_from_tensors(run.task, 9.0 * (labels[:, None] == labels.unique()))
    verdict = mg.summarize(known).verdict
    assert verdict.startswith(
        "The network computes max above 4 with 100.00% accuracy. How it does so is left open"
    )
    assert REASON in verdict
    assert mg.classify_algorithm(known).algorithm == "undetermined"


def test_the_algorithm_is_undetermined_with_the_reason(run):
    verdict = mg.classify_algorithm(run)
    assert verdict.algorithm == "undetermined"
    assert REASON in verdict.reason
    assert verdict.accuracy == mg.accuracy(run)


def test_the_page_has_curves_and_says_what_is_missing(run, tmp_path):
    for source in (run, run.model()):
        page = mg.write_report(tmp_path / "page.html", source).read_text(encoding="utf-8")
        assert "There are no spectrum, circles, neurons and logits here" in page
        assert REASON in page
    assert '"loss"' in mg.write_report(tmp_path / "run.html", run).read_text(encoding="utf-8")


def test_the_figures_are_those_that_need_no_group(run):
    names = {name for name, _ in draw_all(run, None)}
    assert {"training-loss", "training-accuracy", "training-measures"} <= names
    assert "keys" not in names


def test_progress_measures_take_an_empty_list_of_keys(run):
    table = mg.progress_measures(run, ["loss_test", "restricted_loss"], keys=[], progress=False)
    assert table["loss_test"][-1] == pytest.approx(run.history[-1]["loss_test"])
    assert table["restricted_loss"] == (None, None, None)


def test_keys_that_are_given_are_refused(run):
    with pytest.raises(mg.NoGroupError, match=REASON):
        mg.summarize(run, keys=[1, 2])
    with pytest.raises(mg.NoGroupError, match=REASON):
        mg.summarize(run).keys.figure()


def test_a_task_with_a_group_has_no_such_reason():
    assert mg.summarize(cosine_network(11, {3: 9.0})).keys.no_group == ""
