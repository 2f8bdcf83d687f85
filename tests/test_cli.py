"""The command line: what it prints, its exit codes, its help."""

import json
from pathlib import Path

import pytest

import mechgrok as mg
from mechgrok import cli
from mechgrok.models.files import write_model

TRAIN = ["train", "add", "7", "--steps", "20", "--fraction", "0.6"]


SLIDER = 'id="slider"'


def read(file):
    return Path(file).read_text(encoding="utf-8")


@pytest.fixture
def planted(tmp_path):
    file = tmp_path / "planted.safetensors"
    write_model(mg.cosine_network(11, {2: 20.0, 4: 20.0}), file)
    return file


@pytest.mark.parametrize(
    "command", [[], ["demo"], ["train"], ["analyze"], ["report"], ["compare"], ["reproduce"]]
)
def test_help_explains_every_command(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main([*command, "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert "usage: mechgrok" in text
    for option in {"train": ["--out", "--recipe"], "analyze": ["--json", "--task"]}.get("".join(command), []):
        assert option in text


def test_the_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"mechgrok {mg.__version__}\n"


def test_wrong_usage_exits_with_2(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["train", "add", "7", "--stpes", "3", "--out", "x"])
    assert exit_.value.code == 2
    assert "stpes" in capsys.readouterr().err


def test_analyze_prints_numbers_and_verdict(planted, capsys):
    assert cli.main(["analyze", str(planted)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "key_frequencies │ 2, 4" in printed
    assert "The network computes a+b" in printed


def test_analyze_as_json(planted, capsys):
    assert cli.main(["analyze", str(planted), "--json", "--fraction", "0.5", "--seed", "3"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["key_frequencies"] == [2, 4]
    assert values["logit_fve_class_centred"] == pytest.approx(1)
    assert {"loss_train", "loss_test", "verdict", "layout"} <= values.keys()


def test_analyze_writes_a_report(planted, tmp_path, capsys):
    file = tmp_path / "report.html"
    assert cli.main(["analyze", str(planted), "--report", str(file)]) == 0
    assert "key frequencies" in file.read_text(encoding="utf-8")


def test_report_of_a_run_has_a_slider(tmp_path, capsys):
    run, file = str(tmp_path / "run"), str(tmp_path / "report.html")
    assert cli.main([*TRAIN, "--out", run, "--checkpoint-every", "10", "--report", file]) == 0
    assert SLIDER in read(file)
    for command in (["report", run, "--out", file], ["analyze", run, "--report", file]):
        (tmp_path / "report.html").unlink()
        assert cli.main(command) == 0
        assert SLIDER in read(file)
        assert file in capsys.readouterr().err.replace("\n", "")
    assert cli.main(["analyze", run, "--step", "10", "--report", file]) == 0
    assert SLIDER not in read(file), "one checkpoint was asked for"


def test_report_of_two_compares_them(planted, tmp_path):
    assert cli.main([*TRAIN, "--out", str(tmp_path / "run")]) == 0
    file = str(tmp_path / "pair.html")
    assert cli.main(["report", str(tmp_path / "run"), str(planted), "--out", file]) == 0
    assert "planted: clock" in read(file)
    assert "run: undetermined" in read(file)
    assert cli.main(["report", str(planted), "--out", file]) == 0
    assert "How a network computes a+b" in read(file)


def test_report_needs_a_file_and_a_network(tmp_path, planted, capsys):
    assert cli.main(["report", str(planted), "--out", str(tmp_path)]) == 1
    assert "--out needs a file to write" in capsys.readouterr().err
    assert cli.main(["report", str(tmp_path)]) == 1
    assert "holds no run" in " ".join(capsys.readouterr().err.split())


def test_compare_prints_a_table_and_writes_the_figure(tmp_path, capsys):
    write_model(mg.cosine_network(11, {2: 20.0, 4: 20.0}), tmp_path / "clock.safetensors")
    write_model(mg.pizza_network(11, {2: 20.0, 4: 20.0}), tmp_path / "pizza.safetensors")
    files = [str(tmp_path / f"{name}.safetensors") for name in ("clock", "pizza")]
    assert cli.main(["compare", *files, "--out", str(tmp_path / "figure.html")]) == 0
    printed = capsys.readouterr().out
    assert "distance irrelevance" in printed
    assert "pizza: pizza" in read(tmp_path / "figure.html")


def test_errors_are_explained_and_exit_with_1(tmp_path, capsys):
    assert cli.main(["analyze", str(tmp_path / "nothing.pt")]) == 1
    assert "there is no file" in capsys.readouterr().err
    assert cli.main(["train", "x^z", "7", "--out", str(tmp_path / "run")]) == 1
    assert "unknown symbol 'z'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_options_that_would_be_ignored_are_errors(planted, tmp_path, capsys):
    assert cli.main([*TRAIN, "--out", str(tmp_path / "run")]) == 0
    for option in (["--task", "add", "--p", "7"], ["--fraction", "0.5"], ["--layout", "nanda"]):
        assert cli.main(["analyze", str(tmp_path / "run"), *option]) == 1
        assert "a run knows its own task, split and layout" in " ".join(capsys.readouterr().err.split())
    assert cli.main(["analyze", str(planted), "--task", "add"]) == 1
    assert "the operation 'add' needs its modulus" in capsys.readouterr().err
    assert cli.main(["analyze", str(planted), "--p", "7"]) == 1
    assert "--p is the modulus of --task" in capsys.readouterr().err
    assert cli.main(["analyze", str(planted), "--report", str(tmp_path)]) == 1
    assert "--report needs a file to write" in capsys.readouterr().err
    below = str(planted / "report.html")
    assert cli.main([*TRAIN, "--out", str(tmp_path / "second"), "--report", below]) == 1
    assert "cannot write" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


def test_text_of_errors_is_not_taken_for_markup(tmp_path, capsys):
    assert cli.main(["analyze", str(tmp_path / "[bold]x[/bold].pt")]) == 1
    assert "[bold]x[/bold].pt" in capsys.readouterr().err.replace("\n", "")


def test_train_writes_a_run_and_goes_on_with_it(tmp_path, capsys):
    out = ["--out", str(tmp_path / "run")]
    assert cli.main([*TRAIN, *out]) == 0
    assert "has not learned a+b" in " ".join(capsys.readouterr().out.split())
    assert mg.load_run(tmp_path / "run").steps[-1] == 20
    assert cli.main([*TRAIN, *out]) == 0
    assert cli.main([*TRAIN, *out, "--lr", "0.5"]) == 1
    assert "lr is 0.01 there and 0.5 here" in " ".join(capsys.readouterr().err.split())
    assert cli.main(["analyze", str(tmp_path / "run"), "--step", "0", "--json"]) == 0


def test_groups_by_their_names(tmp_path, capsys):
    short = ["--out", str(tmp_path / "run"), "--steps", "2", "--fraction", "0.6"]
    assert cli.main(["train", "S3", *short]) == 0
    assert mg.load_run(tmp_path / "run").task.name == "S3"
    file = tmp_path / "s3.safetensors"
    write_model(mg.character_network("S3", {"sign": 6.0, "standard": 6.0}), file)
    capsys.readouterr()
    assert cli.main(["analyze", str(file), "--task", "S3"]) == 0
    assert "key irreps sign, standard" in " ".join(capsys.readouterr().out.split())
    assert cli.main(["train", "S3", "7", *short]) == 1
    assert "S3 stands for a group, which has no modulus" in capsys.readouterr().err


def test_ctrl_c_exits_with_130(monkeypatch, tmp_path, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt("stopped at step 5; the same call goes on")

    monkeypatch.setattr("mechgrok.cli.runs.train_network", interrupt)
    assert cli.main([*TRAIN, "--out", str(tmp_path / "run")]) == 130
    assert "stopped at step 5" in capsys.readouterr().err


@pytest.mark.slow
def test_the_demonstration_groks_and_reports(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path)]) == 0
    assert "kills the network" in " ".join(capsys.readouterr().out.split())
    assert mg.load_run(tmp_path / "run").history[-1]["accuracy_test"] >= 0.999
    assert (tmp_path / "report.html").stat().st_size > 1e6
