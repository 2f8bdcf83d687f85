"""Network files: exact round trips, damaged, foreign and hostile files."""

import argparse
import json
import os
import pickle
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mechgrok.config import ModelConfig
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.files import read_model, read_tensors, save_model, write_model
from mechgrok.models.layouts import CONFIG_KEY
from mechgrok.models.nested_weights import find_weights, without_prefixes
from mechgrok.models.pickles import read_pickle
from mechgrok.models.transformer import HookedTransformer

CFG = ModelConfig(d_vocab=6, d_vocab_out=5, n_ctx=3, d_model=4, n_heads=2, d_mlp=7)

SAID = ModelConfig(act_fn="relu", attention_dir="causal")
"""What no tensor tells."""


SAID = ModelConfig(act_fn="relu", attention_dir="causal", normalization=None)
"""What no tensor tells."""


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
    assert_same(read_model(path, config=SAID), state())


def test_parameters_serve_as_well_as_tensors(tmp_path):
    torch.save(dict(network().named_parameters()), tmp_path / "m.pt")
    assert_same(read_model(tmp_path / "m.pt", config=SAID), state())


def test_safetensors_without_our_header(tmp_path):
    save_file(state(), tmp_path / "m.safetensors")
    assert_same(read_model(tmp_path / "m.safetensors", config=SAID), state())


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


@pytest.mark.parametrize("place", ["model_state", "net", "params", "weights", "ema", "agent.policy", "a.b.c"])
def test_weights_under_any_key_beside_an_optimiser_and_other_facts(tmp_path, place):
    model = torch.nn.Linear(3, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(3)).sum().backward()
    optimizer.step()
    stored = state()
    for name in reversed(place.split(".")):
        stored = {name: stored}
    facts = {"step": 10, "val_acc": 1.0, "losses": torch.rand(5), "rng": torch.get_rng_state(), "note": None}
    torch.save({**facts, "optimizer": optimizer.state_dict(), **stored}, tmp_path / "m.pt")
    assert_same(read_model(tmp_path / "m.pt", config=SAID), state())
    assert_same(read_model(tmp_path / "m.pt", config=SAID, key=place), state())


def test_weights_in_the_same_mapping_as_facts(tmp_path):
    torch.save({**state(), "epoch": 3, "act_fn": "relu", "direction": None}, tmp_path / "m.pt")
    assert_same(read_model(tmp_path / "m.pt", config=SAID), state())


def test_several_places_are_listed_and_one_is_chosen(tmp_path):
    other = network(CFG.replace(init="pizza")).state_dict()
    torch.save({"model": state(), "ema": {"model": other}, "step": 3}, tmp_path / "m.pt")
    with pytest.raises(
        CheckpointError,
        match=r"weights in 2 places: 'model', 'ema\.model'\. Say which with load_model\(path, key='model'",
    ):
        read_model(tmp_path / "m.pt", config=SAID)
    for key, expected in (("model", state()), ("ema", other), ("ema.model", other)):
        assert_same(read_model(tmp_path / "m.pt", config=SAID, key=key), expected)
    with pytest.raises(
        CheckpointError, match=r"no weights under key='swa'; it has them under 'model', 'ema\.model'"
    ):
        read_model(tmp_path / "m.pt", key="swa")


@pytest.mark.parametrize("name", [lambda n: n, str, lambda n: f"step_{n}", lambda n: f"epoch{n:04d}"])
@pytest.mark.parametrize("outer", [None, "checkpoints"])
def test_several_steps_in_one_file(tmp_path, name, outer):
    networks = {n: {"W_E": torch.full((3, 2), float(n))} | state() for n in (9, 100, 20)}
    for n, tensors in networks.items():
        tensors.pop("W_E")
        tensors["embed.W_E"] = torch.full((6, 4), float(n))
    steps = {name(n): tensors for n, tensors in networks.items()}
    torch.save(steps if outer is None else {outer: steps, "p": 5}, tmp_path / "m.pt")
    newest = read_model(tmp_path / "m.pt", config=SAID)
    assert_same(newest, networks[100])
    assert "step 100 of 9, 20, 100" in newest.layout
    assert_same(read_model(tmp_path / "m.pt", config=SAID, step=9), networks[9])
    with pytest.raises(CheckpointError, match="no weights at step=7; it has the steps 9, 20, 100"):
        read_model(tmp_path / "m.pt", config=SAID, step=7)


