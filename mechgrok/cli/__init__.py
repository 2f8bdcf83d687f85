"""The command line: train, analyse, and the demonstration that does both."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional, arg

from mechgrok.activations import cache_grid
from mechgrok.analysis.summary import Summary, summarize
from mechgrok.errors import ConfigError, MechgrokError
from mechgrok.experiments.reproduction import (
    Outcome,
    find_reproduction,
    recorded_outcome,
    reproductions,
    run_reproduction,
)
from mechgrok.loading import load_model
from mechgrok.plots.algorithms import compare_algorithms
from mechgrok.report import write_report
from mechgrok.runs import CONFIG, Run, load_run
from mechgrok.storage import write_json, write_text
from mechgrok.tasks import modular_task
from mechgrok.training.trainer import train as train_network

FAILED, INTERRUPTED = 1, 130

Rule = Literal["shuffle", "randperm", "unordered"]


def demo(out: Path = Path("demo"), seed: int = 0, p: int = 113) -> None:
    """Train a network on a+b mod p until it groks, reverse-engineer it, and write a report.

    Prints the verdict in plain words and writes OUT/report.html, which opens in any browser. Run again,
    it goes on where it was stopped.

    Args:
        out: folder for the run and the report.
        seed: seed of the initial weights and of the split.
        p: the modulus.
    """
    run = train_network(modular_task("add", p), "fast", seed=seed, out=out / "run")
    _print_end(run)
    _report(run, out / "report.html")


def train(
    operation: Positional[str],
    p: Positional[int] = 113,
    *,
    out: Path,
    recipe: str = "fast",
    seed: int = 0,
    steps: int | None = None,
    fraction: float | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    checkpoint_every: int | None = None,
) -> None:
    """Train a network on one operation and analyse it.

    The same command with the same folder goes on with an interrupted run.

    Args:
        operation: add, sub, mul, div, or an expression such as "x^2+x*y+y^2".
        p: the modulus.
        out: folder for the run.
        recipe: configuration to start from: fast, nanda, pizza, clock, furuta, power or chughtai.
        seed: seed of the initial weights and of the split.
        steps: the most steps to take; by default the recipe's.
        fraction: share of the inputs to train on.
        lr: learning rate.
        weight_decay: decoupled weight decay.
        checkpoint_every: steps between checkpoints.
    """
    options = {
        "fraction": fraction,
        "lr": lr,
        "weight_decay": weight_decay,
        "checkpoint_every": checkpoint_every,
    }
    changes: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    task = modular_task(operation, p)
    _ = task.frame  # a task that has no group to be analysed in is an error now, not after the training
    run = train_network(task, recipe, seed=seed, steps=steps, out=out, **changes)
    _print_end(run)
    _print(_summary_of(run))


def analyze(
    path: Positional[Path],
    *,
    step: int | None = None,
    task: str | None = None,
    p: int | None = None,
    fraction: float | None = None,
    rule: Rule = "shuffle",
    seed: int = 0,
    layout: str | None = None,
    report: Path | None = None,
    as_json: Annotated[bool, arg(name="json")] = False,
) -> None:
    """Reverse-engineer a network: a run folder, or a file of anybody's in a layout that is known.

    Args:
        path: folder of a run, or a .safetensors, .pt or .pth file.
        step: checkpoint of a run; by default the newest.
        task: the operation, where it is not stored and cannot be inferred; needs --p.
        p: the modulus, with --task.
        fraction: share of the inputs that a file was trained on, for its train and test losses.
        rule: how the train inputs were drawn, with --fraction.
        seed: seed of the split, with --fraction.
        layout: how the tensors are laid out; by default detected.
        report: also write an HTML page with the figures to this file.
        as_json: print the numbers as JSON and nothing else.
    """
    _check_report(report)
    if (path / CONFIG).is_file():
        if task or p or fraction or layout:
            raise ConfigError(
                "a run knows its own task, split and layout; --task, --p, --fraction and --layout are for files"
            )
        run = load_run(path)
        grid, split, history = run.grid(step), run.split, run.history
    else:
        if bool(task) != bool(p):
            raise ConfigError("--task and --p belong together, as in --task add --p 113")
        named = modular_task(task, p) if task and p else None
        grid = cache_grid(load_model(path, step, named, layout=layout))
        split = grid.task.split(fraction, seed, rule) if fraction else None
        history = None
    summary = summarize(grid, split)
    if as_json:
        print(json.dumps({**summary.values, "layout": summary.layout, "verdict": summary.verdict}, indent=2))
    else:
        _print(summary)
    if report is not None:
        write_report(report, grid, summary, history=history)
        Console(stderr=as_json).print(f"\nReport: {report.resolve()}", highlight=False, soft_wrap=True)


def compare(
    first: Positional[Path], second: Positional[Path], *, out: Path = Path("comparison.html")
) -> None:
    """Clock or pizza: the measures of two networks side by side, with the verdict on each.

    Prints a table and writes one figure as an HTML page that opens offline.

    Args:
        first: folder of a run, or a file with a network.
        second: another one.
        out: file for the figure.
    """
    names = (first.stem, second.stem) if first.stem != second.stem else (str(first), str(second))
    comparison = compare_algorithms(dict(zip(names, map(load_model, (first, second)), strict=True)))
    Console().print(comparison)
    write_text(out, comparison.figure().to_html(include_plotlyjs=True))
    Console().print(f"\nFigure: {out.resolve()}", highlight=False, soft_wrap=True)


def reproduce(
    name: Positional[str | None] = None,
    *,
    full: bool = False,
    show: Annotated[bool, arg(name="list")] = False,
    as_json: Annotated[str | None, arg(name="json", metavar="FILE")] = None,
) -> int:
    """Run a published result again, and compare the numbers; exit code 0 only if every row holds.

    Args:
        name: which; --list shows all.
        full: the paper's size instead of one that fits two cores.
        show: show all reproductions with their source, cost and last recorded outcome.
        as_json: write the outcome to this file; with --list, print the list as JSON.
    """
    if show:
        return _list_reproductions(as_json is not None)
    if name is None:
        raise ConfigError(f"which reproduction? One of {', '.join(reproductions())}; --list tells more")
    found = find_reproduction(name)
    Console(stderr=True).print(
        f"{found.claim}\n{found.source}; {found.cost} at the quick size.", highlight=False
    )
    outcome = run_reproduction(found, full=full)
    Console().print(_outcome_table(outcome))
    if as_json is not None:
        write_json(Path(as_json), outcome.to_json())
    return 0 if outcome.holds else FAILED


def main(arguments: list[str] | None = None) -> int:
    """Run a command; exit code 0, 1 for an explained error, 2 for wrong usage, 130 for Ctrl-C."""
    try:
        code = tyro.extras.subcommand_cli_from_dict(
            {"demo": demo, "train": train, "analyze": analyze, "compare": compare, "reproduce": reproduce},
            prog="mechgrok",
            description="Mechanistic interpretability of grokking.",
            args=_with_value_for_json(sys.argv[1:] if arguments is None else arguments),
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


def _with_value_for_json(arguments: list[str]) -> list[str]:
    """`reproduce --list --json` needs no file; the parser wants a value all the same."""
    if arguments[:1] == ["reproduce"] and "--list" in arguments:
        arguments = [piece for a in arguments for piece in ([a, "-"] if a == "--json" else [a])]
    return arguments


def _list_reproductions(as_json: bool) -> int:
    records = {name: recorded_outcome(name) for name in reproductions()}
    if as_json:
        listed = [
            {
                "name": r.name,
                "source": r.source,
                "claim": r.claim,
                "cost": r.cost,
                "holds": (records[r.name] or {}).get("holds"),
            }
            for r in reproductions().values()
        ]
        print(json.dumps(listed, indent=2))
        return 0
    table = Table("name", "source", "cost", "last recorded", title="Reproductions", title_justify="left")
    for r in reproductions().values():
        table.add_row(r.name, r.source, r.cost, _recorded(records[r.name]))
    Console().print(table)
    return 0


def _recorded(record: dict[str, Any] | None) -> str:
    if record is None:
        return "never"
    return "holds" if record["holds"] else "does not hold"


def _outcome_table(outcome: Outcome) -> Table:
    title = f"{outcome.name}: {'holds' if outcome.holds else 'does not hold'} ({outcome.seconds:.0f} s)"
    table = Table("quantity", "published", "measured", "bounds", "", title=title, title_justify="left")
    for row in outcome.rows:
        bounds = f"{_or_blank(row.low)} .. {_or_blank(row.high)}"
        measured = "never" if row.measured is None else f"{row.measured:.4g}"
        table.add_row(
            row.quantity, _or_blank(row.published), measured, bounds, "holds" if row.holds else "FAILS"
        )
    return table


def _or_blank(value: int | float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _check_report(file: Path | None) -> None:
    """Before the work, not after it."""
    if file is not None and (file.is_dir() or not file.suffix):
        raise ConfigError(f"--report needs a file to write, such as {file / 'report.html'}; got {file}")


def _report(run: Run, file: Path) -> None:
    grid = run.grid()
    summary = summarize(grid, run.split)
    _print(summary)
    write_report(file, grid, summary, history=run.history)
    Console().print(f"\nReport: {file.resolve()}", highlight=False, soft_wrap=True, markup=False)


def _print_end(run: Run) -> None:
    last, most = run.steps[-1], run.config.train.steps
    how = "the last of its recipe" if last >= most else "grokked and settled"
    Console(stderr=True).print(f"Trained to step {last}: {how}.", highlight=False)


def _summary_of(run: Run) -> Summary:
    return summarize(run.grid(), run.split)


def _print(summary: Summary) -> None:
    console = Console()
    console.print(_table(summary))
    console.print(f"\n{summary.verdict}", highlight=False)


def _table(summary: Summary) -> Table:
    table = Table(title=f"{summary.task}: {summary.layout}", title_justify="left", show_header=False)
    for name, value in summary.values.items():
        table.add_row(name.replace("_", " "), _cell(value))
    return table


def _cell(value: Any) -> str:
    match value:
        case float():
            return f"{value:.6g}"
        case dict():
            return "  ".join(f"{key}: {_cell(item)}" for key, item in value.items())
        case list():
            return ", ".join(map(str, value))
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
