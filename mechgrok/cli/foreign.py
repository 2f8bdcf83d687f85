"""The subject of a command: a run, or a network in a file together with the options that describe the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechgrok.cli.options import FILE_FIELDS, network_from
from mechgrok.cli.tasks import is_table, named_task, table_task
from mechgrok.errors import ConfigError
from mechgrok.opening import run_if_any

if TYPE_CHECKING:
    from mechgrok.activations import ActivationGrid
    from mechgrok.runs import Run
    from mechgrok.tasks import Task


@dataclass(frozen=True)
class AboutFile:
    """The options of a command that describe the network in a file.

    Attributes:
        options: the given options, by name; see `FileOptions`.

    Raises:
        ConfigError: they contradict each other; nothing has been opened yet.
    """

    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        operation, p = self.options.get("task"), self.options.get("p")
        if p and not operation:
            raise ConfigError("--p is the modulus of --task, as in --task add --p 113")
        if self.options.get("sequence") and not operation:
            raise ConfigError("--sequence writes down --task, as in --task add --p 113 --sequence a b =")
        if operation and is_table(operation):
            if p:
                raise ConfigError(f"{operation} is a table, which has no modulus; leave --p {p} out")
        elif operation and (p or operation[:1].isupper()):
            named_task(operation, p)
        _ = self.reading

    @cached_property
    def reading(self) -> dict[str, Any]:
        """The given options that are passed to `load_model`."""
        network = {name: value for name, value in self.options.items() if name not in FILE_FIELDS}
        told = {
            "layout": self.options.get("layout"),
            "config": network_from(self.options.get("config"), network),
            "rename": _renamed(self.options.get("rename", ())),
            "key": self.options.get("key"),
        }
        return {name: value for name, value in told.items() if value}

    def task(self, likely: int | None = None) -> "Task | None":
        """The named task; None if it is known or has to be inferred.

        Args:
            likely: the modulus suggested by the sizes of the network, if none is given.
        """
        operation, sequence = self.options.get("task"), self.options.get("sequence", ())
        if operation is None:
            return None
        if is_table(operation):
            task = table_task(operation, () if likely is None else (likely,))
        else:
            task = named_task(operation, self.options.get("p"), likely)
        if not sequence:
            return task
        from mechgrok.tasks import as_operation

        return as_operation(task).with_sequence(*sequence)

    def open(self, path: Path, step: int | None = None) -> "Run | ActivationGrid":
        """The run at a path, or the network in a file on all inputs of its task.

        Raises:
            ConfigError: there is a run, and options describe a file.
        """
        run = run_at(path)
        if run is not None:
            self.check_unused()
            return run
        from mechgrok.activations import cache_grid, likely_modulus
        from mechgrok.loading import load_model

        model = load_model(path, step, **self.reading)
        return cache_grid(model, self.task(likely_modulus(model) if self.options.get("task") else None))

    def check_unused(self, *also: str) -> None:
        """Refuse options that would be ignored for a run.

        Args:
            also: further given options that apply only to files.

        Raises:
            ConfigError: such an option was given.
        """
        given = [f"--{name.replace('_', '-')}" for name in self.options] + list(also)
        if given:
            raise ConfigError(
                f"a run knows its own task, split and layout; {', '.join(given)}: only for files with a network"
            )


def run_at(path: Path) -> "Run | None":
    """The run in a folder or with a name; None for the file of a network."""
    found = run_if_any(path)
    return None if found is path else found


def _renamed(pairs: tuple[str, ...]) -> dict[str, str]:
    wrong = [pair for pair in pairs if not all(pair.partition("="))]
    if wrong:
        raise ConfigError(f"--rename takes OLD=NEW, such as embedding.weight=W_E; got {wrong[0]}")
    return {old: new for old, _, new in (pair.partition("=") for pair in pairs)}
