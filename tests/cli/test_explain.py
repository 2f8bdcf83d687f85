"""`mechgrok explain`: what it prints, and the page that it writes."""

import json

import pytest

import mechgrok as mg
from mechgrok import cli
from mechgrok.models.files import write_model


@pytest.fixture
def planted(tmp_path):
    file = tmp_path / "planted.safetensors"
    write_model(mg.pizza_network(11, {2: 20.0, 4: 12.0}), file)
    return file


def test_it_prints_formula_share_control_stages_and_predictions(planted, tmp_path, capsys):
    page = tmp_path / "e.html"
    assert cli.main(["explain", str(planted), "--out", str(page)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("add11: ")
    assert "cos(w_2(a+b-c))" in printed
    assert "explained share │ 100.00%" in printed
    assert "control: the same coefficients at other keys │ 0.0%" in printed
    assert "Stages of the network replaced by their ideal" in printed
    assert printed.count("│ yes │") + printed.count("│ no │") >= 5
    assert "The formula" in page.read_text(encoding="utf-8")


def test_as_json(planted, tmp_path, capsys):
    assert cli.main(["explain", str(planted), "--json", "--out", str(tmp_path / "e.html")]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["explained_share"], values["explained_share_control"]) == (1, 0)
    assert [term["label"] for term in values["terms"]] == [2, 4]
    assert {"predicted", "value", "control", "came_true"} <= values["predictions"][0].keys()


def test_what_has_no_formula_says_why(tmp_path, capsys):
    file, page = tmp_path / "fresh.safetensors", tmp_path / "e.html"
    write_model(mg.build_model(mg.modular_task("add", 7), mg.ModelConfig(d_model=16), seed=0), file)
    assert cli.main(["explain", str(file), "--task", "add", "--p", "7", "--out", str(page)]) == 0
    assert "There is no formula" in capsys.readouterr().out
    assert cli.main(["explain", str(file), "--out", str(tmp_path)]) == 1
    assert "--out needs a file to write, such as" in capsys.readouterr().err
