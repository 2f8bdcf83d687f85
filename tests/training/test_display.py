"""What a training shows in a log file."""

import pytest
from rich.console import Console

from mechgrok.training import display
from mechgrok.training.display import bar_on, progress_bar


def row(step: int) -> dict:
    return {"step": step, "loss_train": 1.0, "loss_test": None, "accuracy_train": 0.5, "accuracy_test": None}


def printed(capsys: pytest.CaptureFixture[str], steps: list[int], most: int) -> list[int]:
    with progress_bar("[/bold] fast", most) as report:
        for step in steps:
            report(row(step))
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("[/bold] fast: step ") for line in lines)
    return [int(line.split("step ")[1].split("/")[0]) for line in lines]


def test_a_line_for_each_tenth_and_the_last(capsys):
    assert printed(capsys, list(range(101)), 100) == list(range(0, 101, 10))
    assert printed(capsys, [0, 1, 2], 100) == [0, 2]
    assert printed(capsys, [], 100) == []


def test_a_line_for_each_half_minute(capsys, monkeypatch):
    seconds = iter(range(0, 1000, 16))
    monkeypatch.setattr(display.time, "monotonic", lambda: next(seconds))
    assert printed(capsys, list(range(6)), 1000) == [0, 2, 4, 5]


def stopped() -> None:
    with progress_bar("x", 100) as report:
        report(row(0))
        report(row(5))
        raise ValueError("stop")


def test_the_last_line_comes_after_an_error_too(capsys):
    with pytest.raises(ValueError, match="stop"):
        stopped()
    assert "step 5/100" in capsys.readouterr().err


@pytest.mark.parametrize("notebook", [True, False])
def test_a_bar_in_a_notebook_leaves_nothing_behind(notebook):
    bar = bar_on(Console(force_jupyter=notebook), enabled=False)
    assert bar.live.transient == notebook
