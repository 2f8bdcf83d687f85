"""What stands for a network or a training where one is asked for: a run, or the name or file of either.

Analyses lie below runs and files and import neither. What has to be opened is opened by the loader of its kind, which
is looked up by name when it is needed, as `mechgrok.drawable` looks up figures.
"""

from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

Openable = str | PathLike[str]
"""Name of a run that comes with mechgrok, folder of a run, or file of a network."""


def open_network(path: Openable) -> Any:
    """The network of that name or in that place, as `load_model` opens it.

    Raises:
        CheckpointError: there is none.
    """
    return import_module("mechgrok.loading").load_model(Path(path))


def open_run(path: Openable) -> Any:
    """The run of that name or in that folder, as `load_run` opens it.

    Raises:
        CheckpointError: there is none.
    """
    return import_module("mechgrok.runs").load_run(Path(path))


class GridSource(Protocol):
    """A run, by what it has: a history, and a network at each step."""

    @property
    def history(self) -> Any: ...

    def model(self, step: int | None = None) -> Any: ...

    def grid(self, step: int | None = None, names: list[str] | None = None) -> Any: ...


def is_run(source: object) -> bool:
    """Whether something is a run, by what it has."""
    return callable(getattr(source, "grid", None)) and hasattr(type(source), "history")
