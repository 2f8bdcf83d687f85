"""Progress display in a log file, a notebook and a terminal."""

import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from mechgrok.training import progress_bars
from mechgrok.training.progress_bars import bar, progress_bar


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
    monkeypatch.setattr(progress_bars.time, "monotonic", lambda: next(seconds))
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


class Cell:
    """The outputs of a cell of a notebook, as IPython keeps them."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, str]] = []

    def DisplayHandle(self) -> "Cell":
        return self

    def display(self, data: dict[str, str], raw: bool) -> None:
        assert raw
        self.outputs.append(data)

    def update(self, data: dict[str, str], raw: bool) -> None:
        assert raw
        self.outputs[-1] = data


def test_a_notebook_keeps_one_line_and_no_widget(monkeypatch, capsys):
    cell = Cell()
    monkeypatch.setitem(sys.modules, "IPython.display", cell)
    monkeypatch.setattr(progress_bars, "Console", lambda stderr: Console(stderr=stderr, force_jupyter=True))
    monkeypatch.setattr(progress_bars.time, "monotonic", lambda: 0.0)
    with bar("networks", 3, "network") as tell:
        tell(1, "")
        tell(2, "")
        tell(3, "done")
    with bar("nothing", 3, "network"):
        pass
    assert cell.outputs == [{"text/plain": "networks: network 3/3, done, 0 s"}]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_a_bar(monkeypatch):
    made = []

    def noted(*columns, **options):
        made.append(Progress(*columns, **options, disable=True))
        return made[-1]

    monkeypatch.setattr(progress_bars, "Progress", noted)
    monkeypatch.setattr(progress_bars, "Console", lambda stderr: Console(stderr=stderr, force_terminal=True))
    with bar("x", 3, "network") as tell:
        tell(1, "")
    assert made[0].tasks[0].completed == 1


def test_lines_of_what_has_nothing_to_say_but_how_many(capsys):
    with bar("networks", 2, "network") as tell:
        tell(1, "")
        tell(2, "")
    with bar("add5 measures", 2, "checkpoint") as tell:
        tell(2, "step 50")
    with bar("off", 2, "network", enabled=False) as tell:
        tell(2, "")
    assert capsys.readouterr().err.splitlines() == [
        "networks: network 1/2, 0 s",
        "networks: network 2/2, 0 s",
        "add5 measures: checkpoint 2/2, step 50, 0 s",
    ]
