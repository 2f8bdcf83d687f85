"""Files from torch.save, read without running any of their code: tensors, plain containers, and numpy data."""

import argparse
import importlib
import pathlib
import pickle
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mechgrok.errors import CheckpointError

UNSAFE = re.compile(r"GLOBAL ([\w.]+)|but got <class '([\w.]+)'>")
"""The pattern in which torch names what it refuses."""
OLD_MODULE, NEW_MODULE = "numpy.core.multiarray", "numpy._core.multiarray"
"""Modules in which numpy, before and after 2.0, has the functions that reconstruct arrays and scalars."""


def read_pickle(path: Path) -> Any:
    """The contents stored by torch.save: tensors, containers, numpy arrays and scalars, and namespaces of plain values.

    Raises:
        CheckpointError: the file is truncated or damaged, or would run code when opened; the message names the class.
    """
    try:
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged, or holds more than tensors{_at_fault(str(error))} and would run code when opened; "
            "it was not opened. "
            "Ask its author for a state dict, torch.save(model.state_dict(), ...), or for safetensors"
        ) from None
    except Exception as error:  # damaged bytes can make the unpickler raise anything
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(f"{path} is truncated, damaged or no torch file: {reason}") from None


def as_plain(value: Any) -> Any:
    """A value in JSON's terms: numpy numbers and one-element tensors unpacked, namespaces as mappings.

    Anything that JSON cannot express becomes text; larger tensors and arrays become None.

    >>> as_plain({"p": np.int64(7), "act": torch.nn.functional, "rates": (1, np.float32(0.5))})["rates"]
    [1, 0.5]
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case np.generic():
            return as_plain(value.item())
        case Tensor() | np.ndarray():
            return as_plain(value.item()) if value.ndim == 0 else None
        case Mapping():
            return {str(key): as_plain(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [as_plain(inner) for inner in value]
        case argparse.Namespace() | SimpleNamespace():
            return as_plain(vars(value))
    return str(value)


@cache
def _harmless() -> list[Any]:
    """What torch may build besides its own classes: classes that only hold data, and numpy's functions that fill them.

    Arrays of objects are not included.
    """
    multiarray = importlib.import_module(NEW_MODULE if np.__version__ >= "2" else OLD_MODULE)
    functions = [
        (getattr(multiarray, name), f"{module}.{name}")
        for module in (OLD_MODULE, NEW_MODULE)
        for name in ("scalar", "_reconstruct")
    ]
    types = [type(np.dtype(kind)) for kind in np.typecodes["AllInteger"] + np.typecodes["AllFloat"] + "?US"]
    paths = [pathlib.PosixPath, pathlib.PurePosixPath]
    return [*functions, np.ndarray, np.dtype, *set(types), argparse.Namespace, SimpleNamespace, *paths]


def _at_fault(message: str) -> str:
    found = UNSAFE.search(message)
    return f" ({found[1] or found[2]})" if found else ""
