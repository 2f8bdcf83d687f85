"""Network files: exact round trips, damaged, foreign and hostile files."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mechgrok.config import ModelConfig
from mechgrok.errors import CheckpointError
from mechgrok.models.files import read_model, read_tensors, write_model
from mechgrok.models.layouts import CONFIG_KEY
from mechgrok.models.transformer import HookedTransformer

CFG = ModelConfig(d_vocab=6, d_vocab_out=5, n_ctx=3, d_model=4, n_heads=2, d_mlp=7)


def network(cfg: ModelConfig = CFG) -> HookedTransformer:
    return HookedTransformer(cfg, seed=0)


def state() -> dict[str, torch.Tensor]:
    return network().state_dict()


def assert_same(model: HookedTransformer, tensors: dict[str, torch.Tensor]) -> None:
    assert model.state_dict().keys() == tensors.keys()
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == tensors[name].dtype
        assert torch.equal(tensor, tensors[name]), name


@pytest.mark.parametrize(
    "options",
    [{}, {"normalization": "LN", "attn_bias": True, "unembed_bias": True}, {"attn_only": True, "n_layers": 2},
     {"attention_rate": 0.25, "attention_dir": "bidirectional", "act_fn": "square", "positions": "none"}],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip_is_exact(tmp_path, options, dtype):
    model = network(CFG.replace(**options)).to(dtype)
    write_model(model, tmp_path / "deep" / "network.safetensors")
    again = read_model(tmp_path / "deep" / "network.safetensors")
    assert again.cfg == model.cfg
    assert_same(again, model.state_dict())


def test_extreme_values_survive(tmp_path):
    model = network()
    with torch.no_grad():
        model.embed.W_E[0] = torch.tensor([float("nan"), float("inf"), 1e-45, -0.0])
    write_model(model, tmp_path / "m.safetensors")
    with pytest.warns(UserWarning, match=r"m\.safetensors: weights that are not finite in embed\.W_E$"):
        bits = read_model(tmp_path / "m.safetensors").W_E[0].detach().view(torch.int32)
    assert torch.equal(bits, model.W_E[0].detach().view(torch.int32))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
@pytest.mark.parametrize("key", [None, "model", "state_dict", "model_state_dict"])
def test_state_dict_alone_or_inside_a_checkpoint(tmp_path, key, suffix, zipped):
    path = tmp_path / f"foreign{suffix}"
    inside = state() if key is None else {key: state(), "epoch": 7, "losses": [0.1, 0.2]}
    torch.save(inside, path, _use_new_zipfile_serialization=zipped)
    assert_same(read_model(path), state())


def test_parameters_serve_as_well_as_tensors(tmp_path):
    torch.save(dict(network().named_parameters()), tmp_path / "m.pt")
    assert_same(read_model(tmp_path / "m.pt"), state())


def test_safetensors_without_our_header(tmp_path):
    save_file(state(), tmp_path / "m.safetensors")
    assert_same(read_model(tmp_path / "m.safetensors"), state())


def saved(folder: Path, kind: str) -> bytes:
    path = folder / "whole.safetensors"
    if kind == "safetensors":
        write_model(network(), path)
    else:
        torch.save(state(), path, _use_new_zipfile_serialization=kind == "zip")
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_truncated_file_is_named_at_any_length(tmp_path, kind):
    whole = saved(tmp_path, kind)
    path = tmp_path / f"cut{'.safetensors' if kind == 'safetensors' else '.pt'}"
    lengths = {*range(40), *range(40, len(whole), 61), len(whole) - 1}
    for length in lengths:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"cut\..*(damaged|truncated)"):
            read_model(path)


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_bytes_are_refused_or_read_but_never_crash(tmp_path, kind):
    whole = saved(tmp_path, kind)
    path = tmp_path / f"bad{'.safetensors' if kind == 'safetensors' else '.pt'}"
    refused = []
    for position in range(0, min(len(whole), 2000), 13):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            read_model(path)
        except CheckpointError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert all("bad." in text for text in refused)


def test_damaged_configuration_in_the_header(tmp_path):
    path = tmp_path / "m.safetensors"
    looks = "the file looks like a mechgrok network, but"
    damaged = "the configuration is damaged or no JSON"
    texts = {
        "{": damaged,
        "[" * 3000: damaged,
        '{"d_model": ' + "9" * 5000 + "}": damaged,
        json.dumps({"d_model": "x"}): looks,
        json.dumps([1, 2]): looks,
    }
    for text, why in texts.items():
        save_file(state(), path, {CONFIG_KEY: text})
        with pytest.raises(CheckpointError, match=rf"m\.safetensors: {why}"):
            read_model(path)


def test_header_that_disagrees_with_the_tensors(tmp_path):
    wrong = json.dumps(CFG.replace(d_model=8, d_head=2, d_mlp=7).to_json())
    save_file(state(), tmp_path / "m.safetensors", {CONFIG_KEY: wrong})
    with pytest.raises(CheckpointError, match=r"mlp\.W_in has shape \(4, 7\), expected \(8, 7\)"):
        read_model(tmp_path / "m.safetensors")


class Hostile:
    """Pickles into a call that creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", ["torch", "torch legacy", "pickle"])
