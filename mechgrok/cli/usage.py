"""What the command line understands: the overview, and options that are misspelt."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import cleandoc, signature
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints, is_typeddict

from tyro.conf import FlagCreatePairsOff, Positional, arg

from mechgrok.spelling import closest

Command = Callable[..., Any]
T = TypeVar("T")

Maybe = Annotated[T | None, arg(help_behavior_hint="(optional)")]
"""An option that may be left out; what is meant then is in its help."""
Several = Annotated[tuple[T, ...], arg(help_behavior_hint="(optional)")]
"""An option with any number of values."""
Flag = FlagCreatePairsOff[bool]
"""An option without a value."""

HEAD = """\
usage: mechgrok [-h] [--version] COMMAND ...

Mechanistic interpretability of grokking.
"""
TAIL = """\
options:
  -h, --help    show this help and exit; `mechgrok COMMAND --help` explains a command
  --version     print the version and exit
"""


class UsageError(Exception):
    """A command line that is not understood."""


def overview(commands: Mapping[str, Command]) -> str:
    """The help of the program: every command with the first sentence of its documentation."""
    lines = [f"  {name:<12}  {_first_line(command)}" for name, command in commands.items()]
    return "\n".join([HEAD, "commands:", *lines, "", TAIL]).rstrip()


def check_options(name: str, command: Command, arguments: Sequence[str]) -> None:
    """Refuse an option that the command does not have; the parser itself knows close ones only sometimes.

    Raises:
        UsageError: with the closest options.
    """
    known = set(option_names(command))
    for argument in arguments:
        option = argument.partition("=")[0]
        if argument.startswith("--") and option not in known:
            near = closest(option, known)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(
                f"mechgrok {name} has no option {option}{meant} `mechgrok {name} --help` shows all of them"
                if near
                else f"mechgrok {name} has no option {option}; `mechgrok {name} --help` shows all of them"
            )


def option_names(command: Command) -> Iterator[str]:
    """All options of a command as they are typed, both forms of a switch among them."""
    yield "--help"
    hints = get_type_hints(command, include_extras=True)
    for parameter in signature(command).parameters:
        hint = hints[parameter]
        metadata = get_args(hint)[1:] if hasattr(hint, "__metadata__") else ()
        kind = get_args(hint)[0] if metadata else hint
        if is_typeddict(kind):
            for field, of_field in get_type_hints(kind).items():
                yield from _forms(field, of_field)
        elif get_origin(hint) is not Positional and not _is_positional(metadata):
            renamed = next((m.name for m in metadata if getattr(m, "name", None)), parameter)
            yield from _forms(renamed, kind)


def _is_positional(metadata: tuple[Any, ...]) -> bool:
    return any(m in get_args(Positional[int])[1:] for m in metadata)


def _forms(name: str, kind: Any) -> Iterator[str]:
    dashed = name.replace("_", "-")
    yield f"--{dashed}"
    if kind is bool:
        yield f"--no-{dashed}"


def _first_line(command: Command) -> str:
    return cleandoc(command.__doc__ or "").partition("\n")[0]
