"""The trained networks that ship with mechgrok, by name."""

import hashlib
import json
from pathlib import Path
from typing import Any

from mechgrok.door import door
from mechgrok.errors import CheckpointError, shown
from mechgrok.readable import Readable
from mechgrok.spelling import closest, unknown

INDEX = "index.json"
FOLDERS = (Path(__file__).parent / "checkpoints", Path(__file__).parents[1] / "checkpoints")
"""Their locations in an installed package, and in a clone."""


class Shipped(dict[str, dict[str, Any]], Readable):
    """The shipped runs by name, displayed in a notebook with their descriptions."""

    def records(self) -> list[dict[str, Any]]:
        return [{"name": name, "value": about["description"]} for name, about in self.items()]

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {about['description']}" for name, about in self.items())

    def _title(self) -> str:
        return f"runs that come with mechgrok: {len(self)}"


def shipped_runs() -> Shipped:
    """List the runs that ship with mechgrok, with description, command to reproduce, and expected results.

    Returns:
        By name: `description`; `command`, which reproduces the run; `files`, the SHA-256 of each file, by its
        path in the run's folder; `expected`, the summary of the last checkpoint. Empty if the checkpoints were
        left out of an installation.

    >>> sorted(shipped_runs()["add113"])
    ['command', 'description', 'expected', 'files']
    """
    folder = _folder()
    return Shipped() if folder is None else Shipped(json.loads((folder / INDEX).read_text(encoding="utf-8")))


def find_shipped(name: str) -> Path | None:
    """Folder of a shipped run; None if none has this name."""
    folder = _folder()
    return folder / name if folder is not None and name in shipped_runs() else None


def folder_or_shipped(path: str | Path) -> Path:
    """The path itself; if it does not exist and a shipped run has this name, the folder of that run."""
    path = Path(path)
    try:
        return path if path.exists() else find_shipped(str(path)) or path
    except OSError as error:  # a name that is too long, or an unreadable folder
        raise CheckpointError(f"cannot open {shown(str(path))}: {error.strerror}") from None


def no_such_run(path: Path) -> CheckpointError:
    """The error for the name of a run that does not exist; it suggests shipped runs that may be meant."""
    return CheckpointError(
        f"there is no file or folder {path}, and it is none of the runs that come with mechgrok{which_shipped(path)}"
    )


def which_shipped(path: Path) -> str:
    """End of a sentence about a run that does not exist: the shipped runs, and which of them may be meant."""
    near = closest(path, shipped_runs())
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return f" ({', '.join(shipped_runs()) or 'none is installed'}){meant}"


@door
def verify_shipped(name: str) -> None:
    """Compare the files of a shipped run with their recorded hashes.

    Raises:
        CheckpointError: no shipped run has this name; a file is missing, or differs from the shipped one.

    >>> verify_shipped("add113")
    """
    path = find_shipped(name)
    if path is None:
        raise CheckpointError(unknown("shipped run", name, shipped_runs()))
    for file, expected in shipped_runs()[name]["files"].items():
        if not (path / file).is_file():
            raise CheckpointError(f"{path / file} is missing; install mechgrok again")
        if file_digest(path / file) != expected:
            raise CheckpointError(f"{path / file} is not the file that was shipped; install mechgrok again")


def check_shipped(file: Path) -> None:
    """Compare a file with its recorded hash if it belongs to a shipped run in its place; ignore any other file.

    Raises:
        CheckpointError: it differs from the shipped file.
    """
    folder, file = _folder(), file.resolve()
    if folder is None or not file.is_relative_to(folder.resolve()):
        return
    name, *inside = file.relative_to(folder.resolve()).parts
    expected = shipped_runs().get(name, {"files": {}})["files"].get("/".join(inside))
    if expected is not None and file.is_file() and file_digest(file) != expected:
        raise CheckpointError(f"{file} is not the file that was shipped; install mechgrok again")


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder() -> Path | None:
    return next((folder for folder in FOLDERS if (folder / INDEX).is_file()), None)
