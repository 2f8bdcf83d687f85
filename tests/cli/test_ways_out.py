"""Errors in the shell name what can be typed there."""

import re
from importlib import import_module

import pytest
import torch

import mechgrok as mg
from mechgrok import cli
from mechgrok.cli.commands import COMMANDS
from mechgrok.cli.usage import options
from mechgrok.cli.ways_out import ARGUMENTS


@pytest.fixture
def plain(tmp_path):
    network = mg.build_model(mg.modular_task("add", 7), mg.ModelConfig(d_model=16), seed=0)
    file = tmp_path / "plain.pt"
    torch.save(network.state_dict(), file)
    return str(file)


def failing(capsys, *command: str) -> str:
    assert cli.main(list(command)) == 1
    return capsys.readouterr().err


def test_what_a_file_does_not_tell_is_named_by_its_options(plain, capsys):
    said = failing(capsys, "analyze", plain)
    wanted = ("--act-fn relu", "--attention-dir causal or bidirectional", "--normalization none, LN")
    assert all(option in said for option in wanted)
    assert "config=" not in said
    known = "--act-fn relu --attention-dir causal --normalization none"
    said = failing(capsys, "analyze", plain, *known.split())
    assert said.rstrip().endswith("Say so with --task and --p")
    assert cli.main(["analyze", plain, *known.split(), "--task", "add", "--p", "7"]) == 0


def test_other_commands_say_whose_options_these_are(plain, capsys):
    said = failing(capsys, "report", plain)
    assert "--act-fn relu" in said
    assert "options of mechgrok analyze" in said


def test_each_option_that_is_named_is_one():
    forms = {form for option in options(COMMANDS["analyze"]) for form in option.forms}
    assert set(re.findall(r"--[a-z-]+", " ".join(ARGUMENTS.values()))) <= forms


@pytest.mark.parametrize("command", ["analyze", "figures", "report", "compare", "measures"])
def test_a_folder_of_hugging_face_is_the_file_in_it(command, tmp_path, capsys):
    transformers = import_module("transformers")
    shape = {"vocab_size": 8, "n_positions": 3, "n_embd": 32, "n_layer": 1, "n_head": 2}
    folder = tmp_path / "checkpoint-1"
    network = transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape, bos_token_id=7, eos_token_id=7))
    network.save_pretrained(folder)
    capsys.readouterr()
    out = {"report": "r.html", "compare": "c.html", "measures": "m.csv", "figures": "figures"}
    more = [str(folder)] if command == "compare" else ["--task", "add"] if command == "analyze" else []
    more += ["--out", str(tmp_path / out[command])] if command in out else []
    source = tmp_path if command == "measures" else folder
    code = cli.main([command, str(source), *more])
    said = capsys.readouterr()
    if command == "analyze":
        assert code == 0
        assert "has not learned a+b" in said.out
    else:
        assert code == 1
        assert "cannot infer what the network computes" in said.err


@pytest.mark.parametrize("command", ["analyze", "report", "compare", "figures", "measures"])
def test_misspelt_runs_are_met_with_the_closest(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    second = ["clock59"] if command == "compare" else []
    out = {"measures": ["--out", "x.csv"], "figures": ["--out", "figures"]}.get(command, [])
    said = failing(capsys, command, "clock58", *second, *out)
    assert "did you mean clock59" in said
    assert not list(tmp_path.iterdir())
