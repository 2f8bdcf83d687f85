"""The command line: its output, its exit codes, its help."""

import json
import re
from pathlib import Path

import pytest

import mechgrok as mg
from mechgrok import activations, cli
from mechgrok.cli.commands import COMMANDS
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


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
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


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (["trian", "add", "7"], "did you mean train?"),
        (["train", "add", "7", "--stpes", "3", "--out", "x"], "--stpes; did you mean --steps"),
        (["train", "add", "7", "--no-naive-los", "--out", "x"], "did you mean --no-naive-loss"),
        (["train", "add", "7", "--ot", "x"], "did you mean --out"),
        (["train", "add", "7.5", "--out", "x"], "7.5"),
        (["train", "add", "7", "--out", "x", "--act-fn", "reul"], "reul"),
        (["--versoin"], "unknown option"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_was_meant(command, meant, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(command)
    assert exit_.value.code == 2
    assert meant in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (["analyze", "add112"], "did you mean add113"),
        (["train", "ad", "7", "--out", "x"], "did you mean add?"),
        (["train", "add", "7", "--out", "x", "--recipe", "fst"], "did you mean fast?"),
        (["reproduce", "nanda2023-mainlin"], "did you mean nanda2023-mainline"),
        (["measures", "clock59", "--out", "x.csv", "--only", "los_test"], "did you mean loss_test"),
    ],
)
def test_misspelt_names_are_met_with_the_closest(command, meant, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main(command) == 1
    assert meant in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_analyze_prints_numbers_and_verdict(planted, capsys):
    assert cli.main(["analyze", str(planted)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Keys │ 2, 4 │ found in the logits" in printed
    assert "Logits explained │ 100.00%" in printed
    assert "key_frequencies" not in printed
    assert "The network computes a+b" in printed


def test_all_numbers_have_their_names_and_units(planted, capsys):
    assert cli.main(["analyze", str(planted), "--all"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "key_frequencies │ 2, 4" in printed
    assert re.search(r"excluded_loss_all_per_key\[2\] │ \S+ │ nats", printed)


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
    assert "planted: undetermined" in read(file), "squares of sums are no clock"
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
    assert cli.main(["analyze", str(planted), "--task", "add"]) == 0, (
        "the sizes of the network tell the modulus"
    )
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


def test_the_step_is_named_and_whether_the_run_is_finished(tmp_path, capsys):
    out = str(tmp_path / "run")
    assert cli.main([*TRAIN, "--checkpoint-every", "10", "--out", out]) == 0
    err = " ".join(capsys.readouterr().err.split())
    assert "Trained to step 20: the 20 steps that were asked for. It has not grokked" in err
    assert re.search(r"of the test inputs are right, and [\d.]+% were at step 10\. --steps 40 goes on", err)
    assert re.search(r"more than \d+ of the \d+ inputs, as by --fraction 0\.\d in another folder", err)
    assert cli.main(["analyze", out, "--step", "10"]) == 0
    assert "Step 10 of 20: a checkpoint on the way." in capsys.readouterr().err
    mg.load_run(out).checkpoint(20).unlink()
    assert cli.main(["analyze", out]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert (
        "Step 10 of 20; the newest checkpoint. The training is unfinished: it was to take up to 20 steps."
        in told
    )


def test_nothing_held_back_is_said(tmp_path, capsys):
    assert (
        cli.main(["train", "add", "5", "--steps", "5", "--fraction", "1", "--out", str(tmp_path / "r")]) == 0
    )
    printed = capsys.readouterr()
    assert "nothing was held back" in " ".join(printed.out.split())
    assert "Nothing was held back to see whether it has grokked" in " ".join(printed.err.split())


def test_the_network_in_a_file_is_described_by_options(tmp_path, planted, capsys, monkeypatch):
    seen, model = {}, mg.load_model(planted)

    def load(path, step, task=None, **options):
        seen.update(options, task=task)
        model.task = task or model.task
        return model

    def noted(*arguments, _call=activations.cache_grid):
        seen["grid"] = _call(*arguments)
        return seen["grid"]

    monkeypatch.setattr("mechgrok.loading.load_model", load)
    monkeypatch.setattr(activations, "cache_grid", noted)
    known = ["--task", "add", "--p", "11", "--sequence", "a", "b", "--n-heads", "4", "--act-fn", "relu"]
    names = ["--rename", "x=W_E", "--key", "model", "--attention-dir", "causal"]
    assert cli.main(["analyze", str(planted), *known, *names]) == 0
    assert seen["rename"] == {"x": "W_E"}
    assert seen["key"] == "model"
    assert seen["config"].model_fields_set == {"n_heads", "act_fn", "attention_dir"}
    assert seen["grid"].task.sequence == ("a", "b")
    seen.clear()
    assert cli.main(["analyze", str(planted)]) == 0
    assert seen.keys() == {"task", "grid"}, "what is not given is not passed on"


def test_several_seeds(tmp_path, capsys):
    assert cli.main([*TRAIN, "--seeds", "0,1", "--out", str(tmp_path), "--quiet"]) == 0
    assert "fast-seed1" in capsys.readouterr().out
    assert mg.load_run(tmp_path / "fast-seed0").steps[-1] == 20
    assert cli.main([*TRAIN, "--seeds", "0;1", "--out", str(tmp_path)]) == 1
    assert "--seeds takes whole numbers" in capsys.readouterr().err


def test_quiet_and_progress(tmp_path, capsys):
    assert cli.main([*TRAIN, "--out", str(tmp_path / "a"), "--quiet"]) == 0
    assert "step 10/20" not in capsys.readouterr().err
    assert cli.main([*TRAIN, "--out", str(tmp_path / "b")]) == 0
    assert "step 10/20" in capsys.readouterr().err


def test_too_little_memory_is_found_before_the_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mechgrok.memory.memory_free", lambda: 2**30)
    assert cli.main(["train", "add", "499", "--out", str(tmp_path / "run")]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "takes about 3.6 GiB of memory, and 1.0 GiB are free" in told
    assert not (tmp_path / "run").exists()


def test_names_with_brackets_are_no_markup(tmp_path, capsys):
    group = mg.Group("[/bold]", mg.cyclic_group(5).table)
    run = mg.train(mg.group_task(group), steps=2, model=mg.ModelConfig(d_model=8), out=tmp_path / "run")
    assert cli.main(["analyze", str(run.path)]) == 0
    assert "[/bold]" in capsys.readouterr().out


@pytest.mark.slow
def test_the_demonstration_groks_and_reports(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path)]) == 0
    assert "kills the network" in " ".join(capsys.readouterr().out.split())
    assert mg.load_run(tmp_path / "run").history[-1]["accuracy_test"] >= 0.999
    assert (tmp_path / "report.html").stat().st_size > 1e6
