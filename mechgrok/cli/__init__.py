"""The command line: train, analyse, report, compare, reproduce, and the demonstration."""

import os
import sys

import tyro
from rich.console import Console
from rich.markup import escape

from mechgrok import __version__
from mechgrok.cli.networks import analyze, compare, report
from mechgrok.cli.reproductions import reproduce, with_value_for_json
from mechgrok.cli.runs import demo, train
from mechgrok.errors import MechgrokError

FAILED, INTERRUPTED = 1, 130
COMMANDS = {
    "demo": demo,
    "train": train,
    "analyze": analyze,
    "report": report,
    "compare": compare,
    "reproduce": reproduce,
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command; exit code 0, 1 for an explained error, 2 for wrong usage, 130 for Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments == ["--version"]:
        print(f"mechgrok {__version__}")
        return 0
    try:
        code = tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="mechgrok",
            description="Mechanistic interpretability of grokking. `mechgrok --version` tells the version.",
            args=with_value_for_json(arguments),
        )
    except MechgrokError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        return FAILED
    except BrokenPipeError:  # whoever reads our output has enough of it, as `| head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt as interrupt:
        Console(stderr=True).print(escape(str(interrupt)) or "interrupted", highlight=False)
        return INTERRUPTED
    return code or 0
