"""Runs on disk: storage, refusals and robustness."""

import json
import re
import stat

import pytest
import torch

import mechgrok as mg
from mechgrok.config import RunConfig
from mechgrok.runs import load_run
from mechgrok.storage import write_tensors
from mechgrok.training.folders import Plan, create_run

TASK = mg.modular_task("add", 7)
SPLIT = TASK.split(0.5, seed=3)
CONFIG = RunConfig(task=TASK.spec, train=mg.TrainConfig(model=mg.ModelConfig(d_model=8)), seed=3)


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path / "run", Plan(CONFIG, SPLIT))


def network(seed=0):
    return mg.build_model(TASK, CONFIG.train.model, seed=seed)


def row(step):
    losses, accuracies = (
        {"loss_train": 1.0, "loss_test": None},
        {"accuracy_train": 0.5, "accuracy_test": None},
    )
    return {"step": step, **losses, **accuracies, "sum_squared_weights": 3.5}


def test_everything_comes_back(run):
    model = network()
    for step in (0, 100):
        run.write_checkpoint(step, model)
        run.append_history(row(step))
    again = load_run(run.path)
    assert again.config == CONFIG
    assert again.steps == (0, 100)
    assert again.history == [row(0), row(100)]
    assert torch.equal(again.split.train, SPLIT.train)
    assert (again.split.fraction, again.split.seed, again.split.rule) == (0.5, 3, "shuffle")
    assert torch.equal(again.task.tokens, TASK.tokens)
    for name, weight in again.model(100).named_parameters():
        assert torch.equal(weight, model.get_parameter(name))
    assert again.model().task is again.task
    assert again.grid(0).logits.shape == (49, 7)


def test_nothing_on_disk_names_the_machine(run):
    run.write_checkpoint(0, network())
    for file in run.path.rglob("*"):
        if file.is_file():
            assert str(run.path).encode() not in file.read_bytes()


def test_a_sequence_of_the_recipe_is_the_one_of_the_task():
    config = CONFIG.replace(train=CONFIG.train.replace(sequence=("b", "=", "a")))
    run = create_run(None, Plan(config, SPLIT))
    assert run.task.slots == ("b", "=", "a")
    fixed = create_run(None, Plan(config.replace(task=TASK.with_sequence("a", "b").spec), SPLIT))
    assert fixed.task.slots == ("a", "b")


def test_a_history_line_that_was_cut_off_is_dropped(run):
    run.append_history(row(0))
    with (run.path / "history.jsonl").open("a") as file:
        file.write('{"step": 10, "loss_tr')
    assert run.history == [row(0)]


def test_forgetting_what_a_resumed_run_will_make_again(run):
    for step in (0, 10, 20):
        run.append_history(row(step))
        run.write_checkpoint(step, network())
    run.forget_after(10)
    assert run.steps == (0, 10)
    assert [r["step"] for r in run.history] == [0, 10]


def test_no_run(tmp_path):
    with pytest.raises(mg.CheckpointError, match=r"holds no run: there is no config\.json in it"):
        load_run(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"version": 1}', "\udcff"])
def test_a_damaged_configuration(run, text):
    (run.path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(mg.CheckpointError, match=r"config\.json is damaged"):
        load_run(run.path)


def test_an_unknown_key_is_an_error(run):
    values = json.loads((run.path / "config.json").read_text())
    values["train"]["lerning_rate"] = 1
    (run.path / "config.json").write_text(json.dumps(values))
    with pytest.raises(mg.CheckpointError, match="lerning_rate"):
        load_run(run.path)


def test_a_missing_checkpoint_names_the_nearest(run):
    with pytest.raises(mg.CheckpointError, match="has no checkpoint yet"):
        run.model()
    for step in (0, 100):
        run.write_checkpoint(step, network())
    with pytest.raises(
        mg.CheckpointError, match="no checkpoint at step 70; it has 2 from 0 to 100, the nearest is 100"
    ):
        run.model(70)


def test_files_can_be_read_by_others(run):
    assert stat.S_IMODE((run.path / "config.json").stat().st_mode) == 0o644


def test_load_model_opens_runs_and_single_checkpoints(run):
    run.write_checkpoint(0, network(0))
    run.write_checkpoint(5, network(1))
    assert torch.equal(mg.load_model(run.path, step=0).W_E, network(0).W_E)
    assert torch.equal(mg.load_model(run.path).W_E, network(1).W_E)
    single = mg.load_model(run.checkpoint(5))
    assert torch.equal(single.W_E, network(1).W_E)
    assert single.task.spec == run.task.spec
    elsewhere = run.path / "copy.safetensors"
    elsewhere.write_bytes(run.checkpoint(5).read_bytes())
    assert mg.load_model(elsewhere).task is None
    with pytest.raises(mg.CheckpointError, match="holds the weights of one network; leave step=5 out"):
        mg.load_model(run.checkpoint(5), step=5)
    with pytest.raises(mg.CheckpointError, match="there is no file"):
        mg.load_model(run.path / "nothing.safetensors")


@pytest.mark.parametrize(
    "said",
    [{"key": "ema"}, {"layout": "zhong"}, {"rename": {"a": "b"}}, {"config": mg.ModelConfig()}],
    ids=str,
)
def test_what_is_said_of_a_run_that_knows_it_is_refused(run, said):
    run.write_checkpoint(0, network(0))
    with pytest.raises(
        mg.ConfigError, match=f"is a run, which knows its own network; leave {next(iter(said))} out"
    ):
        mg.load_model(run.path, **said)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"rubbish", "line 2: Expecting value"),
        (b"\xff\xfe\xfa", "line 2: .*codec can't decode"),
        (b"5", "line 2 is 5, no evaluation with step, loss_train"),
        (b"{}", "line 2 is {}, no evaluation"),
        (b'{"step": 10}', "line 2 is {'step': 10}, no evaluation"),
        (json.dumps(row(10) | {"loss_test": "low"}).encode(), "line 2 is .*'low'.*, no evaluation"),
    ],
    ids=["rubbish", "not utf-8", "number", "empty", "without losses", "text"],
)
def test_a_damaged_line_of_the_history(run, line, why):
    run.append_history(row(0))
    with (run.path / "history.jsonl").open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(
        mg.CheckpointError, match=rf"history\.jsonl is damaged: {why}.*train again in another"
    ):
        _ = run.history


