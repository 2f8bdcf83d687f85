"""The commands by name."""

from collections.abc import Callable
from typing import Any

from mechgrok.cli.explanations import explain
from mechgrok.cli.exports import figures, measures
from mechgrok.cli.listing import list_names
from mechgrok.cli.networks import analyze, compare, report
from mechgrok.cli.reproductions import reproduce
from mechgrok.cli.runs import demo, train
from mechgrok.cli.sweeps import sweep

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo,
    "train": train,
    "sweep": sweep,
    "analyze": analyze,
    "explain": explain,
    "report": report,
    "compare": compare,
    "measures": measures,
    "figures": figures,
    "list": list_names,
    "reproduce": reproduce,
}