@pytest.mark.parametrize(
    "inside", [lambda x: x, lambda x: {"model": {"W": x}}, lambda x: {**state(), "x": x}]
)
def test_code_in_a_pickle_is_not_run(tmp_path, protocol, inside):
    trace, path = tmp_path / "trace", tmp_path / "hostile.pt"
    content = inside(Hostile(trace))
    if protocol == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=protocol == "torch")
    with pytest.raises(CheckpointError, match=r"would run code when opened; it was not opened.*safetensors"):
        read_model(path)
    assert not trace.exists()
    # The same file is a real attack: opened without care it runs.
    torch.load(path, weights_only=False) if protocol != "pickle" else pickle.loads(path.read_bytes())
    assert trace.exists()


def test_a_whole_pickled_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="Ask its author for a state dict"):
        read_model(tmp_path / "m.pt")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([torch.zeros(2)], "holds list; expected a state dict"),
        (torch.zeros(2), "holds Tensor; expected a state dict"),
        ({}, "holds a mapping with the keys"),
        ({"epoch": 3, "loss": 0.5}, "keys epoch, loss; expected a state dict"),
        ({"model": {"W": torch.zeros(1), "n": 3}}, "keys model; expected a state dict"),
        ({1: torch.zeros(2), "blocks.x": torch.zeros(1)}, "holds a mapping with the keys 1, blocks.x"),
    ],
)
def test_pickles_of_something_else(tmp_path, content, text):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=text):
        read_tensors(tmp_path / "other.pt")


@pytest.mark.parametrize("name", ["notes.txt", "m", "m.safetensors.bak"])
def test_unknown_suffix_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        CheckpointError, match=rf"{name} is none of \.safetensors, \.pt, \.pth, \.bin, \.ckpt, \.npz"
    ):
        read_model(tmp_path / name)


@pytest.mark.parametrize("name", ["gone.safetensors", "gone.pt", "gone.txt"])
def test_missing_file(tmp_path, name):
    with pytest.raises(CheckpointError, match=f"there is no file .*{name}"):
        read_model(tmp_path / name)


def test_folder_is_no_file(tmp_path):
    with pytest.raises(CheckpointError, match="there is no file"):
        read_model(tmp_path)


def test_text_under_a_tensor_suffix(tmp_path):
    for suffix in (".safetensors", ".pt"):
        path = tmp_path / f"web{suffix}"
        path.write_text("<!DOCTYPE html><html>404: not found</html>" * 20)
        with pytest.raises(CheckpointError, match="damaged"):
            read_model(path)
