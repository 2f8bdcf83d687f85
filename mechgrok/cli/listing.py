"""The command `list`: the names that the other commands accept."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, cast

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional, arg

from mechgrok.cli.usage import Flag
from mechgrok.config import NetworkConfig
from mechgrok.experiments.reproduction import reproductions
from mechgrok.shipped import shipped_runs
from mechgrok.training.recipes import RECIPES

NAMES = Path(__file__).with_name("names.json")
"""Names whose registries exist only once torch is loaded, recorded by `mechgrok.cli.names`."""

Kind = Literal[
    "runs",
    "recipes",
    "operations",
    "groups",
    "measures",
    "layouts",
    "objectives",
    "optimizers",
    "gradients",
    "decays",
    "inits",
    "splits",
    "reproductions",
]
Rows = Iterator[tuple[str, str]]


def list_names(
    what: Annotated[Positional[Kind | None], arg(metavar="[KIND]", help_behavior_hint="(optional)")] = None,
    *,
    as_json: Annotated[Flag, arg(name="json")] = False,
) -> None:
    """List available names: shipped runs, recipes, operations, groups, measures, layouts, training settings.

    Args:
        what: one kind of names: runs, recipes, operations, groups, measures, layouts or reproductions; or of training
            settings: objectives, optimizers, gradients, decays, inits or splits; by default all.
        as_json: print names and descriptions as JSON.
    """
    listed: dict[Kind, dict[str, str]] = {
        kind: dict(rows()) for kind, rows in LISTS.items() if what in (None, kind)
    }
    if as_json:
        print(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    console = Console()
    for kind, rows in listed.items():
        table = Table(
            title=TITLES[kind], title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 2)
        )
        for row in rows.items():
            table.add_row(*map(escape, row))
        console.print(table)
        console.print()


def _runs() -> Rows:
    yield from ((name, run["description"]) for name, run in shipped_runs().items())


def _recipes() -> Rows:
    for name, config in RECIPES.items():
        model = cast(NetworkConfig, config.model)
        init = f", {model.init} weights" if hasattr(model, "init") else ""
        kind = f"{model.kind}{init}"
        yield (
            name,
            f"{kind}; {config.optimizer}, learning rate {config.lr:g}, weight decay {config.weight_decay:g}, "
            f"{config.fraction:z.0%} of the inputs, up to {config.steps:,} steps",
        )


def _reproductions() -> Rows:
    yield from ((name, found.claim) for name, found in reproductions().items())


def _written_down(kind: Kind) -> Callable[[], Rows]:
    return lambda: iter(json.loads(NAMES.read_text(encoding="utf-8"))[kind].items())


LISTS: dict[Kind, Callable[[], Rows]] = {
    "runs": _runs,
    "recipes": _recipes,
    "operations": _written_down("operations"),
    "groups": _written_down("groups"),
    "measures": _written_down("measures"),
    "layouts": _written_down("layouts"),
    "objectives": _written_down("objectives"),
    "optimizers": _written_down("optimizers"),
    "gradients": _written_down("gradients"),
    "decays": _written_down("decays"),
    "inits": _written_down("inits"),
    "splits": _written_down("splits"),
    "reproductions": _reproductions,
}
TITLES: dict[Kind, str] = {
    "runs": "Runs that come with mechgrok: mechgrok analyze NAME",
    "recipes": "Recipes: mechgrok train ... --recipe NAME",
    "operations": "Operations: mechgrok train NAME [P]",
    "groups": "Groups: mechgrok train NAME",
    "measures": "Progress measures: mechgrok measures RUN --out FILE --only NAME",
    "layouts": "Layouts of files: mechgrok analyze FILE --layout NAME",
    "objectives": "Objectives: mechgrok train ... --objective NAME",
    "optimizers": "Optimizers: mechgrok train ... --optimizer NAME",
    "gradients": "Gradient filters: mechgrok train ... --gradient NAME",
    "decays": "Weight decays: mechgrok train ... --decay-towards NAME",
    "inits": "Initial weights: mechgrok train ... --init NAME",
    "splits": "Split rules: mechgrok train ... --split-rule NAME",
    "reproductions": "Published results: mechgrok reproduce NAME",
}
