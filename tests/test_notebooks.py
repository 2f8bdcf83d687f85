"""The notebooks in examples/ run, and show the outputs stored in them."""

import json
from pathlib import Path

import pytest
from notebooks import executed, texts

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def test_there_are_notebooks():
    assert len(NOTEBOOKS) == 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_holds(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    stored = json.loads(path.read_text(encoding="utf-8"))
    again = executed(path)
    assert stored["nbformat"] == 4
    assert [len(cell) for cell in texts(again)] == [len(cell) for cell in texts(stored)]
    shown = "".join(text for cell in texts(again) for text in cell)
    for word in stored["metadata"]["mechgrok_shows"]:
        assert word in shown, word
        assert word in "".join(text for cell in texts(stored) for text in cell), (
            f"{word}: stored outputs are old"
        )


def test_a_cell_that_fails_is_an_error(tmp_path: Path):
    path = tmp_path / "bad.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": ["1 / 0"]}]}))
    with pytest.raises(ZeroDivisionError):
        executed(path)


def test_printed_text_and_the_last_value_are_outputs(tmp_path: Path):
    path = tmp_path / "good.ipynb"
    path.write_text(
        json.dumps({"cells": [{"cell_type": "code", "source": ["x = 2\n", "print(x)\n", "x + 1"]}]})
    )
    assert texts(executed(path)) == [["2\n", "3"]]
