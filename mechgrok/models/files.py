"""Weights on disk: our own files, and other people's, which are read but never executed."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mechgrok.config import NetworkConfig
from mechgrok.door import door
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.formats import SUFFIXES, find_format
from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.layouts import CONFIG_KEY, SETTINGS_KEY, model_from_tensors
from mechgrok.models.layouts.stored_network import LayoutNote
from mechgrok.models.nested_weights import Found, find_weights, joined_settings, without_prefixes
from mechgrok.models.networks import make_network
from mechgrok.models.pickles import as_plain, read_pickle
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.storage import DIGEST_KEY, digest, write_tensors


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The named tensors of a file and its text metadata, from .safetensors, .npz, or the output of torch.save.

    The content determines the format, regardless of the name. A torch file is read with weights_only=True: it may
    hold tensors, plain containers and numpy data, and none of its code is run.

    Raises:
        CheckpointError: the file is missing, empty, truncated, changed since we wrote it, in another format, or would
            run code; or it holds no weights, or several sets of them.
    """
    found, header = _read(path)
    return found.tensors, header


def read_model(
    path: str | Path,
    *,
    key: str | None = None,
    step: int | None = None,
    layout: str | None = None,
    config: NetworkConfig | None = None,
    rename: Mapping[str, str] | None = None,
) -> HookedNetwork:
    """Read the network in one file; further errors as in `model_from_tensors` and `read_tensors`.

    The author's configuration is read wherever it is stored: in the header of a safetensors file, inside a checkpoint
    next to the weights, or in a JSON file next to the file: config_X.json for model_X.pt, config_X.json or X.json for
    X.pt, or else config.json.

    Args:
        key: if the file holds weights in several places, the keys that lead to the intended ones, joined by
            dots: "ema.model".
        step: if the file holds the weights of several steps, the step to read; None means the newest.
        layout, config, rename: as in `model_from_tensors`; `rename` takes names without wrappers' prefixes.
    """
    path = Path(path)
    found, header = _read(path, key, step)
    if CONFIG_KEY not in header:
        # A configuration next to the file may belong to another file: the file's own one takes precedence.
        inside = joined_settings(found.settings, _object(header.get(SETTINGS_KEY)))
        settings = _settings_beside(path) | inside
        header = header | ({SETTINGS_KEY: json.dumps(settings)} if settings else {})
    tensors = without_prefixes(found.tensors)
    model = network_of(tensors, header, path, layout=layout, config=config, rename=rename)
    if found.step and isinstance(model.layout, LayoutNote):
        model.layout = LayoutNote(model.layout.heading, (*model.layout.notes, found.step))
    return model


def network_of(
    tensors: dict[str, Tensor],
    header: dict[str, str],
    path: Path,
    *,
    layout: str | None = None,
    config: NetworkConfig | None = None,
    rename: Mapping[str, str] | None = None,
) -> HookedNetwork:
    """The network in tensors read from a file; warns of non-finite weights.

    Raises:
        CheckpointError: as `model_from_tensors`, with the name of the file.
    """
    try:
        _check_sizes(tensors, header)
        model = model_from_tensors(tensors, header, layout=layout, config=config, rename=rename)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    broken = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        warnings.warn(f"{path}: weights that are not finite in {', '.join(broken[:3])}{more}", stacklevel=3)
    return model


@door
def save_model(model: HookedNetwork, path: str | Path) -> Path:
    """Write a network atomically as one safetensors file, with its configuration and a digest in the header.

    `load_model` reads it back exactly. A weight with two names is written under both.

    Args:
        model: a `HookedTransformer` or `HookedMLP`.
        path: the file, .safetensors; its folder is created.

    Returns:
        The path of the file.

    Raises:
        ConfigError: not one of our networks, or a path ending in .pt or the like.
        CheckpointError: the network's weights do not match its configuration, so that it could not be read back; or
            the file cannot be written, in which case no partial file remains.

    >>> import tempfile, mechgrok as mg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = mg.load_model(save_model(mg.cosine_network(7, {2: 9.0}), f"{folder}/clock.safetensors"))
    >>> mg.find_key_frequencies(again).frequencies
    (2,)
    """
    write_model(model, path)
    return Path(path)


