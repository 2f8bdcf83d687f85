"""Writing files so that a reader never sees half of one."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save, save_file
from torch import Tensor

from mechgrok.errors import CheckpointError

RANDOM = "?" * 8
"""What `tempfile.mkstemp` puts at the end of a name, as a pattern."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file atomically.

    Raises:
        CheckpointError: the file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    replace_file(path, lambda temporary: save_file(plain, temporary, dict(header or {})))


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors, in hexadecimal; equal for equal names and bits, whatever their order.

    >>> from torch import tensor
    >>> digest({"a": tensor([1.0])}) == digest({"a": tensor([1.0])}) != digest({"a": tensor([2.0])})
    True
    """
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    return hashlib.sha256(save(plain)).hexdigest()


def write_json(path: Path, values: Any) -> None:
    """Write a JSON file atomically.

    Raises:
        CheckpointError: the file cannot be written.
    """
    write_text(path, json.dumps(values, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Raises:
        CheckpointError: the file cannot be written.
    """
    replace_file(path, lambda temporary: Path(temporary).write_text(text, encoding="utf-8"))


def replace_file(path: Path, write: Callable[[str], object]) -> None:
    """Write beside the target, flush to disk, rename: after a crash there is the old file or the new one.

    Args:
        write: writes the file whose name it is given.

    Raises:
        CheckpointError: the file cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except Exception as error:
        raise CheckpointError(f"cannot write {path}: {error}") from error
    finally:
        # Also after Ctrl-C; once renamed, the name is gone.
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def remove_partial(folder: Path, name: str) -> None:
    """Remove what processes that were killed have left of a file, or of files that a pattern matches.

    Nobody else may be writing there.
    """
    for file in folder.glob(f".{name}.{RANDOM}"):
        file.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Find out before long work whether its result can be written; the folder is made.

    Raises:
        CheckpointError: no file can be written there.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error}") from error
