"""Errors in the shell name options that can be typed there."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import torch

import mechgrok as mg
from mechgrok import cli
from mechgrok.cli.commands import COMMANDS
from mechgrok.cli.usage import options
from mechgrok.cli.ways_out import ARGUMENTS

LOOKING = ("analyze", "explain", "report", "compare", "figures", "measures")
"""Commands that look at networks."""


@pytest.fixture
def plain(tmp_path):
    network = mg.build_model(mg.modular_task("add", 7), mg.ModelConfig(d_model=16), seed=0)
    file = tmp_path / "their" / "plain7.pt"
    file.parent.mkdir()
    torch.save(network.state_dict(), file)
    return str(file)


def out(command: str, folder: Path) -> list[str]:
    name = {
        "explain": "e.html",
        "report": "r.html",
        "compare": "c.html",
        "measures": "m.csv",
        "figures": "figures",
    }.get(command)
    return ["--out", str(folder / name)] if name else []


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


@pytest.mark.parametrize("command", LOOKING)
def test_every_command_takes_what_it_asks_for(command, plain, tmp_path, capsys):
    source = str(Path(plain).parent) if command == "measures" else plain
    more = [*([plain] if command == "compare" else []), *out(command, tmp_path)]
    assert "--act-fn relu" in failing(capsys, command, source, *more)
    known = ["--act-fn", "relu", "--attention-dir", "causal", "--normalization", "none"]
    assert "Say so with --task and --p" in failing(capsys, command, source, *more, *known)
    assert cli.main([command, source, *more, *known, "--task", "add", "--p", "7"]) == 0
    named = ["--rename", "embed.W_F=embed.W_E"]
    assert "unknown tensor 'embed.W_F'" in failing(
        capsys, command, source, *more, *known, "--task", "add", "--p", "7", *named
    )


@pytest.mark.parametrize("command", LOOKING)
def test_what_is_said_about_a_file_is_no_option_for_a_run(command, tmp_path, capsys):
    more = [*(["clock59"] if command == "compare" else []), *out(command, tmp_path)]
    said = failing(capsys, command, "clock59", *more, "--task", "add", "--p", "59", "--act-fn", "relu")
    assert "a run knows its own task, split and layout; --task, --p, --act-fn: only for files" in said


def test_a_run_is_compared_with_a_file_that_is_explained(plain, tmp_path, capsys):
    known = [
        "--act-fn",
        "relu",
        "--attention-dir",
        "causal",
        "--normalization",
        "none",
        "--task",
        "add",
        "--p",
        "7",
    ]
    assert cli.main(["compare", "clock59", plain, *known, *out("compare", tmp_path)]) == 0
    assert "plain7" in capsys.readouterr().out


@pytest.mark.parametrize("command", LOOKING)
def test_each_option_that_is_named_is_one(command):
    forms = {form for option in options(COMMANDS[command]) for form in option.forms}
    assert set(re.findall(r"--[a-z-]+", " ".join(ARGUMENTS.values()))) <= forms


@pytest.mark.parametrize("command", LOOKING)
def test_a_folder_of_hugging_face_is_the_file_in_it(command, tmp_path, capsys):
    transformers = import_module("transformers")
    shape = {"vocab_size": 8, "n_positions": 3, "n_embd": 32, "n_layer": 1, "n_head": 2}
    folder = tmp_path / "checkpoint-1"
    network = transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape, bos_token_id=7, eos_token_id=7))
    network.save_pretrained(folder)
    capsys.readouterr()
    more = [*([str(folder)] if command == "compare" else []), *out(command, tmp_path)]
    source = str(tmp_path if command == "measures" else folder)
    assert "cannot infer what the network computes" in failing(capsys, command, source, *more)
    assert cli.main([command, source, *more, "--task", "add", "--p", "7"]) == 0


@pytest.mark.parametrize("command", LOOKING)
def test_misspelt_runs_are_met_with_the_closest(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    second = ["clock59"] if command == "compare" else []
    said = failing(capsys, command, "clock58", *second, *out(command, Path()))
    assert "did you mean clock59" in said
    assert not list(tmp_path.iterdir())
