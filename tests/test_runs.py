"""Runs on disk: what is stored, what is refused, what survives."""

import json
import stat

import pytest
import torch

import mechgrok as mg
from mechgrok.config import RunConfig
from mechgrok.runs import create_run, load_run

TASK = mg.modular_task("add", 7)
SPLIT = TASK.split(0.5, seed=3)
CONFIG = RunConfig(task=TASK.spec, train=mg.TrainConfig(model=mg.ModelConfig(d_model=8)), seed=3)


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path / "run", CONFIG, SPLIT)


def network(seed=0):
    return mg.build_model(TASK, CONFIG.train.model, seed=seed)


def row(step):
    return {"step": step, "loss_train": 1.0, "loss_test": None, "accuracy_train": 0.5, "accuracy_test": None}


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
    run = create_run(None, config, SPLIT)
    assert run.task.slots == ("b", "=", "a")
    fixed = create_run(None, config.replace(task=TASK.with_sequence("a", "b").spec), SPLIT)
    assert fixed.task.slots == ("a", "b")


def test_a_temporary_run_goes_with_its_object():
    run = create_run(None, CONFIG, SPLIT)
    path = run.path
    assert path.is_dir()
    del run
    assert not path.exists()


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


def test_the_same_run_is_opened_and_another_one_refused(run):
    assert create_run(run.path, CONFIG, SPLIT).config == CONFIG
    other = CONFIG.replace(train=CONFIG.train.replace(lr=0.5))
    with pytest.raises(mg.ConfigError, match=r"another configuration \(lr is 0.001 there and 0.5 here\)"):
        create_run(run.path, other, SPLIT)
    with pytest.raises(mg.ConfigError, match="another split"):
        create_run(run.path, CONFIG, TASK.split(0.5, seed=4))


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(mg.ConfigError, match="is not empty and holds no run"):
        create_run(tmp_path, CONFIG, SPLIT)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(mg.CheckpointError, match="cannot write"):
        create_run(tmp_path / "file" / "run", CONFIG, SPLIT)


def test_a_full_disk_is_refused_before_the_training(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 5 * 2**20})
    monkeypatch.setattr("mechgrok.runs.shutil.disk_usage", lambda path: usage)
    with pytest.raises(mg.CheckpointError, match="only 5 MiB are free"):
        create_run(tmp_path / "run", CONFIG, SPLIT)
    assert not (tmp_path / "run" / "config.json").exists()


def test_no_run(tmp_path):
    with pytest.raises(mg.CheckpointError, match=r"holds no run: there is no config\.json in it"):
        load_run(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"version": 1}', "\udcff"])
def test_a_damaged_configuration(run, text):
    (run.path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(mg.CheckpointError, match="is damaged or of another version"):
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
    with pytest.raises(mg.CheckpointError, match="needs the folder of a run"):
        mg.load_model(run.checkpoint(5), step=5)
    with pytest.raises(mg.CheckpointError, match="there is no file"):
        mg.load_model(run.path / "nothing.safetensors")


def test_a_start_that_was_cut_off_can_be_made_again(tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mechgrok.runs.write_json", stop)
        with pytest.raises(KeyboardInterrupt):
            create_run(tmp_path / "run", CONFIG, SPLIT)
    assert create_run(tmp_path / "run", CONFIG, SPLIT).config == CONFIG


def test_a_damaged_history(run):
    (run.path / "history.jsonl").write_text('{"step": 0}\nrubbish\n')
    with pytest.raises(mg.CheckpointError, match=r"history\.jsonl is damaged"):
        _ = run.history
