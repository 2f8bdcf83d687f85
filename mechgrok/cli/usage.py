"""What the command line understands: the overview, and options that are misspelt."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc, signature
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from tyro.conf import FlagCreatePairsOff, Positional, arg

from mechgrok.errors import shown
from mechgrok.spelling import closest, unknown

Command = Callable[..., Any]
T = TypeVar("T")

Maybe = Annotated[T | None, arg(help_behavior_hint="(optional)")]
"""An option that may be left out; what is meant then is in its help."""
Several = Annotated[tuple[T, ...], arg(help_behavior_hint="(optional)")]
"""An option with any number of values."""
Flag = FlagCreatePairsOff[bool]
"""An option without a value."""

_NUMBERS = {"INT": (int, "a whole number"), "FLOAT": (float, "a number")}

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
    known = {"--help", *(form for option in options(command) for form in option.forms)}
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
    _check_values(command, arguments)


def _check_values(command: Command, arguments: Sequence[str]) -> None:
    """Refuse the first value of an option where it is no number, or none of the choices."""
    values = {form: option.values for option in options(command) for form in option.forms}
    pieces = [part for a in arguments for part in (a.split("=", 1) if a.startswith("--") else [a])]
    for form, value in pairwise(pieces):
        if not form.startswith("--") or value.startswith("--") or not values.get(form):
            continue
        expected = values[form].removesuffix(" ...")
        choices = expected.split(", ")
        if len(choices) > 1 and value not in choices:
            raise UsageError(unknown(f"{form}", value, choices))
        parse, what = _NUMBERS.get(expected.split()[0], (str, ""))
        try:
            parse(value)
        except ValueError:
            raise UsageError(f"{form} takes {what}; got {shown(value)}") from None


@dataclass(frozen=True)
class Option:
    """An option of a command, or an argument without a name of its own.

    Attributes:
        forms: as it is typed; for a switch of a configuration with both of its forms.
        values: what follows it, such as INT, or the choices.
        meaning: from the documentation of the command or of the configuration.
    """

    forms: tuple[str, ...]
    values: str
    meaning: str


def options(command: Command) -> Iterator[Option]:
    """What a command takes, from its signature and its documentation."""
    hints = get_type_hints(command, include_extras=True)
    meanings = described(command.__doc__ or "", "Args:")
    for name in signature(command).parameters:
        metadata = getattr(hints[name], "__metadata__", ())
        kind = get_args(hints[name])[0] if metadata else hints[name]
        if is_typeddict(kind):
            for field, hint in get_type_hints(kind, include_extras=True).items():
                of_field, about = get_args(hint)
                yield Option(_forms(field, of_field is bool), _values(of_field), about.help or "")
        elif get_args(Positional[int])[1] in metadata:
            metavar = next(m.metavar for m in metadata if getattr(m, "metavar", None))
            yield Option((metavar,), "", meanings[name])
        else:
            renamed = next((m.name for m in metadata if getattr(m, "name", None)), name)
            yield Option(_forms(renamed, False), _values(kind), meanings[name])


def described(doc: str, section: str) -> dict[str, str]:
    """What a section of a docstring says about the names in it.

    >>> described("Text.\\n\\n    Args:\\n        a, b: two\\n            lines.\\n", "Args:")
    {'a': 'two lines.', 'b': 'two lines.'}
    """
    text = re.sub(r"\n {8,}", " ", cleandoc(doc).partition(section)[2].partition("\n\n")[0])
    entries = re.findall(r"^    ([a-z_, ]+): (.+)$", text, re.MULTILINE)
    return {name.strip(): meaning for names, meaning in entries for name in names.split(",")}


def _forms(name: str, both: bool) -> tuple[str, ...]:
    dashed = name.replace("_", "-")
    return (f"--{dashed}", f"--no-{dashed}") if both else (f"--{dashed}",)


def _values(kind: Any) -> str:
    """What is typed for a value of this type."""
    if get_origin(kind) in (Union, UnionType):
        return _values(next(part for part in get_args(kind) if part is not NoneType))
    if get_origin(kind) is Annotated:
        return _values(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        return f"{_values(parts[0])} ..." if parts[-1] is ... else " ".join(map(_values, parts))
    return {bool: "", int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}[kind]


def _first_line(command: Command) -> str:
    return cleandoc(command.__doc__ or "").partition("\n")[0]
