"""Networks trained by others on digits and repeated subsequences match the numbers of their authors' code."""

import json
from pathlib import Path

import numpy as np
import pytest

import mechgrok as mg
from mechgrok.cli import main

DIGITS, INDUCTION = "nanda/5_digit_addition_infinite", "nanda/induction_head_infinite"


@pytest.fixture(scope="module")
def expected(peer_data: Path) -> dict:
    return json.loads((peer_data / "expected.json").read_text())


def network(peer_data: Path, name: str):
    return mg.load_model(peer_data / f"{name}.safetensors")


@pytest.mark.parametrize(
    ("name", "task"), [(DIGITS, mg.digit_addition_task(5)), (INDUCTION, mg.repeated_sequence_task())]
)
def test_the_task_is_recognised(peer_data, name, task):
    assert mg.infer_task(network(peer_data, name)) == task
    assert mg.cache_grid(network(peer_data, name)).task == task


def test_the_loss_of_each_digit(peer_data, expected):
    wanted = expected[DIGITS]
    found = mg.position_losses(network(peer_data, DIGITS), n=20_000)
    assert found.losses.tolist() == pytest.approx(wanted["loss_per_answer_token"], rel=0.1)
    assert found.loss == pytest.approx(wanted["loss_nats_per_answer_token"], rel=0.1)
    assert found.exact_match == pytest.approx(wanted["exact_match"], abs=0.005)


def test_the_loss_of_the_repeated_tokens(peer_data, expected):
    found = mg.position_losses(network(peer_data, INDUCTION))
    assert found.loss == pytest.approx(expected[INDUCTION]["recorded_final_train_loss"], rel=0.15)
    assert len(found.losses) == 30


def test_a_network_of_the_same_sizes_that_was_never_trained_has_no_task(peer_data):
    model = network(peer_data, DIGITS)
    fresh = mg.build_model(mg.digit_addition_task(5), model.cfg, seed=0)
    fresh.task = None
    with pytest.raises(mg.TaskError, match="the closest is 5-digit addition"):
        mg.infer_task(fresh)


def test_analyze_alone_finds_the_induction_heads(peer_data, expected, capsys):
    file = peer_data / f"{INDUCTION}.safetensors"
    assert main(["analyze", str(file), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert sorted(values["induction_heads"]) == ["L1H1", "L1H2", "L1H3"]
    losses = values["loss_per_position"].values()
    assert sum(losses) / len(losses) == pytest.approx(
        expected[INDUCTION]["recorded_final_train_loss"], rel=0.15
    )
    assert "Its induction heads are" in values["verdict"]


def test_analyze_alone_has_the_loss_of_each_digit(peer_data, expected, capsys):
    wanted = expected[DIGITS]
    file = peer_data / f"{DIGITS}.safetensors"
    assert main(["analyze", str(file), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [*values["loss_per_position"].values()] == pytest.approx(wanted["loss_per_answer_token"], rel=0.1)
    assert values["exact_match"] == pytest.approx(wanted["exact_match"], abs=0.005)
    assert values["induction_heads"] == []


def test_the_induction_heads_look_where_it_is_copied_from_alone(peer_data):
    """The previous-token head works in the first third, which is all that the others read."""
    model = network(peer_data, INDUCTION)
    pattern = mg.mean_attention(model, mg.repeated_sequence_task()).patterns[0, 2]
    assert pattern.diagonal(-1)[2:26].mean() > 0.8
    assert pattern.diagonal(-1)[30:].mean() < 0.05


def test_the_published_curve_has_a_phase_change(peer_data):
    losses = np.load(peer_data / "nanda/loss_curves.npz")["induction_head_infinite__train"]
    (change,) = mg.find_phase_changes(
        [{"step": i, "loss_train": x} for i, x in enumerate(losses)], "loss_train"
    )
    assert 700 < change.start < change.steepest < change.end < 1050
