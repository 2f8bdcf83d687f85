"""Options are the fields of the configurations; files of fields accept no others."""

import json
import re
from typing import get_args, get_type_hints

import pytest

from mechgrok import ConfigError, DenseConfig, MLPConfig, ModelConfig, TrainConfig
from mechgrok.cli import _without_section, main
from mechgrok.cli.commands import COMMANDS
from mechgrok.cli.options import APART, CONFIGS, NetworkOptions, TrainOptions, network_from, training_from
from mechgrok.cli.usage import UsageError, check_usage
from mechgrok.training.recipes import RECIPES


def test_every_field_is_an_option():
    fields = [field for config in (TrainConfig, *CONFIGS) for field in config.model_fields]
    assert set(TrainOptions.__annotations__) == set(fields) - set(APART)
    assert set(NetworkOptions.__annotations__) == {
        field for config in CONFIGS for field in config.model_fields
    }


def test_every_option_says_what_it_is_for():
    for options in (TrainOptions, NetworkOptions):
        hints = get_type_hints(options, include_extras=True)
        assert not [name for name, hint in hints.items() if not get_args(hint)[1].help]


def test_fields_of_training_and_network_have_different_names():
    assert not TrainConfig.model_fields.keys() & {
        field for config in CONFIGS for field in config.model_fields
    }


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--model.norm-eps=1", "--norm-eps=1"),
        ("--model.d-model", "--d-model"),
        ("--lr", "--lr"),
    ],
)
def test_fields_of_the_network_as_a_configuration_calls_them(typed, meant):
    assert _without_section(typed) == meant


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("json", '{"recipe": "nanda", "lr": 0.5, "model": {"d_model": 32}}'),
        ("yaml", "recipe: nanda\nlr: 0.5\nmodel:\n  d_model: 32\n"),
        ("toml", 'recipe = "nanda"\nlr = 0.5\n[model]\nd_model = 32\n'),
    ],
)
def test_options_before_the_file_before_the_recipe(ending, text, tmp_path):
    file = tmp_path / f"fields.{ending}"
    file.write_text(text, encoding="utf-8")
    nanda = RECIPES["nanda"]
    expected = nanda.replace(lr=0.5, model=nanda.model.replace(d_model=32))
    assert training_from(None, file, {}) == expected
    changed = training_from(None, file, {"lr": 0.25, "n_heads": 2})
    assert changed == expected.replace(lr=0.25, model=expected.model.replace(n_heads=2))
    assert training_from("fast", file, {}).recipe == "fast"


def test_the_other_kind_of_network():
    config = training_from("fast", None, {"kind": "mlp", "d_embed": 8})
    assert config.model == MLPConfig(d_embed=8)
    assert training_from("fast", None, {"kind": "dense", "d_mlp": 8}).model == DenseConfig(d_mlp=8)
    with pytest.raises(ConfigError, match="transformer has no d_embed; --kind mlp has"):
        training_from("fast", None, {"d_embed": 8})
    with pytest.raises(ConfigError, match="mlp has no n_heads; --kind transformer"):
        training_from("alpha", None, {"n_heads": 8})
    with pytest.raises(ConfigError, match=r"unknown kind of network 'dence' \(did you mean dense"):
        training_from("fast", None, {"kind": "dence"})


def test_a_choice_of_nothing_is_not_the_word_none():
    assert training_from("power", None, {"normalization": "none"}).model.normalization is None
    assert training_from("fast", None, {"positions": "none"}).model.positions == "none"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"lrr": 1}', r"unknown field 'lrr' \(did you mean lr\?\)"),
        ("a.json", '{"model": {"d_modl": 1}}', r"unknown field 'd_modl' \(did you mean d_model"),
        ("a.json", '{"lr": -1}', "lr: Input should be greater than 0, got -1"),
        ("a.json", "[1]", "where fields with values belong"),
        ("a.json", "{", "cannot read"),
        ("a.yaml", "a: [", "cannot read"),
        ("a.toml", "a = ", "cannot read"),
        ("a.txt", "", "takes a file of .json"),
    ],
)
def test_files_with_mistakes(name, text, message, tmp_path):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        training_from(None, file, {})


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="there is no file"):
        training_from(None, tmp_path / "no.json", {})