@pytest.mark.parametrize("text", ['{"adamw": {"sett', "[]", "\udcff"], ids=["cut off", "a list", "not utf-8"])
def test_damaged_parameter_groups(run, text):
    run.write_parameter_groups({"adamw": {"settings": {}, "parameters": ["embed.W_E"]}})
    assert list(run.parameter_groups) == ["adamw"]
    (run.path / "groups.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(mg.CheckpointError, match=r"groups\.json is damaged: .* Put back a copy of it"):
        _ = run.parameter_groups


HEADER = {"fraction": "0.5", "seed": "3", "rule": "shuffle"}


@pytest.mark.parametrize(
    ("tensors", "header", "why"),
    [
        ({"train": SPLIT.train}, {}, "header has no fraction, seed and rule"),
        ({"train": SPLIT.train}, HEADER | {"seed": "three"}, "header has no fraction, seed and rule"),
        ({"train": SPLIT.train}, HEADER | {"rule": "dice"}, "header has no fraction, seed and rule"),
        ({"test": SPLIT.train}, HEADER, "no 'train', one boolean for each of the 49 inputs of add7"),
        ({"train": SPLIT.train[:-1]}, HEADER, "no 'train', one boolean for each of the 49 inputs"),
        ({"train": SPLIT.train.float()}, HEADER, "no 'train', one boolean"),
    ],
    ids=["no header", "no seed", "no rule", "no mask", "another task", "numbers"],
)
def test_a_damaged_split(run, tensors, header, why):
    write_tensors(run.path / "split.safetensors", tensors, header)
    # The configuration speaks of this file: as if it had been written so.
    (run.path / "config.json").unlink()
    mg.Run(run.path, CONFIG).write_config()
    with pytest.raises(mg.CheckpointError, match=rf"split\.safetensors is damaged: .*{why}"):
        _ = load_run(run.path).split


@pytest.mark.parametrize("header", [{}, {"step": "ten"}], ids=["none", "no number"])
def test_a_state_without_its_step(run, header):
    header = header | {"run": run.seal.run}
    write_tensors(run.path / "state.safetensors", {"weight|embed.W_E": torch.ones(2)}, header)
    with pytest.raises(mg.CheckpointError, match=r"state\.safetensors is damaged: its header has no step"):
        run.read_state()


def test_what_lies_beside_the_checkpoints_is_none_of_them(run):
    run.write_checkpoint(10, network())
    for name in ("step_abc.safetensors", "step_00000020 (1).safetensors", "step_00000030.safetensors.part"):
        (run.path / "checkpoints" / name).write_bytes(b"")
    assert run.steps == (10,)
    assert run.model().W_E.isfinite().all()


def test_what_a_killed_process_left_half_written_is_removed(run):
    run.write_checkpoint(10, network())
    (run.path / ".notes").write_text("the user's own")
    left = [
        ".state.safetensors.a1b2c3d_",
        ".config.json.00000000",
        "checkpoints/.step_00000020.safetensors.zzzzzzzz",
        "checkpoints/.tmpA1b2C3",
    ]
    for name in left:
        (run.path / name).write_bytes(b"half")
    run.remove_partial()
    files = {str(file.relative_to(run.path)) for file in run.path.rglob("*") if file.is_file()}
    kept = {"config.json", "split.safetensors", "checkpoints/step_00000010.safetensors", "lock"}
    assert files == {".notes", *kept}


def test_a_run_is_shown_in_one_short_line():
    assert re.fullmatch(r"Run\(.*mul113: mul113, fast, seed 0\)", repr(mg.load_run("mul113")))
