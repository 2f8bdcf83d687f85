"""Open what stands for a network or a training run: a run, or the name or file of either.

Analyses are in a layer below runs and files and import neither. Inputs that have to be opened are opened by the
loader of their kind, which is looked up by name when it is needed, as `mechgrok.drawable` looks up figures.
"""

from collections.abc import Callable
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from mechgrok.errors import CheckpointError, MechgrokError, shown

Openable = str | PathLike[str]
"""Name of a run that ships with mechgrok, folder of a run, or file of a network."""


def open_network(path: Openable) -> Any:
    """Open the network with that name or at that path, using `load_model`.

    Raises:
        CheckpointError: there is none.
    """
    return _opened(import_module("mechgrok.loading").load_model, path)


def open_run(path: Openable) -> Any:
    """Open the run with that name or in that folder, using `load_run`.

    Raises:
        CheckpointError: there is none.
    """
    return _opened(import_module("mechgrok.runs").load_run, path)


def run_if_any(source: Any) -> Any:
    """Open a run if its name or folder is given; return anything else unchanged.

    Raises:
        CheckpointError: the folder is not a run, or the run is damaged.
    """
    if not isinstance(source, str | PathLike):
        return source
    return open_run(source) if _opened(_holds_a_run, source) else source


def _holds_a_run(path: Path) -> bool:
    """Whether this is a folder, but not one with the file of a network, like Hugging Face's."""
    folder = import_module("mechgrok.shipped").folder_or_shipped(path)
    return folder.is_dir() and import_module("mechgrok.models.formats").file_in_folder(folder) is None


def _opened(load: Callable[[Path], Any], path: Openable) -> Any:
    try:
        return load(Path(path))
    except OSError as error:  # a name too long for a file, or an unreadable folder
        raise CheckpointError(f"cannot open {shown(str(path))}: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, MechgrokError):
            raise
        raise CheckpointError(f"{shown(str(path))} is no name of a file: {error}") from None


class GridSource(Protocol):
    """A run, defined by what it has: a history, and a network at each step."""

    @property
    def history(self) -> Any: ...

    def model(self, step: int | None = None) -> Any: ...

    def grid(self, step: int | None = None, names: list[str] | None = None) -> Any: ...


def is_run(source: object) -> bool:
    """Whether something is a run, judged by what it has."""
    return callable(getattr(source, "grid", None)) and hasattr(type(source), "history")
