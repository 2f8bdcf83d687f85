"""Configurations stored by early versions open unchanged: fields added since have defaults, so that nothing
has to be rewritten."""

import json

import pytest
import torch

import mechgrok as mg
from mechgrok.runs.folder import read_config
from mechgrok.shipped import shipped_runs

TRANSFORMER = {
    "kind": "transformer", "d_vocab": 0, "d_vocab_out": 0, "n_ctx": 0, "output": "classes", "n_layers": 1,
    "d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 64, "attn_only": False, "act_fn": "relu",
    "attention_dir": "causal", "attention_rate": 1.0, "positions": "learned", "normalization": None,
    "attn_bias": False, "mlp_bias": True, "unembed_bias": False, "init": "nanda",
}  # fmt: skip
MLP = {
    "kind": "mlp", "d_vocab": 0, "d_vocab_out": 0, "inputs": "embedding", "embeddings": "shared", "combine": "sum",
    "d_embed": 8, "d_mlp": 16, "n_layers": 1, "act_fn": "relu", "mlp_bias": True, "bias_per_operand": False,
    "readout": "direct", "unembed_bias": False, "init": "pizza",
}  # fmt: skip
TRAIN = {
    "recipe": "fast", "fraction": 0.3, "split_rule": "shuffle", "sequence": None, "objective": "cross_entropy",
    "loss_dtype": "float32", "naive_loss": False, "loss_scale": 1.0, "batch_size": 0, "optimizer": "adamw",
    "lr": 0.01, "weight_decay": 1.0, "decay_towards": "zero", "betas": [0.9, 0.98], "momentum": 0.0, "eps": 1e-08,
    "gradient": "plain", "grokfast_alpha": 0.98, "grokfast_lambda": 2.0, "grokfast_window": 100, "frozen": [],
    "warmup": 10, "steps": 4, "stop_when_settled": True, "stop_test_loss": 0.0, "eval_every": 10,
    "checkpoints": "regular", "checkpoint_every": 50,
}  # fmt: skip
ADD, SUB = ({"kind": "modular", "operation": operation, "p": 5} for operation in ("add", "sub"))
SPECS = {
    "addition": (ADD, "add5", 25),
    "a polynomial": ({"kind": "modular", "operation": "x^2+x*y+y^2", "p": 5}, "x^2+x*y+y^2 mod 5", 25),
    "a sequence": (SUB | {"sequence": ["a", "-", "b", "="]}, "sub5", 25),
    "special tokens": (ADD | {"sequence": ["a", "op", "b", "="], "specials": ["=", "op"]}, "add5", 25),
    "division": ({"kind": "modular", "operation": "div", "p": 5}, "div5", 20),
    "permutations": ({"kind": "group", "group": "S3", "op": "xy"}, "S3", 36),
    "conjugation": ({"kind": "group", "group": "D4", "op": "xyx^-1"}, "D4 xyx^-1", 64),
    "a product": ({"kind": "group", "group": "Z2xS3", "op": "xy"}, "Z2xS3", 144),
    "a table of a group": ({"kind": "group", "group": [[0, 1], [1, 0]], "op": "xy", "name": "mine"}, "mine", 4),
    "random labels": ({"kind": "random_labels", "task": ADD, "seed": 1}, "add5 random labels 1", 25),
    "a mixture": ({"kind": "mixed", "parts": [ADD, SUB]}, "add5 and sub5", 50),
    "another basis": (
        {"kind": "in_basis", "task": ADD, "basis": {"fourier": 5}, "elements": [0, 2, 4, 1, 3]}, "add5", 25,
    ),
}  # fmt: skip
"""What early versions stored of a task; its name, and its number of inputs."""


def stored(folder, spec, model):
    """A folder with the configuration alone, as an early version wrote it: without a seal, and without threads."""
    text = {"version": 1, "task": spec, "train": {**TRAIN, "model": model}, "seed": 0, "start": None}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(text, indent=2))
    return text


@pytest.mark.parametrize("case", SPECS)
def test_an_early_task_opens_and_is_stored_as_it_was(case, tmp_path):
    spec, name, n_inputs = SPECS[case]
    text = stored(tmp_path / "run", spec, TRANSFORMER)
    run = mg.load_run(tmp_path / "run")
    assert (run.task.name, run.task.n_inputs) == (name, n_inputs)
    assert mg.task_from_spec(spec).spec == spec
    assert run.config.task == text["task"]


@pytest.mark.parametrize("model", [TRANSFORMER, MLP], ids=["transformer", "mlp"])
def test_an_early_network_and_training_keep_every_value(model, tmp_path):
    text = stored(tmp_path / "run", ADD, model)
    train = mg.load_run(tmp_path / "run").config.train.to_json()
    assert {name: train[name] for name in TRAIN} == TRAIN
    assert {name: train["model"][name] for name in model} == text["train"]["model"]
    network = mg.build_model(mg.modular_task("add", 5), mg.load_run(tmp_path / "run").config.train.model)
    assert network.cfg.d_vocab_out == 5


@pytest.mark.parametrize("name", shipped_runs())
def test_shipped_runs_open_with_what_they_say(name):
    run = mg.load_run(name)
    text = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    assert run.config.task == text["task"]
    assert mg.task_from_spec(text["task"]).spec == text["task"]
    train = run.config.train.to_json()
    said = text["train"]
    assert {name: train[name] for name in said if name != "model"} == {
        n: v for n, v in said.items() if n != "model"
    }
    assert {name: train["model"][name] for name in said["model"]} == said["model"]
    assert read_config(run.path / "config.json")[1] is None, "from before there were seals"


SHIPPED = "add113-fast"


@pytest.mark.bits
def test_a_shipped_run_made_again_goes_on_bit_for_bit(tmp_path):
    """None of the shipped runs keeps the state of its optimiser; its configuration and split make it again."""
    shipped = mg.load_run(SHIPPED)
    assert not any((mg.load_run(name).path / "state.safetensors").exists() for name in shipped_runs())
    options = {"seed": shipped.config.seed, "split": shipped.split, "progress": False}

    def train(folder, steps):
        config = shipped.config.train.replace(steps=steps, checkpoint_every=10)
        return mg.train(shipped.task, config, out=tmp_path / folder, **options)

    whole = train("whole", 30)
    train("parted", 10)
    parted = train("parted", 30)
    assert parted.history == whole.history
    for step in whole.steps:
        ours, theirs = parted.weights(step), whole.weights(step)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    rows = {row["step"]: row for row in shipped.history}
    for row in whole.history[
        :3
    ]:  # steps 0, 10, 20: rounded in another way since, and that grows from step to step
        for name, far in {"loss_train": 0.02, "loss_test": 0.02, "accuracy_train": 0.02}.items():
            assert row[name] == pytest.approx(rows[row["step"]][name], rel=far, abs=0.01)
