"""A state is compared with the run's expectations before any of it is used."""

import pytest
import torch

import mechgrok as mg
from mechgrok.models.files import read_tensors
from mechgrok.runs import load_run
from mechgrok.storage import DIGEST_KEY, write_tensors
from mechgrok.training.assembly import Assembly
from mechgrok.training.stored_state import joined_state, parted_state

TASK = mg.modular_task("add", 7)
OPTIONS = {"model": mg.ModelConfig(d_model=16, n_heads=2), "fraction": 0.6, "progress": False}


@pytest.fixture
def run(tmp_path):
    return mg.train(TASK, out=tmp_path / "run", steps=20, **OPTIONS)


def form(state):
    return {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adam"},
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "momentum": 0.9, "frozen": ("embed",)},
        {"optimizer": "muon", "decay_towards": "init"},
        {"gradient": "grokfast_ema"},
        {"gradient": "grokfast_ma", "grokfast_window": 3},
        {"gradient": "orthograd", "batch_size": 8},
        {
            "model": mg.ModelConfig(
                d_model=8, n_layers=2, attn_bias=True, unembed_bias=True, normalization="LN"
            )
        },
        {"model": mg.ModelConfig(d_model=8, attention_rate=0.0, positions="none", attn_only=True)},
        {"model": mg.ModelConfig(d_model=8, attention_rate=0.0, attn_bias=True, n_layers=2)},
        {"model": mg.MLPConfig(d_embed=8, d_mlp=8, n_layers=2, readout="tied")},
        {"model": mg.MLPConfig(d_mlp=8, inputs="one_hot", embeddings="separate", unembed_bias=True)},
    ],
)
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_the_expected_form_is_that_of_every_training(changes, steps):
    run = mg.train(TASK, steps=steps, **{**OPTIONS, **changes})
    step, state = run.read_state()
    assert step == steps
    assert form(Assembly(run).state_at(step)) == form(state)


def test_joined_and_parted():
    model = mg.build_model(TASK, OPTIONS["model"])
    optimizer = {"optimizer|adamw|weights|exp_avg": torch.ones(3)}
    weights, rest = parted_state(joined_state(model, optimizer))
    expected = dict(model.named_parameters())
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], weight) for name, weight in expected.items())
    assert rest == optimizer


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda state: {n: t for n, t in state.items() if not n.startswith("weight")},
         r"it lacks weight\|embed\.W_E, .* and 8 more"),
        (lambda state: {n: t for n, t in state.items() if n.startswith("weight")},
         r"it lacks optimizer\|adamw\|embed\.W_E\|"),
        (lambda state: state | {"weight|head.W": torch.ones(2)}, r"it has the unknown weight\|head\.W"),
        (lambda state: state | {"weight|embed.W_E": torch.ones(2)},
         r"of another shape or precision are weight\|embed\.W_E"),
        (lambda state: {"W_E": torch.ones(3)}, r"it lacks .*; it has the unknown W_E"),
    ],
    ids=["no weights", "no optimiser", "something more", "another shape", "foreign"],
)  # fmt: skip
def test_a_state_that_is_not_that_of_the_training_is_refused(run, spoil, why):
    tensors, header = read_tensors(run.path / "state.safetensors")
    del header[DIGEST_KEY]
    write_tensors(run.path / "state.safetensors", spoil(tensors), header)
    before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    with pytest.raises(
        mg.CheckpointError, match=rf"state\.safetensors is not the state of this training: {why}"
    ):
        mg.train(TASK, out=run.path, steps=40, **OPTIONS)
    assert {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()} == before
    assert load_run(run.path).model().W_E.isfinite().all()
