"""Networks that others trained on digits and on repeated subsequences give the numbers of their authors' code."""

import json
from pathlib import Path

import pytest

import mechgrok as mg

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
