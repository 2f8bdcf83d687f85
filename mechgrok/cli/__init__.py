"""The command line: train, sweep, analyse, report, compare, list, export, reproduce, and the demonstration.

Commands are declared in modules that import almost nothing; a command imports what it needs in its body, after its
arguments have been parsed. This makes help and usage errors appear at once.
"""

import os
import sys
import warnings

import tyro
from rich.console import Console
from rich.markup import escape

from mechgrok import __version__
from mechgrok.cli.light import open_by_name
from mechgrok.cli.own_code import import_own_code
from mechgrok.cli.usage import UsageError, check_usage, overview
from mechgrok.cli.ways_out import in_shell
from mechgrok.errors import MechgrokError
from mechgrok.spelling import unknown

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Run a command; exit code 0, 1 for an explained error, 130 for Ctrl-C.

    Raises:
        SystemExit: with 2 for wrong usage, with 0 after help.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say_warning
            return _run(arguments)
    except UsageError as error:
        _say_error(str(error))
        raise SystemExit(WRONG_USAGE) from None
    except MechgrokError as error:
        _say_error(in_shell(str(error)))
        return FAILED
    except BrokenPipeError:  # the reader of our output has closed it, like `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt as interrupt:
        how = str(interrupt).replace("the same call", "the same command") or "interrupted"
        Console(stderr=True).print(escape(how), highlight=False, soft_wrap=True)
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    name, *rest = arguments or ["--help"]
    rest = import_own_code(rest)
    # Not earlier: the choices of an option are the names registered when commands are declared.
    from mechgrok.cli.commands import COMMANDS
    from mechgrok.cli.reproductions import with_value_for_json

    if name == "--version":
        print(f"mechgrok {__version__}")
        return 0
    if name in ("-h", "--help"):
        print(overview(COMMANDS))
        raise SystemExit(0)
    if name not in COMMANDS:
        raise UsageError(unknown("option" if name.startswith("-") else "command", name, COMMANDS))
    command = COMMANDS[name]
    rest = with_value_for_json(name, [_without_section(piece) for piece in rest])
    check_usage(name, command, rest)
    open_by_name()
    prog = f"mechgrok {name}"
    code = tyro.cli(
        command,
        prog=prog,
        args=rest,
        config=(tyro.conf.DisallowNone,),
    )
    return code or 0


def _without_section(piece: str) -> str:
    """Replace an option spelled as in a configuration, `--model.d-model`, by its own name."""
    return piece.replace("model.", "", 1) if piece.startswith("--model.") else piece


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    text = in_shell(str(message))
    Console(stderr=True).print(f"[bold yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)


def _say_error(text: str) -> None:
    Console(stderr=True).print(f"[bold red]error:[/] {escape(text)}", highlight=False, soft_wrap=True)
