"""The page on networks that read sequences: positions, heads, attention and phase changes."""

import numpy as np
import pytest
from pages import report

import mechgrok as mg
from mechgrok.cli import main
from mechgrok.cli.drawing import draw_all

TASK = mg.digit_addition_task(1)
MODEL = mg.ModelConfig(d_model=16, n_heads=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return mg.train(
        TASK, model=MODEL, lr=3e-3, steps=120, checkpoint_every=10, eval_every=10, out=folder, progress=False
    )


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return report(tmp_path_factory.mktemp("page"), run)


def test_the_sections_are_those_of_what_is_there(page):
    assert {"positions", "heads-induction", "attention-L0H0", "attention-L0H1", "phase-changes"} <= set(
        page.places
    )
    for title in ("Loss of each position", "Attention heads", "Where heads look", "Phase changes"):
        assert title in page.text
    assert "Clock or pizza" not in page.text
    assert "There is no copying score: the network reads 12 tokens and has 10 logits" in page.text


def test_unlimited_data_has_no_train_loss_and_no_phases_of_grokking(page):
    assert "trained on fresh inputs for 120 steps" in page.text
    assert "the network first memorised" not in page.text
    assert "Phases of the training" not in page.text


def test_the_numbers_are_those_of_the_analyses(run, page):
    scores = mg.head_scores(run.grid())
    for name in scores.defined:
        z = page.figures[f"heads-{name}"]["data"][0]["z"]
        assert np.shape(z) in {(1, 2), ()} or z  # packed or plain
        assert f"{scores[name].max().item():.1%}" in page.text
    summary = mg.summarize(run)
    assert f"{summary.values['exact_match']:.1%}" in page.text


def test_measures_of_positions_and_heads_are_drawn_over_the_steps(page):
    assert "Test loss of each position" in page.text
    assert "Attention heads" in page.text


def test_the_summary_has_positions_and_heads(run):
    summary = mg.summarize(run)
    assert list(summary.values["loss_per_position"]) == ["10^1", "10^0"]
    mean = sum(summary.values["loss_per_position"].values()) / 2
    assert mean == pytest.approx(summary.values["loss_test"], rel=0.1)
    assert summary.values["induction_heads"] == []
    assert "at all positions of" in summary.verdict
    assert "No head is mainly of the known kinds" in summary.verdict


def test_the_figures_are_those_of_what_is_there(run):
    names = [name for name, _ in draw_all(run, None)]
    assert {"positions", "heads", "attention", "training-loss", "training-phase-changes"} <= set(names)
    titles = [note.text for note in mg.summarize(run).figure().layout.annotations]
    assert {"Previous token", "Duplicate token", "Induction"} <= set(titles)


def test_the_command_line_says_it_too(run, capsys):
    assert main(["analyze", str(run.path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "All positions right" in printed
    assert "Phase changes of the test loss:" in printed
    assert "even attention" in printed


def test_a_circuit_is_recognised(tmp_path):
    model = mg.induction_network(12, 15)
    model.task = mg.repeated_sequence_task(12, 15, subsequence=7, repeats=2)
    verdict = mg.summarize(model).verdict
    assert "Its induction head is L1H1 (" in verdict
    assert "Its previous-token head is L0H0 (100%)" in verdict
    page = report(tmp_path, model)
    assert "induction" in page.text
    assert "Previous-token heads" in page.text


def test_a_task_in_a_group_has_no_such_sections(tmp_path):
    summary = mg.summarize(mg.cosine_network(11, {3: 9.0}))
    assert (summary.sequence.positions, summary.sequence.heads, summary.sequence.attention) == (
        None,
        None,
        None,
    )
    page = report(tmp_path, mg.cosine_network(11, {3: 9.0}))
    assert "Attention heads" not in page.text


def test_one_answer_to_a_sequence_has_heads_alone():
    task = mg.skip_trigram_task(3, 9)
    summary = mg.summarize(mg.build_model(task, MODEL, seed=0))
    assert summary.sequence.positions is None
    assert summary.sequence.heads is not None
    assert "loss_per_position" not in summary.values


def test_several_answers_from_a_dense_network_have_positions_alone():
    task = mg.running_sum_task(6, 3)
    features = mg.array_task(np.random.default_rng(0).normal(size=(9, 4)), np.arange(9) % 3)
    assert mg.summarize(mg.build_model(features, mg.DenseConfig(d_mlp=8), seed=0)).sequence.heads is None
    grid = mg.grid_from_tensors(task, np.zeros((2000, 6, 3)))
    seen = mg.summarize(grid).sequence
    assert seen.heads is None
    assert seen.positions.losses.tolist() == pytest.approx([np.log(3)] * 6)
