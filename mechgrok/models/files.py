"""Weights on disk: safetensors, and foreign pickles that are read but never executed."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mechgrok.config import NetworkConfig
from mechgrok.errors import CheckpointError
from mechgrok.models.layouts import CONFIG_KEY, SETTINGS_KEY, model_from_tensors
from mechgrok.models.networks import Network
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.storage import write_tensors

PICKLES = (".pt", ".pth")


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The named tensors of a file and its text metadata; .safetensors, .pt or .pth.

    A .pt file is read by torch with weights_only=True: it may hold tensors and plain containers, and no
    code of it is run.

    Raises:
        CheckpointError: the file is missing, empty, truncated, of another format, or would run code.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in PICKLES:
        return _read_pickle(path), {}
    raise CheckpointError(f"{path.name} is none of .safetensors, .pt, .pth; no other format is read")


def read_model(path: Path, *, layout: str | None = None, config: NetworkConfig | None = None) -> Network:
    """The network in one file; arguments and errors as in `model_from_tensors` and `read_tensors`.

    Where the header holds no configuration of its author, the JSON file beside it counts: config_X.json for
    model_X.pt, and config_X.json or X.json for X.pt.
    """
    tensors, header = read_tensors(path)
    if SETTINGS_KEY not in header and CONFIG_KEY not in header:
        header = header | _settings_beside(path)
    try:
        return model_from_tensors(tensors, header, layout=layout, config=config)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def write_model(model: Network | WrappedNetwork, path: Path) -> None:
    """Write a network as one safetensors file with its configuration in the header, atomically.

    Raises:
        CheckpointError: the file cannot be written; nothing is left half-written.
    """
    if isinstance(model, WrappedNetwork):
        write_tensors(path, model.state_dict())  # buffers too, under the module's own names
        return
    tensors = {name: p.detach().cpu() for name, p in model.named_parameters()}
    write_tensors(path, tensors, {CONFIG_KEY: json.dumps(model.cfg.to_json())})


def _settings_beside(path: Path) -> dict[str, str]:
    name = path.stem
    for candidate in (f"config_{name.removeprefix('model_')}.json", f"config_{name}.json", f"{name}.json"):
        beside = path.with_name(candidate)
        if beside.is_file():
            return {SETTINGS_KEY: _read_text(beside)}
    return {}


def _read_text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or no JSON: {error}") from None
    return text


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is truncated, damaged or no safetensors file: {error}") from None


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} is damaged, or holds more than tensors and would run code when opened; "
            "it was not opened. "
            "Ask its author for a state dict, torch.save(model.state_dict(), ...), or for safetensors"
        ) from None
    except Exception as error:  # damaged bytes make the unpickler stumble over anything
        raise CheckpointError(f"{path} is truncated, damaged or no torch file: {error}") from None
    return _state_dict(loaded, path)


def _state_dict(loaded: Any, path: Path) -> dict[str, Tensor]:
    """The state dict itself, or the one inside a training checkpoint under its usual names."""
    if isinstance(loaded, Mapping):
        for key in ("model", "state_dict", "model_state_dict"):
            if isinstance(loaded.get(key), Mapping):
                loaded = loaded[key]
                break
        if loaded and all(isinstance(k, str) and isinstance(t, Tensor) for k, t in loaded.items()):
            return dict(loaded)
        what = f"a mapping with the keys {', '.join(map(str, list(loaded)[:8]))}"
    else:
        what = type(loaded).__name__
    raise CheckpointError(f"{path} holds {what}; expected a state dict, tensors by name")
