"""Training: output, resuming and stopping. Small networks, real runs."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mechgrok as mg
from mechgrok.runs import GROUPS, HISTORY, SPLIT, STATE, load_run

SMALL = mg.ModelConfig(d_model=16, n_heads=2)
TASK = mg.modular_task("add", 7)


def train(out=None, **changes):
    options = {
        "model": SMALL,
        "steps": 30,
        "fraction": 0.6,
        "checkpoint_every": 10,
        "progress": False,
        **changes,
    }
    return mg.train(TASK, out=out, **options)


def weights(run, step=None):
    return dict(run.model(step).named_parameters())


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_has_its_checkpoints_and_its_history(tmp_path):
    run = train(tmp_path / "run", eval_every=5)
    assert run.steps == (0, 10, 20, 30)
    assert [row["step"] for row in run.history] == list(range(0, 31, 5))
    first, last = run.history[0], run.history[-1]
    assert last["loss_train"] < first["loss_train"]
    grid = run.grid()
    assert last["loss_train"] == pytest.approx(mg.full_loss(grid, run.split.train), rel=1e-4)
    assert last["loss_test"] == pytest.approx(mg.full_loss(grid, run.split.test), rel=1e-4)
    assert last["accuracy_test"] == pytest.approx(mg.accuracy(grid, run.split.test))
    assert last["sum_squared_weights"] == pytest.approx(mg.sum_squared_weights(run.model()))


def test_the_same_seed_gives_the_same_run_and_another_one_does_not():
    assert same(weights(train(seed=1)), weights(train(seed=1)))
    assert not same(weights(train(seed=1)), weights(train(seed=2)))


def test_an_update_is_torchs_adamw_on_the_mean_cross_entropy():
    run = train(steps=3, warmup=2, checkpoint_every=1, weight_decay=0.5, lr=1e-2)
    model = mg.build_model(run.task, SMALL, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.98), weight_decay=0.5)
    tokens, labels = run.task.tokens[run.split.train], run.task.labels[run.split.train]
    for step in range(3):
        optimizer.param_groups[0]["lr"] = 1e-2 * min(step / 2, 1)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(tokens)[:, -1].double(), labels).backward()
        optimizer.step()
    for name, weight in model.named_parameters():
        assert torch.allclose(weight, weights(run)[name], atol=2e-5), name


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "muon"},
        {"gradient": "grokfast_ma", "grokfast_window": 4},
        {"decay_towards": "init"},
        {"batch_size": 8},
        {"model": mg.ModelConfig(d_model=16, n_heads=2, n_layers=2, normalization="LN")},
    ],
    ids=["plain", "muon", "grokfast", "to init", "batches", "two layers"],
)
def test_a_resumed_run_is_the_uninterrupted_one(options, tmp_path, interrupt_at):
    whole = train(**options)
    interrupt_at(17)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 17; the same call goes on from"):
        train(tmp_path / "run", **options)
    resumed = train(tmp_path / "run", **options)
    assert resumed.steps == whole.steps
    assert resumed.history == whole.history
    assert all(same(weights(resumed, step), weights(whole, step)) for step in whole.steps)


def test_ctrl_c_works_as_before_after_a_training():
    before = signal.getsignal(signal.SIGINT)
    train(steps=2)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_run_is_opened_and_not_trained_again(tmp_path, monkeypatch):
    run = train(tmp_path / "run")
    monkeypatch.setattr("mechgrok.training.trainer.Training.go", lambda *args: pytest.fail("trained again"))
    assert train(tmp_path / "run").steps == run.steps


def test_a_finished_run_can_be_lengthened(tmp_path):
    train(tmp_path / "run", steps=20)
    longer = train(tmp_path / "run", steps=30)
    assert longer.steps == (0, 10, 20, 30)
    assert same(weights(longer), weights(train(steps=30)))
    assert load_run(tmp_path / "run").config.train.steps == 30
    assert train(tmp_path / "run", steps=20).steps == (0, 10, 20, 30), "fewer steps open it as it is"


def test_a_network_that_grokked_stops_by_itself():
    run = mg.train(mg.modular_task("add", 11), fraction=0.9, model=SMALL, seed=0, steps=3000, progress=False)
    assert run.steps[-1] < 3000
    assert run.history[-1]["accuracy_test"] >= 0.999


def test_everything_trained_on_has_no_test_values():
    row = train(fraction=1.0).history[-1]
    assert row["loss_test"] is None
    assert row["accuracy_test"] is None


def test_zero_steps_keep_the_initial_network():
    run = train(steps=0)
    assert run.steps == (0,)
    assert same(weights(run), dict(mg.build_model(run.task, SMALL, seed=0).named_parameters()))


def test_a_given_split_is_used_and_stored():
    split = TASK.split(0.3, seed=9, rule="unordered")
    run = train(split=split)
    assert torch.equal(run.split.train, split.train)
    assert run.split.rule == "unordered"


def test_recipes_and_their_changes():
    run = mg.train(TASK, "nanda", lr=5e-3, steps=2, progress=False)
    assert run.config.train.recipe == "nanda"
    assert run.config.train.lr == 5e-3
    assert run.model().cfg.d_vocab_out == 8, "the papers' networks have a logit for the = too"
    with pytest.raises(mg.ConfigError, match=r"'nada' \(did you mean nanda\?\); allowed: fast, nanda, pizza"):
        train(recipe="nada")
    with pytest.raises(mg.ConfigError, match="unknown key 'lerning_rate'; allowed: recipe, fraction"):
        train(lerning_rate=1)
    with pytest.raises(mg.ConfigError, match="lr: Input should be greater than 0, got -1"):
        train(lr=-1.0)


def test_divergence_is_an_error():
    with pytest.raises(mg.ConfigError, match="the training diverged: the loss is not finite at step 10"):
        train(optimizer="sgd", lr=1e30, warmup=0)


def test_weights_that_are_not_finite_are_never_kept(tmp_path):
    with pytest.raises(mg.ConfigError, match="the training diverged: the weights are not finite at step"):
        train(tmp_path / "run", optimizer="sgd", lr=1e30, warmup=0, checkpoint_every=1)
    kept = load_run(tmp_path / "run")
    assert kept.steps[-1] < 10
    assert all(weight.isfinite().all() for step in kept.steps for weight in weights(kept, step).values())


def test_the_error_for_divergence_names_no_folder_that_is_gone(tmp_path):
    with pytest.raises(mg.ConfigError, match=r"warm-up \(warmup is 0\)$"):
        train(optimizer="sgd", lr=1e30, warmup=0)
    with pytest.raises(mg.ConfigError, match=r"in another folder than .*run$"):
        train(tmp_path / "run", optimizer="sgd", lr=1e30, warmup=0)


def test_ctrl_c_without_a_folder_says_that_nothing_is_kept(interrupt_at):
    interrupt_at(17)
    with pytest.raises(KeyboardInterrupt) as stopped:
        train()
    assert str(stopped.value).startswith("stopped at step 17; nothing of it is kept")
    assert "out=" in str(stopped.value)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"split": mg.modular_task("add", 5).split(0.5)}, mg.ConfigError, "the split is one of 25 inputs"),
        (
            {"frozen": ("embed", "pos_embed", "blocks", "unembed")},
            mg.ConfigError,
            "leaves nothing of the network",
        ),
        ({"model": SMALL.replace(d_vocab=5)}, mg.TaskError, "needs 8 tokens, the network knows 5"),
        ({"model": SMALL.replace(n_ctx=2)}, mg.TaskError, "the task add7 does not fit the network"),
        (
            {"model": SMALL.replace(n_ctx=2), "batch_size": 8},
            mg.TaskError,
            "the task add7 does not fit the network",
        ),
        ({"compile": True}, mg.ConfigError, "this one has a faster step"),
        ({"device": "abacus"}, mg.ConfigError, "cannot train on device='abacus'"),
    ],
    ids=["split", "nothing to train", "vocabulary", "context", "batches", "compile", "device"],
)
def test_what_is_wrong_comes_up_before_anything_is_written(options, error, text, tmp_path):
    with pytest.raises(error, match=text):
        train(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
    assert train(tmp_path / "run").steps[-1] == 30


WRONG_KINDS = """
import numpy as np
import mechgrok as mg
task = mg.modular_task("add", 5)
small = {"model": mg.ModelConfig(d_model=16), "progress": False}
for options in (
    {"recipe": ["fast"]}, {"callback": "x"}, {"split": 0.3}, {"seed": True}, {"out": ""}, {"out": 5},
    {"weight_decay": float("inf")},
):
    try:
        mg.train(task, **{"out": "run", **small, **options})
    except mg.ConfigError as error:
        print(error)
