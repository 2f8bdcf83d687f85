"""The networks shipped with mechgrok match the index, and are found by name."""

import json
import math

import pytest

import mechgrok as mg
from mechgrok import shipped
from mechgrok.errors import CheckpointError

NAMES = ("add113", "add113-fast", "clock59", "mul113", "pizza59")
MOST_BYTES = 60 * 10**6


def test_all_are_there_and_small():
    assert tuple(mg.shipped_runs()) == NAMES
    folder = shipped.find_shipped("add113").parent
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_files_are_those_of_the_index(name):
    mg.verify_shipped(name)
    listed = set(mg.shipped_runs()[name]["files"])
    folder = shipped.find_shipped(name)
    assert listed == {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_last_checkpoint_measures_as_expected(name):
    run = mg.load_run(name)
    values = mg.summarize(run.grid(), run.split).values
    _assert_close(json.loads(json.dumps(values)), mg.shipped_runs()[name]["expected"], name)
    assert values["accuracy_all"] > 0.99


def _assert_close(measured, expected, where):
    if isinstance(expected, dict):
        assert measured.keys() == expected.keys(), where
        for key in expected:
            _assert_close(measured[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, float):
        # Sums over 12,769 inputs in another order, on another processor.
        assert math.isclose(measured, expected, rel_tol=1e-3, abs_tol=1e-9), (where, measured, expected)
    else:
        assert measured == expected, where


def test_a_model_is_found_by_name():
    assert mg.load_model("add113", step=0).task.name == "add113"


def test_folders_come_before_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "add113").mkdir()
    with pytest.raises(CheckpointError, match=r"holds no run.*add113-fast"):
        mg.load_run("add113")


def test_a_changed_or_missing_file_is_noticed(tmp_path, monkeypatch):
    source = shipped.find_shipped("clock59")
    copy = tmp_path / "clock59"
    for file in mg.shipped_runs()["clock59"]["files"]:
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        (copy / file).write_bytes((source / file).read_bytes())
    (tmp_path / shipped.INDEX).write_text((source.parent / shipped.INDEX).read_text())
    monkeypatch.setattr(shipped, "FOLDERS", (tmp_path,))
    mg.verify_shipped("clock59")
    with (copy / "history.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(CheckpointError, match=r"history\.jsonl is not the file that was shipped"):
        mg.verify_shipped("clock59")
    (copy / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        mg.verify_shipped("clock59")


def test_unknown_names_are_refused_with_the_known(monkeypatch, tmp_path):
    with pytest.raises(CheckpointError, match="allowed: add113, add113-fast"):
        mg.verify_shipped("add114")
    with pytest.raises(CheckpointError, match="of those that come with mechgrok"):
        mg.load_run("add114")
    monkeypatch.setattr(shipped, "FOLDERS", (tmp_path,))
    assert mg.shipped_runs() == {}
    with pytest.raises(CheckpointError, match="none is installed"):
        mg.load_run("add113")
