"""What is shown of many trainings: how many are done, run and failed, how fast, and for how long still."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mechgrok.config import TrainConfig
from mechgrok.training.standing import standing, standing_in_words


@dataclass
class Planned:
    """A training of 99 steps, and a first evaluation."""

    path: Path
    config: TrainConfig = field(default_factory=lambda: TrainConfig(steps=99))


@pytest.fixture
def groups(tmp_path):
    return [[Planned(tmp_path / f"{group}{member}") for member in "ab"] for group in "12345"]


def _at(job, step, end="\n"):
    job.path.mkdir(exist_ok=True)
    row = json.dumps({"step": step, "loss_train": 1.0, "digest": "0" * 16})
    (job.path / "history.jsonl").write_text(f'{{"step": 0}}\n{row}{end}')


def _lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_members_that_run_count_for_the_share_of_their_steps(groups, capsys):
    with standing(groups, enabled=True) as take:
        _at(groups[1][0], 49)
        take({job.path: None for job in groups[0]})
        first = _lines(capsys)
        _at(groups[1][0], 99)
        take({job.path: None if job.path.name == "1a" else "it diverged" for job in groups[0]})
    assert first[0].startswith("networks: network 3/10, 2 running, 0 failed, ")
    assert first[0].partition(" left")[0].rpartition(", ")[2], "the time that is left"
    assert _lines(capsys)[0].startswith("networks: network 4/10, 2 running, 1 failed, ")


def test_a_row_that_is_being_written_is_no_error(groups, capsys):
    with standing(groups, enabled=True) as take:
        _at(groups[1][0], 49, end='\n{"st')
        take({})
    assert _lines(capsys)[0].startswith("networks: network 0/10, 0 running, 0 failed")


def test_what_was_trained_before_is_not_counted_into_the_rate(groups, capsys):
    _at(groups[0][0], 98)
    with standing(groups, enabled=True) as take:
        take({})
    assert _lines(capsys)[0].startswith("networks: network 1/10, 2 running, 0 failed"), (
        "99 of 100 rows of two"
    )


def test_nothing_is_shown_when_it_is_not_asked_for(groups, capsys):
    with standing(groups, enabled=False) as take:
        take({job.path: None for job in groups[0]})
    assert _lines(capsys) == []


@pytest.mark.parametrize(
    ("seconds", "left", "words"),
    [(60, 1, "60 s left"), (60, 10, "10 min left"), (60, 300, "5.0 h left")],
)
def test_times_are_in_the_unit_that_fits(seconds, left, words):
    assert standing_in_words(1, 0, 1, left, seconds).endswith(words)