def test_what_is_known_of_a_network(tmp_path):
    file = tmp_path / "network.json"
    file.write_text(json.dumps({"n_heads": 4}), encoding="utf-8")
    assert network_from(None, {}) is None
    known = network_from(file, {"act_fn": "gelu"})
    assert known is not None
    assert (type(known), known.model_fields_set) == (ModelConfig, {"n_heads", "act_fn"})
    assert type(network_from(None, {"readout": "tied"})) is MLPConfig


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lr", "x"], "--lr takes a number; got 'x'"),
        (["--n-layers=two"], "--n-layers takes a whole number; got 'two'"),
        (["--seed", "1.5"], "--seed takes a whole number; got '1.5'"),
        (["--betas", "x", "0.9"], "--betas takes a number; got 'x'"),
        (["--act-fn", "rely"], r"unknown --act-fn 'rely' \(did you mean relu\?\); allowed: relu, gelu"),
    ],
)
def test_values_of_another_kind_are_refused_in_words(arguments, message):
    with pytest.raises(UsageError, match=message):
        check_usage("train", COMMANDS["train"], ["add", "31", *arguments])


def test_values_that_fit_pass():
    fine = [
        "add",
        "31",
        "--lr",
        "1e-3",
        "--seed",
        "3",
        "--betas",
        "0.9",
        "0.98",
        "--act-fn",
        "gelu",
        "--quiet",
        "--out",
        "run",
    ]
    check_usage("train", COMMANDS["train"], fine)
    check_usage("figures", COMMANDS["figures"], ["clock59", "--out", "f", "--formats", "svg", "png"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("analyze", r"analyze needs NETWORK \(folder of a run"),
        ("compare clock59", r"needs NETWORK \(another one\)"),
        ("analyze a b", "takes 1 argument; 'b' is one too many"),
        ("demo extra", "takes no argument; 'extra' is one too many"),
        ("train add 31", r"needs --out \(folder for the run"),
        ("train add x --out r", r"\[P\] takes a whole number; got 'x'"),
        ("train add 7 --out", "--out takes a value: PATH"),
        ("train add 7 --out r --betas 0.9", "--betas takes 2 values; got '0.9'"),
        ("train add 7 --out r --quiet=yes", "--quiet takes no value; got 'yes'"),
        ("list recipe", "did you mean recipes"),
        ("list [bold]x", r"unknown \[KIND\] '\[bold\]x'"),
        ("figures clock59 --out f --formats", "--formats takes a value: html, json, svg"),
        ("figures clock59 --out f --formats gif", "unknown --formats 'gif'; allowed: html"),
        ("measures clock59 --out x.csv --steps 5 x", "--steps takes a whole number; got 'x'"),
        ("analyze add113 -x", "has no option -x"),
    ],
)
def test_wrong_usage_is_refused_in_one_line_of_our_own(line, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(line.split())
    assert exit_.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert re.search(message, told)
    assert len(told) < 400


@pytest.mark.parametrize("p", ["0", "1", "-5", "99999999999999999999"])
def test_a_modulus_that_is_none_is_refused_in_one_line(p, capsys, tmp_path):
    assert main(["train", "add", p, "--out", str(tmp_path / "run")]) == 1
    told = capsys.readouterr().err
    assert "the modulus p must be a whole number from 2 to 4096" in told
    assert "did you mean" not in told.lower(), "the operation is right"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layers", ["0", "-1", "99999999999", "1000000000"])
def test_numbers_of_layers_that_cannot_be_are_refused(layers, capsys, tmp_path):
    assert main(["train", "add", "7", "--n-layers", layers, "--out", str(tmp_path / "run")]) == 1
    told = capsys.readouterr().err
    assert "n_layers" in told
    assert len(told) < 500
    assert not list(tmp_path.iterdir())