def test_a_step_or_key_of_a_file_with_one_network_is_refused(tmp_path):
    write_model(network(), tmp_path / "m.safetensors")
    torch.save(state(), tmp_path / "m.pt")
    with pytest.raises(
        CheckpointError, match=r"m\.safetensors holds the weights of one network; leave key='ema' out"
    ):
        read_model(tmp_path / "m.safetensors", key="ema")
    for file in ("m.safetensors", "m.pt"):
        with pytest.raises(CheckpointError, match="one network; leave step=3 out"):
            read_model(tmp_path / file, step=3)


PREFIXES = [
    "_orig_mod.",
    "module.",
    "model.",
    "net.",
    "module._orig_mod.",
    "model._orig_mod.module.",
    "_orig_mod.model.net.",
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_prefixes_of_wrappers(tmp_path, prefix, suffix):
    path = tmp_path / f"m{suffix}"
    named = {prefix + name: tensor for name, tensor in state().items()}
    if suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in named.items()})
    elif suffix == ".pt":
        torch.save({"state_dict": named}, path)
    else:
        save_file(named, path)
    assert_same(read_model(path, config=SAID), state())


def test_prefixes_that_not_all_tensors_share_stay():
    tensors = {"model.W": torch.ones(1), "criterion.W": torch.ones(1)}
    assert without_prefixes(tensors) == tensors
    parts = {"a._orig_mod.W": torch.ones(1), "b.W": torch.ones(1)}
    assert list(without_prefixes(parts)) == ["a.W", "b.W"]
    clash = {"a._orig_mod.W": torch.ones(1), "a.W": torch.ones(1)}
    assert without_prefixes(clash) == clash


@pytest.mark.parametrize("key", ["config", "cfg", "hparams", "hyper_parameters", "args"])
@pytest.mark.parametrize(
    "kind", [dict, lambda **values: argparse.Namespace(**values), lambda **values: {"model": values}]
)
def test_the_configuration_inside_a_checkpoint_is_read(tmp_path, key, kind):
    model = network(CFG.replace(act_fn="gelu", attention_dir="bidirectional"))
    said = kind(
        act_fn="gelu", attention_dir="bidirectional", lr=np.float64(0.1), p=np.int64(5), out=Path("runs")
    )
    torch.save({"model": model.state_dict(), key: said, "step": np.int64(7)}, tmp_path / "m.pt")
    found = find_weights(read_pickle(tmp_path / "m.pt"), tmp_path / "m.pt").settings
    inner = found.get("model", found)
    assert inner == {"act_fn": "gelu", "attention_dir": "bidirectional", "lr": 0.1, "p": 5, "out": "runs"} | (
        {} if "model" in found else {"step": 7}
    )
    if "model" not in found:
        again = read_model(tmp_path / "m.pt")
        assert (again.cfg.act_fn, again.cfg.attention_dir) == ("gelu", "bidirectional")


def test_what_a_file_says_goes_before_what_lies_beside_it(tmp_path):
    stored = {"net": state(), "config": {"act_fn": "relu", "attention_dir": "causal"}}
    torch.save(stored, tmp_path / "m.pt")
    assert_same(read_model(tmp_path / "m.pt"), state())
    (tmp_path / "m.json").write_text('{"act_fn": "gelu"}')
    assert_same(read_model(tmp_path / "m.pt"), state())


def test_what_two_places_in_a_file_contradict_each_other_in_counts_as_not_said(tmp_path):
    says = {"act_fn": "relu", "attention_dir": "causal"}
    torch.save({"net": state(), "config": says, "args": {"act_fn": "gelu"}}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="the activation function"):
        read_model(tmp_path / "m.pt")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_numpy_arrays_are_data(tmp_path, dtype):
    arrays = {name: tensor.numpy().astype(dtype) for name, tensor in state().items()}
    torch.save({"weights": arrays, "acc": np.float32(0.5), "name": np.str_("x")}, tmp_path / "m.pt")
    np.savez_compressed(tmp_path / "m.npz", **arrays)
    for file in ("m.pt", "m.npz"):
        model = read_model(tmp_path / file, config=SAID)
        for name, weight in model.named_parameters():
            assert torch.equal(weight.detach(), torch.from_numpy(arrays[name]).to(weight.dtype))


