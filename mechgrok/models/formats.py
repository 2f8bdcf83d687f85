"""The formats of tensor files, identified by their content, and the other files that one may turn out to be."""

import os
import zipfile
from pathlib import Path
from typing import Literal

from mechgrok.errors import CheckpointError

Format = Literal["safetensors", "torch", "npz"]

SUFFIXES: dict[str, Format] = {
    ".safetensors": "safetensors",
    ".pt": "torch",
    ".pth": "torch",
    ".bin": "torch",
    ".ckpt": "torch",
    ".npz": "npz",
}
"""Usual file extensions; the content takes precedence if it is clear."""

MISTAKEN = {
    b"version https://git-lfs": (
        "a Git LFS pointer: a line of text that stands for the file. Fetch the file itself with 'git lfs pull', or "
        "download it from the repository's page"
    ),
    b"<!doctype html": "a web page: the download gave an error or a preview instead of the file",
    b"<html": "a web page: the download gave an error or a preview instead of the file",
    b"<?xml": "an XML document, as servers send one for an error; download the file again",
    b"{": "JSON text and no weights: a configuration, or the error of a server",
    b"[": "JSON text and no weights: a configuration, or the error of a server",
    b"\x89hdf": "an HDF5 file, which is not read; store the arrays by name with numpy.savez",
    b"\x93numpy": "a single numpy array without a name; store arrays by name with numpy.savez",
    b"\x1f\x8b": "compressed with gzip; unpack it first",
}
"""First bytes, in lower case, of files commonly mistaken for weights, and what these files are."""

IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")
"""Names of the weights file in a folder written by Hugging Face's save_pretrained."""


def file_in_folder(folder: Path) -> Path | None:
    """The weights file of a Hugging Face folder; None for a run, and for any other folder."""
    return next((folder / name for name in IN_FOLDERS if (folder / name).is_file()), None)


def find_format(path: Path) -> Format:
    """The format in which a file holds tensors.

    Raises:
        CheckpointError: it is missing or empty, is something other than weights, or has an unsupported format.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if not start:
        raise CheckpointError(f"{path} is truncated: it is empty (0 bytes)")
    found = _by_content(path, start)
    if found is not None:
        return found
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginning, what in MISTAKEN.items():
        if text.startswith(beginning):
            raise CheckpointError(f"{path} is not damaged weights but {what}")
    if path.suffix.lower() in SUFFIXES:
        return SUFFIXES[path.suffix.lower()]
    raise CheckpointError(
        f"{path.name} is none of {', '.join(SUFFIXES)}, and its content is in none of these formats"
    )


def _by_content(path: Path, start: bytes) -> Format | None:
    # The length of the header, then the header, a JSON object. Checked first: a length may look like a pickle.
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= os.stat(path).st_size:
        return "safetensors"
    if start[:4] == b"PK\x03\x04":
        return _in_zip(path)
    # A pickle, as written by torch before 1.6.
    return "torch" if start[0] == 0x80 and len(start) > 1 and 2 <= start[1] <= 5 else None


def _in_zip(path: Path) -> Format | None:
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    if any(name.rsplit("/", 1)[-1] == "data.pkl" for name in names):
        return "torch"
    return "npz" if names and all(name.endswith(".npy") for name in names) else None