for recipes in (5, None, {"fast": 1}):
    try:
        mg.train_many(task, recipes, out="runs", **small)
    except mg.ConfigError as error:
        print(error)
try:
    mg.train_many(task, out=None, **small)
except mg.ConfigError as error:
    print(error)
print(mg.train(task, seed=np.int64(3), steps=1, **small).config.seed)
"""
ANSWERS = [
    "train takes recipe, a text, or a TrainConfig; got ['fast']",
    "train takes callback, ",
    "train takes split, a split",
    "train takes seed, a whole number; got True",
    "out is the path of a folder, or None for a temporary one; got ''",
    "train takes out, a text, a path, or None; got 5",
    "TrainConfig: weight_decay: ",
    "train_many takes recipes, a text, a TrainConfig, or several",
    "train_many takes recipes, a text, a TrainConfig, or several",
    "train_many takes recipes, a text, a TrainConfig, or several",
    "train_many takes out, a text, or a path; got None",
    "3",
]


def test_options_of_a_wrong_kind(tmp_path):
    """In a process without the type checker of the tests, which would refuse them first."""
    command = [sys.executable, "-c", WRONG_KINDS]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    for line, answer in zip(said.splitlines(), ANSWERS, strict=True):
        assert line.startswith(answer)
    assert not any(tmp_path.iterdir())


def test_ctrl_c_at_the_end_of_a_training_is_heard(tmp_path):
    """Whoever trains one network after the other would go on with the next."""

    def press(step, model):
        if step == 30:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="stopped at step 30, the last"):
        train(tmp_path / "run", callback=press)
    assert train(tmp_path / "run").steps[-1] == 30


def test_a_run_without_its_history_is_not_gone_on_with(tmp_path, interrupt_at):
    interrupt_at(15)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run")
    (tmp_path / "run" / HISTORY).unlink()
    with pytest.raises(mg.CheckpointError, match="lines are missing"):
        train(tmp_path / "run")


def test_lost_parameter_groups_are_written_again(tmp_path, interrupt_at):
    interrupt_at(15)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run")
    (tmp_path / "run" / GROUPS).unlink()
    assert train(tmp_path / "run").parameter_groups


@pytest.mark.parametrize("file", [GROUPS, STATE, SPLIT])
def test_files_of_another_run_are_not_gone_on_with(file, tmp_path, interrupt_at):
    """Also those of the same configuration and another seed, in which shapes and names are the same."""
    for name, seed in (("run", 0), ("other", 1)):
        interrupt_at(15)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / name, seed=seed)
    shutil.copy(tmp_path / "other" / file, tmp_path / "run" / file)
    with pytest.raises(mg.CheckpointError, match=Path(file).name) as refused:
        train(tmp_path / "run")
    assert len(str(refused.value)) < 1000


def test_a_run_is_not_lengthened_before_all_is_checked(tmp_path):
    train(tmp_path / "run")
    with pytest.raises(mg.ConfigError, match="this one has a faster step"):
        train(tmp_path / "run", steps=60, compile=True)
    assert load_run(tmp_path / "run").config.train.steps == 30


@pytest.fixture
def small_disk(monkeypatch):
    """small_disk(20) leaves 20 MiB."""

    def shrink(mebibytes):
        usage = type("Usage", (), {"free": mebibytes * 2**20})
        monkeypatch.setattr("mechgrok.training.folders.shutil.disk_usage", lambda path: usage)

    return shrink


def test_a_disk_that_is_too_full_is_found_before_a_training_starts(tmp_path, small_disk, interrupt_at):
    interrupt_at(17)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "begun")
    small_disk(17)
    assert train(tmp_path / "fits").steps[-1] == 30
    with pytest.raises(
        mg.CheckpointError, match=r"only 17 MiB are free at .*, and the training may need 56 MiB"
    ):
        train(tmp_path / "run", steps=3000, checkpoint_every=1)
    assert not (tmp_path / "run").exists()
    with pytest.raises(mg.CheckpointError, match="only 17 MiB are free"):
        train(tmp_path / "fits", steps=30_000, checkpoint_every=10)
    assert load_run(tmp_path / "fits").config.train.steps == 30
    small_disk(1)
    with pytest.raises(mg.CheckpointError, match="only 1 MiB are free"):
        mg.resume(load_run(tmp_path / "begun"), progress=False)
    assert train(tmp_path / "fits").steps[-1] == 30, "a finished run needs no room"


def test_a_run_that_was_killed_between_its_first_checkpoint_and_its_state_begins_again(tmp_path):
    run = train(tmp_path / "run")
    (run.path / "state.safetensors").unlink()
    for step in run.steps[1:]:
        run.checkpoint(step).unlink()
    assert train(tmp_path / "run", steps=40).steps == (0, 10, 20, 30, 40)
    assert load_run(run.path).config.train.steps == 40


def test_resuming_removes_what_was_left_half_written(tmp_path, interrupt_at):
    interrupt_at(17)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run")
    left = [tmp_path / "run" / ".state.safetensors.0a1b2c3d"]
    left.append(tmp_path / "run" / "checkpoints" / ".step_00000020.safetensors.0a1b2c3d")
    for file in left:
        file.write_bytes(b"half")
    mg.resume(load_run(tmp_path / "run"), progress=False)
    assert not any(file.exists() for file in left)


def test_a_folder_that_cannot_be_written_is_found_before_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr("mechgrok.training.trainer.Training.go", lambda *args: pytest.fail("trained"))
    (tmp_path / "file").write_text("")
    with pytest.raises(mg.CheckpointError, match="cannot write"):
        train(tmp_path / "file" / "run")


def test_the_progress_bar_goes_to_standard_error(capsys):
    train(progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "30/30" in printed.err


def test_opening_a_run_without_its_state_loses_nothing(tmp_path):
    run = train(tmp_path / "run")
    (run.path / "state.safetensors").unlink()
    before = run.path / "history.jsonl"
    stamp = before.stat().st_mtime_ns
    assert mg.resume(load_run(run.path), progress=False).steps == (0, 10, 20, 30)
    assert train(tmp_path / "run").steps == (0, 10, 20, 30)
    assert before.stat().st_mtime_ns == stamp
    with pytest.raises(mg.CheckpointError, match="not the optimiser's state to go on from"):
        train(tmp_path / "run", steps=50)
    assert load_run(run.path).steps == (0, 10, 20, 30)
    assert load_run(run.path).config.train.steps == 30, "what cannot be lengthened is not"


def test_a_run_knows_which_optimiser_updates_which_parameters(tmp_path):
    run = train(tmp_path / "run", optimizer="muon", weight_decay=0.25, lr=0.02, frozen=("unembed",))
    groups = mg.load_run(run.path).parameter_groups
    trained = [name for name, _ in run.model().named_parameters() if not name.startswith("unembed")]
    assert sorted(groups["muon"]["parameters"] + groups["adamw"]["parameters"]) == sorted(trained)
    assert "embed.W_E" in groups["adamw"]["parameters"]
    assert "blocks.0.mlp.W_in" in groups["muon"]["parameters"]
    for group in groups.values():
        assert group["settings"]["weight_decay"] == 0.25
        assert group["settings"]["lr"] == 0.02
