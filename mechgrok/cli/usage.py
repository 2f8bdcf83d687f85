"""Usage of the command line: the overview, and misspelt options."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, cleandoc, signature
from itertools import takewhile
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg

from mechgrok.errors import shown
from mechgrok.spelling import closest, unknown
from mechgrok.wording import in_words

Command = Callable[..., Any]
T = TypeVar("T")

Maybe = Annotated[T | None, arg(help_behavior_hint="(optional)")]
"""An option that may be omitted; its help states the default."""
Several = Annotated[tuple[T, ...], arg(help_behavior_hint="(optional)")]
"""An option with any number of values."""
Repeated = Annotated[tuple[T, ...], UseAppendAction, arg(help_behavior_hint="(optional, may be repeated)")]
"""An option with one value, which may be given several times."""
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
    """An invalid command line."""


def overview(commands: Mapping[str, Command]) -> str:
    """The help of the program: every command with the first sentence of its documentation."""
    lines = [f"  {name:<12}  {_first_line(command)}" for name, command in commands.items()]
    return "\n".join([HEAD, "commands:", *lines, "", TAIL]).rstrip()


def check_usage(name: str, command: Command, arguments: Sequence[str]) -> None:
    """Refuse invalid arguments with a clear message, before the parser sees them.

    Raises:
        UsageError: an unknown option, with the closest ones; too many or too few values, a value of the wrong kind or
            not among the choices; a required argument that is missing.
    """
    if {"-h", "--help"} & {*arguments}:
        return
    every = tuple(options(command))
    by_form = {form: option for option in every for form in option.forms if form.startswith("--")}
    help_ = f"; `mechgrok {name} --help` explains them all"
    given, unnamed, pieces = set(), [], list(arguments)
    while pieces:
        piece = pieces.pop(0)
        if not _is_option(piece):
            unnamed.append(piece)
            continue
        form, equals, value = piece.partition("=")
        if form not in by_form:
            near = closest(form, by_form)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"mechgrok {name} has no option {form}{meant or help_}")
        option = by_form[form]
        given.add(option)
        if equals:
            values = [value]
        else:
            values = list(takewhile(lambda piece: not _is_option(piece), pieces))[: option.most]
            del pieces[: len(values)]
        _check_values(form, option, values)
    arguments_ = [option for option in every if option.forms[0] not in by_form]
    for option, value in zip(arguments_, unnamed, strict=False):
        _check_values(option.forms[0], option, [value])
    if extra := unnamed[len(arguments_) :]:
        most = in_words(len(arguments_), "argument") if arguments_ else "no argument"
        raise UsageError(f"mechgrok {name} takes {most}; {shown(extra[0])} is one too many{help_}")
    missing = [option for option in arguments_[len(unnamed) :] if option.needed]
    missing += [option for option in by_form.values() if option.needed and option not in given]
    if missing:
        wanted = [f"{option.forms[0]} ({option.meaning.rstrip('.')})" for option in missing]
        raise UsageError(f"mechgrok {name} needs {' and '.join(wanted)}{help_}")


def _is_option(piece: str) -> bool:
    """Whether an argument begins like an option; a negative number is a value."""
    return piece.startswith("-") and piece != "-" and not re.match(r"-\.?\d", piece)


def _check_values(form: str, option: "Option", values: Sequence[str]) -> None:
    """Refuse values if there are too few or too many, or if they are not numbers or not among the choices."""
    expected = option.values.removesuffix(" ...")
    choices = expected.split(", ")
    words = expected.split() if len(choices) == 1 else [expected]
    least = 1 if option.most is None else len(words)
    if len(values) < least or (option.most == 0 and values):
        wanted = f"{least} values" if least > 1 else "a value" if least else "no value"
        got = f"; got {shown(' '.join(values))}" if values else f": {option.values}"
        raise UsageError(f"{form} takes {wanted}{got}")
    for value in values:
        if len(choices) > 1 and value not in choices:
            raise UsageError(unknown(form, value, choices))
        parse, what = _NUMBERS.get(words[0], (str, ""))
        try:
            parse(value)
        except ValueError:
            raise UsageError(f"{form} takes {what}; got {shown(value)}") from None


@dataclass(frozen=True)
class Option:
    """An option of a command, or a positional argument.

    Attributes:
        forms: the typed forms; both forms for a switch of a configuration.
        values: the values that follow it, such as INT, or the choices.
        meaning: its description, from the documentation of the command or the configuration.
        needed: whether it is required.
    """

    forms: tuple[str, ...]
    values: str
    meaning: str
    needed: bool = False

    @property
    def most(self) -> int | None:
        """The maximum number of values; None if unlimited."""
        if self.values.endswith(" ..."):
            return None
        return 1 if ", " in self.values else len(self.values.split())


def options(command: Command) -> Iterator[Option]:
    """The options of a command, from its signature and documentation."""
    hints = get_type_hints(command, include_extras=True)
    meanings = described(command.__doc__ or "", "Args:")
    for name, parameter in signature(command).parameters.items():
        metadata = getattr(hints[name], "__metadata__", ())
        kind = get_args(hints[name])[0] if metadata else hints[name]
        if get_args(UseAppendAction[int])[1] in metadata:
            kind = get_args(kind)[0]
        needed = parameter.default is Parameter.empty
        if is_typeddict(kind):
            for field, hint in get_type_hints(kind, include_extras=True).items():
                of_field, about = get_args(hint)
                yield Option(_forms(field, of_field is bool), _values(of_field), about.help or "")
        elif get_args(Positional[int])[1] in metadata:
            metavar = next(m.metavar for m in metadata if getattr(m, "metavar", None))
            yield Option((metavar,), _values(kind), meanings[name], needed)
        else:
            renamed = next((m.name for m in metadata if getattr(m, "name", None)), name)
            yield Option(_forms(renamed, False), _values(kind), meanings[name], needed)


def described(doc: str, section: str) -> dict[str, str]:
    """The descriptions of names in a section of a docstring.

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
    """The placeholder for a value of this type."""
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