def write_model(
    model: HookedNetwork | WrappedNetwork, path: str | Path, header: dict[str, str] | None = None
) -> None:
    """Like `save_model`, with more header entries; for a wrapped module, writes the state dict, including buffers."""
    path = Path(path)
    if isinstance(model, WrappedNetwork):
        write_tensors(path, model.state_dict(), header)
        return
    if not isinstance(model, HookedNetwork):
        raise ConfigError(f"only networks of mechgrok are written; got a {type(model).__name__}")
    if SUFFIXES.get(path.suffix.lower(), "safetensors") != "safetensors":
        raise ConfigError(f"networks are written as .safetensors, not as {path.suffix}; got {path}")
    tensors = {name: p.detach().cpu() for name, p in model.named_parameters(remove_duplicate=False)}
    with torch.device("meta"):
        expected = {name: p.shape for name, p in make_network(model.cfg).named_parameters()}
    differing = [
        name for name in expected.keys() | tensors.keys() if _shape(tensors, name) != expected.get(name)
    ]
    if differing:
        raise CheckpointError(
            f"cannot write {path}: {', '.join(sorted(differing)[:3])} of the network are not as its configuration "
            "says, and it could not be read again"
        )
    write_tensors(path, tensors, {CONFIG_KEY: json.dumps(model.cfg.to_json())} | (header or {}))


def _read(path: Path, key: str | None = None, step: int | None = None) -> tuple[Found, dict[str, str]]:
    header: dict[str, str] = {}
    match find_format(path):
        case "safetensors":
            stored, header = _read_safetensors(path)
        case "npz":
            stored = _read_npz(path)
        case _:
            return find_weights(read_pickle(path), path, key, step), header
    for option, value in (("key", key), ("step", step)):
        if value is not None:
            raise CheckpointError(f"{path} holds the weights of one network; leave {option}={value!r} out")
    return Found(stored, {}), header


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{path} is truncated, damaged or no safetensors file: {error}") from None
    rest = {name: text for name, text in header.items() if name != DIGEST_KEY}
    # Our headers without a digest come from an early version, which wrote only the configuration.
    lost = DIGEST_KEY not in header and CONFIG_KEY in header and len(header) > 1
    if lost or (DIGEST_KEY in header and header[DIGEST_KEY] != digest(tensors, rest)):
        raise CheckpointError(
            f"{path} is damaged: its content is not what was written. Put back a copy of it"
        )
    return tensors, header


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: torch.from_numpy(np.array(file[name])) for name in file.files}
    except Exception as error:  # damaged bytes can make zipfile and numpy raise anything
        raise CheckpointError(
            f"{path} is truncated, damaged or holds more than arrays of numbers: {error}"
        ) from None


def _check_sizes(tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """Check, before building it, that a network with the configuration in our header can be as small as the tensors.

    Raises:
        CheckpointError: it gives sizes or numbers of layers that no file with these tensors can have.
    """
    most = sum(tensor.numel() for tensor in tensors.values())
    for name, value in _object(header.get(CONFIG_KEY)).items():
        if isinstance(value, int) and value > (len(tensors) if name == "n_layers" else max(most, 1)):
            raise CheckpointError(
                f"its header speaks of {name}={str(value)[:30]}, and the file has {len(tensors)} tensors with "
                f"{most} numbers"
            )


def _settings_beside(path: Path) -> dict[str, Any]:
    name = path.stem
    own = (f"config_{name.removeprefix('model_')}.json", f"config_{name}.json", f"{name}.json")
    for candidate in (*own, "config.json"):
        beside = path.with_name(candidate)
        if beside.is_file():
            try:
                settings = _object(beside.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise CheckpointError(f"{beside} is damaged or no JSON: {error}") from None
            # The configuration of our run describes only the run and its checkpoints, which know their networks.
            return {} if settings.keys() >= {"task", "train", "seed"} else settings
    return {}


def _object(text: str | None) -> dict[str, Any]:
    """The JSON object in a text; empty if it is not an object.

    Raises:
        CheckpointError: it cannot be read as JSON.
    """
    try:
        values = as_plain(json.loads(text or "{}"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the configuration is damaged or no JSON: {error}") from None
    return values if isinstance(values, dict) else {}


def _shape(tensors: dict[str, Tensor], name: str) -> torch.Size | None:
    return tensors[name].shape if name in tensors else None