def test_arrays_of_objects_are_refused(tmp_path):
    np.savez(tmp_path / "m.npz", W=np.array([Hostile(tmp_path / "trace")], dtype=object))
    with pytest.raises(
        CheckpointError, match=r"m\.npz is truncated, damaged or holds more than arrays of numbers"
    ):
        read_model(tmp_path / "m.npz")
    torch.save({"W": np.array([{"a": 1}], dtype=object)}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="ObjectDType"):
        read_model(tmp_path / "m.pt")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["m.ckpt", "m.bin", "m.pth", "m.weights", "m"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_the_content_tells_the_format(tmp_path, name, kind):
    (tmp_path / name).write_bytes(saved(tmp_path, kind))
    assert_same(read_model(tmp_path / name, config=SAID), state())


@pytest.mark.parametrize("name", ["m.safetensors", "m.pt", "m.npz", "m.txt"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer"),
        ("\n<!DOCTYPE html><html>404</html>" * 20, "a web page"),
        ("<html><body>sign in</body></html>", "a web page"),
        ('<?xml version="1.0"?><Error/>', "an XML document"),
        ('{"error": "Repository not found"}', "JSON text and no weights"),
        ("", "it is empty"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_weights_is_called_what_it_is(tmp_path, name, content, what):
    (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match=f"{name} .*{what}"):
        read_model(tmp_path / name)


def test_an_unsafe_class_is_named(tmp_path):
    torch.save({"model": state(), "config": Fraction(1, 2)}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"more than tensors \(fractions\.Fraction\)"):
        read_model(tmp_path / "m.pt")


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.bool, torch.int64])
def test_weights_are_floats(tmp_path, dtype):
    tensors = {name: tensor.to(dtype) for name, tensor in state().items()}
    save_file(tensors, tmp_path / "m.safetensors", {CONFIG_KEY: json.dumps(CFG.to_json())})
    with pytest.raises(CheckpointError, match=f"holds {dtype} and no floating-point numbers"):
        read_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    "field", ["d_vocab", "d_vocab_out", "n_ctx", "d_model", "n_heads", "d_head", "d_mlp", "n_layers"]
)
@pytest.mark.parametrize("size", [500, 10**5, 10**8, 10**12, 2**63, 10**30])
def test_huge_sizes_in_a_header_are_refused_before_anything_is_made(tmp_path, field, size):
    config = json.dumps(CFG.to_json() | {field: size})
    save_file(state(), tmp_path / "m.safetensors", {CONFIG_KEY: config})
    start = time.process_time()
    with pytest.raises(CheckpointError, match=r"m\.safetensors: "):
        read_model(tmp_path / "m.safetensors")
    assert time.process_time() - start < 5


def test_a_parameter_in_two_places_is_written_twice(tmp_path):
    model = network(CFG.replace(d_model=8, d_head=4, d_mlp=8))
    model.blocks[0].mlp.W_out = model.blocks[0].mlp.W_in
    save_model(model, str(tmp_path / "m.safetensors"))
    again = read_model(tmp_path / "m.safetensors")
    assert torch.equal(again.blocks[0].mlp.W_out, model.blocks[0].mlp.W_in)
    assert_same(again, model.state_dict())


@pytest.mark.usefixtures("unchecked")
def test_what_could_not_be_read_again_is_not_written(tmp_path):
    model = network()
    model.embed.W_E = torch.nn.Parameter(torch.ones(2, 2))
    with pytest.raises(CheckpointError, match=r"embed\.W_E of the network are not as its configuration says"):
        save_model(model, tmp_path / "m.safetensors")
    with pytest.raises(ConfigError, match=r"written as \.safetensors, not as \.pt"):
        save_model(network(), tmp_path / "m.pt")
    with pytest.raises(
        ConfigError, match=r"save_model takes model, a network of mechgrok.* got the network Linear"
    ):
        save_model(torch.nn.Linear(2, 2), tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())
