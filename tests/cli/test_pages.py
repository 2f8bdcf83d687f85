"""The command-line page matches the commands, and its examples run, as do lists and exports."""

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

import mechgrok as mg
from mechgrok import cli
from mechgrok.cli import names
from mechgrok.cli.listing import NAMES
from mechgrok.models.files import write_model

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "command-line.md"


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def test_the_page_is_current():
    written = runpy.run_path(str(ROOT / "docs" / "command_line.py"))["page"]()
    assert PAGE.read_text(encoding="utf-8") == written, "run: python docs/command_line.py"


def test_the_names_are_current():
    assert NAMES.read_text(encoding="utf-8") == names.text(), "run: python -m mechgrok.cli.names"


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(blocks("toml")[0], encoding="utf-8")
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    assert len(lines) == 11
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "mechgrok"
        assert cli.main(arguments) == 0, line
    config = mg.load_run("runs/add13").config.train
    assert (config.model.d_model, config.weight_decay, config.steps) == (64, 0.5, 60)
    assert (tmp_path / "add13.csv").is_file()
    assert len(list((tmp_path / "figures").glob("*.json"))) > 5


@pytest.mark.parametrize(
    "kind", ["runs", "recipes", "operations", "groups", "measures", "layouts", "reproductions"]
)
def test_lists_as_json(kind, capsys):
    assert cli.main(["list", kind, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)[kind]
    known = {
        "runs": "add113", "recipes": "nanda", "operations": "mul", "groups": "SN", "measures": "loss_test",
        "layouts": "mechgrok", "reproductions": "prieto2025",
    }  # fmt: skip
    assert known[kind] in listed
    assert all(listed.values())


def test_figures_of_a_file(tmp_path, capsys):
    file = tmp_path / "planted.safetensors"
    write_model(mg.cosine_network(11, {2: 20.0, 4: 20.0}), file)
    assert (
        cli.main(["figures", str(file), "--out", str(tmp_path / "figures"), "--formats", "json", "html"]) == 0
    )
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.json")}
    assert {"keys", "network-fourier", "network-circle-0", "ablations", "algorithm"} <= drawn
    assert "plotly" in (tmp_path / "figures" / "keys.html").read_text(encoding="utf-8")
    assert cli.main(["figures", str(file), "--out", str(file)]) == 1
    assert "--out needs a folder" in capsys.readouterr().err


def test_images_without_kaleido_name_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "kaleido", None)
    assert cli.main(["figures", "clock59", "--out", str(tmp_path / "figures"), "--formats", "svg"]) == 1
    assert "pip install 'mechgrok[png]'" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "figures").exists()
