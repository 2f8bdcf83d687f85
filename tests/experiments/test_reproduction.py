"""The registry of reproductions and its rows; the protocols themselves are run apart."""

import json

import pytest

import mechgrok as mg
from mechgrok import cli
from mechgrok.experiments import reproduction as module, trainings
from mechgrok.experiments.catalogue import CATALOGUE
from mechgrok.experiments.milestones import median_step
from mechgrok.experiments.reproduction import (
    REPRODUCTIONS,
    Row,
    find_reproduction,
    reproduction,
    reproductions,
    run_reproduction,
)
from mechgrok.training.trainer import train as train_network


@pytest.fixture(autouse=True)
def _registry_as_it_was():
    known = set(REPRODUCTIONS)
    yield
    for name in set(REPRODUCTIONS) - known:
        del REPRODUCTIONS[name]


@pytest.fixture
def invented():
    """A registered reproduction with one row of a given measured value."""
    measured = {"value": 5.0}

    @reproduction("invented", source="Nobody 2000", claim="Five.", cost="nothing")
    def protocol(full):
        yield Row("five", 5, measured["value"], 4, 6)
        yield Row("size", None, 2.0 if full else 1.0, 1)

    return measured


@pytest.mark.parametrize(
    ("measured", "low", "high", "holds"),
    [
        (5.0, 5, 5, True),
        (4.9, 5, None, False),
        (5.1, None, 5, False),
        (5.1, None, None, True),
        (None, None, None, False),
    ],
)
def test_a_row_holds_within_its_bounds(measured, low, high, holds):
    assert Row("quantity", 5, measured, low, high).holds is holds


def test_a_row_without_bounds_is_a_number_and_no_verdict(capsys):

    @reproduction("numbers", source="Nobody 2000", claim="Some [/bold] numbers.", cost="nothing")
    def protocol(full):
        yield Row("with", 4, 5.0, 4, 6)
        yield Row("without [/bold]", 4, 5.0)

    assert cli.main(["reproduce", "numbers"]) == 0
    printed = capsys.readouterr().out
    lines = {line.split("│")[1].strip(): line for line in printed.splitlines() if line.startswith("│")}
    assert "holds" in lines["with"]
    assert "+25%" in lines["with"]
    assert "holds" not in lines["without [/bold]"]
    assert ".." not in lines["without [/bold]"]


def test_stopped_it_goes_on_and_nothing_finished_is_lost(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    trained, stop = [], [True]
    small = mg.TrainConfig(recipe="small", model=mg.ModelConfig(d_model=8), steps=5)

    def note(task, config, *, seed, out, **options):
        trained.append((seed, out, (out / "config.json").exists()))
        return train_network(task, config, seed=seed, out=out, **options)

    monkeypatch.setattr(trainings, "train", note)

    @reproduction("two", source="Nobody 2000", claim="Two.", cost="nothing")
    def protocol(full):
        first = trainings.train_kept(mg.modular_task("add", 5), small, progress=False)
        if stop[0]:
            raise KeyboardInterrupt
        second = trainings.train_kept(mg.modular_task("add", 5), small, seed=1, progress=False)
        yield Row("steps", 10, first.steps[-1] + second.steps[-1], 10, 10)

    assert cli.main(["reproduce", "two"]) == 130
    told = " ".join(capsys.readouterr().err.split())
    assert "the same command goes on with the trainings in" in told
    stop[0] = False
    assert cli.main(["reproduce", "two"]) == 0
    assert [(seed, there) for seed, _, there in trained] == [(0, False), (0, True), (1, False)]
    assert not list((tmp_path / "cache").rglob("config.json")), "the cache is for what is unfinished"
    out = tmp_path / "kept"
    assert cli.main(["reproduce", "two", "--out", str(out)]) == 0
    assert len(list(out.glob("*/config.json"))) == 2


@pytest.mark.parametrize("found", CATALOGUE, ids=lambda found: found.name)
def test_every_protocol_of_the_catalogue_is_there(found):
    assert callable(found.protocol.found)


def test_an_outcome_holds_if_all_rows_do(invented):
    assert run_reproduction(find_reproduction("invented")).holds
    invented["value"] = 7.0
    assert not run_reproduction(find_reproduction("invented")).holds


def test_names_are_unique_and_known(invented):
    with pytest.raises(mg.ConfigError, match="mechgrok has a reproduction 'chughtai2023-s5'"):
        reproduction("chughtai2023-s5", source="", claim="", cost="")(lambda full: [])
    with pytest.raises(
        mg.ConfigError, match=r"unknown reproduction .invnted. .did you mean invented.*; allowed: "
    ):
        find_reproduction("invnted")


def test_every_protocol_has_a_source_a_claim_and_a_cost():
    for found in reproductions().values():
        assert found.source
        assert found.claim.endswith(".")
        assert found.cost


def test_a_file_that_cannot_be_written_is_found_before_the_work(invented, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mechgrok.cli.reproductions.run_reproduction", lambda *args, **kw: pytest.fail("ran"))
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "outcome.json"):
        assert cli.main(["reproduce", "invented", "--json", str(place)]) == 1
        assert "cannot write" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_command_prints_writes_and_judges(invented, tmp_path, capsys):
    file = tmp_path / "outcome.json"
    assert cli.main(["reproduce", "invented", "--full", "--json", str(file)]) == 0
    stored = json.loads(file.read_text())
    assert stored["holds"]
    assert stored["full"]
    assert stored["rows"][1]["measured"] == 2.0
    assert "invented: holds" in capsys.readouterr().out
    invented["value"] = 7.0
    assert cli.main(["reproduce", "invented"]) == 1
    assert "FAILS" in capsys.readouterr().out


def test_the_list_as_json(invented, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "RECORDS", tmp_path)
    (tmp_path / "invented.json").write_text(json.dumps({"holds": True}))
    assert cli.main(["reproduce", "--list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["invented"]["source"] == "Nobody 2000"
    assert listed["invented"]["holds"] is True
    assert listed["nanda2023-mainline"]["holds"] is None
    assert cli.main(["reproduce", "--list"]) == 0
    assert "invented" in capsys.readouterr().out


def test_no_name_is_an_error(capsys):
    assert cli.main(["reproduce"]) == 1
    assert "which reproduction? One of" in capsys.readouterr().err


def test_a_median_counts_never_as_latest():
    assert median_step([10.0, None, 30.0]) == 30
    assert median_step([None, None, 30.0]) is None
