"""User code that a command needs: `--import my_task.py` runs before anything that it defines is used."""

import importlib
import runpy
import sys
from pathlib import Path

from mechgrok.cli.usage import UsageError
from mechgrok.errors import ConfigError

OPTION = "--import"


def import_own_code(arguments: list[str]) -> list[str]:
    """Import the modules named by `--import`, and return the other arguments.

    A file runs as a module under its own name, so that code below `if __name__ == "__main__"` is skipped.

    Raises:
        UsageError: the option has no value.
        ConfigError: there is no such file or module, or it raises an error.

    >>> import_own_code(["--seed", "1", "--import", "math"])
    ['--seed', '1']
    """
    rest: list[str] = []
    pieces = iter(arguments)
    for piece in pieces:
        option, equals, value = piece.partition("=")
        if option != OPTION:
            rest.append(piece)
            continue
        named = value if equals else next(pieces, "")
        if not named or named.startswith("--"):
            raise UsageError(f"{OPTION} takes a file or module, as in {OPTION} my_task.py")
        _import(named)
    return rest


def _import(named: str) -> None:
    file = Path(named)
    if named.endswith(".py") and not file.is_file():
        raise ConfigError(f"{OPTION} {named}: there is no such file")
    try:
        if file.is_file():
            _run_as_module(file)
        else:
            importlib.import_module(named)
    except Exception as error:  # from the user's own code, which may raise anything
        raise ConfigError(f"{OPTION} {named}: {type(error).__name__}: {str(error)[:600]}") from error


def _run_as_module(file: Path) -> None:
    """Its folder is also searched for modules, as when Python runs the file."""
    sys.path.insert(0, str(file.parent.absolute()))
    try:
        runpy.run_path(str(file), run_name=file.stem)
    finally:
        sys.path.remove(str(file.parent.absolute()))
