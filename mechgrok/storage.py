"""Files on disk: written so that a reader never sees half of one, with digests that reveal changes."""

import hashlib
import json
import os
import secrets
import struct
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from mechgrok.errors import CheckpointError, shown

RANDOM = "?" * 8
"""Suffix of a temporary name, as a pattern."""
DIGEST_KEY = "mechgrok_sha256"
"""Key in the header of a safetensors file for the digest of the rest of the file."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file atomically, with a digest of its content in the header.

    Equal tensors and headers give byte-identical files.

    Raises:
        CheckpointError: the file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    signed = dict(header or {}) | {DIGEST_KEY: digest(plain, header or {})}
    replace_file(path, lambda temporary: Path(temporary).write_bytes(_sorted_header(save(plain, signed))))


def digest(tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None) -> str:
    """SHA-256 of named tensors and a header, in hexadecimal; equal for equal names and bits, whatever their order.

    >>> from torch import tensor
    >>> digest({"a": tensor([1.0])}) == digest({"a": tensor([1.0])}) != digest({"a": tensor([2.0])})
    True
    """
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    sha = hashlib.sha256(save(plain))
    if header:
        sha.update(json.dumps(dict(header), sort_keys=True).encode())
    return sha.hexdigest()


def json_digest(values: Any) -> str:
    """SHA-256 of JSON values, in hexadecimal, independent of layout and key order.

    >>> json_digest({"a": 1, "b": 2}) == json_digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


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
    """Write next to the target, flush to disk, rename: after a crash there is either the old file or the new one.

    A link is followed; a new file gets the permissions that the umask leaves, an existing one keeps its own.
    Anything that is not a regular file, such as /dev/null or a pipe, is written to directly.

    Args:
        write: writes to the file name that it is given.

    Raises:
        CheckpointError: the file cannot be written.
    """
    temporary = None
    try:
        if _is_device(path):
            write(str(path))
            return
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _empty_file_beside(target)
        write(str(temporary))
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except Exception as error:
        raise CheckpointError(f"cannot write {shown(str(path))}: {str(error)[:300]}") from error
    finally:
        # Also after Ctrl-C; after the rename, the temporary name is gone.
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def find_partial(folder: Path, name: str) -> list[Path]:
    """Remains of a file, or of files that match a pattern, left by killed processes.

    This includes files that are being written right now.
    """
    return list(folder.glob(f".{name}.{RANDOM}"))


def check_writable(path: Path) -> None:
    """Check before long work whether its result can be written; the folder is created.

    Raises:
        CheckpointError: no file can be written there.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        if _is_device(path):
            if not os.access(path, os.W_OK):
                raise PermissionError("it may not be written to")
            return
        folder = path.resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (
        OSError,
        RuntimeError,
    ) as error:  # circular links are a RuntimeError before Python 3.13
        raise CheckpointError(f"cannot write {shown(str(path))}: {str(error)[:300]}") from error


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _empty_file_beside(target: Path) -> Path:
    """A file with a new name and the permissions of the target; created by the system, which knows the umask."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(len(RANDOM) // 2)}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    if target.is_file():
        os.chmod(temporary, target.stat().st_mode & 0o777)
    return temporary


def _sorted_header(content: bytes) -> bytes:
    """A safetensors file with sorted header entries; safetensors itself writes them in any order."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]
