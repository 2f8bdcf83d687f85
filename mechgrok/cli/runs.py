"""Commands that train: `demo` and `train`."""

from pathlib import Path
from typing import Any

from rich.console import Console
from tyro.conf import Positional

from mechgrok.analysis.summary import summarize
from mechgrok.cli.printing import check_report, print_summary, write_and_tell
from mechgrok.cli.tasks import named_task
from mechgrok.report import write_report
from mechgrok.runs import Run
from mechgrok.tasks import modular_task
from mechgrok.training.trainer import train as train_network


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
    _tell(run, out / "report.html")


def train(
    operation: Positional[str],
    p: Positional[int | None] = None,
    *,
    out: Path,
    recipe: str = "fast",
    seed: int = 0,
    steps: int | None = None,
    fraction: float | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    checkpoint_every: int | None = None,
    report: Path | None = None,
) -> None:
    """Train a network on one operation and analyse it.

    The same command with the same folder goes on with an interrupted run.

    Args:
        operation: add, sub, mul, div, an expression such as "x^2+x*y+y^2", or a group such as S5, D7 or Z2xS3.
        p: the modulus of an operation; by default 113.
        out: folder for the run.
        recipe: configuration to start from: fast, nanda, pizza, clock, alpha, alpha-prime, beta, gamma, delta,
            furuta, power or chughtai.
        seed: seed of the initial weights and of the split.
        steps: the most steps to take; by default the recipe's.
        fraction: share of the inputs to train on.
        lr: learning rate.
        weight_decay: decoupled weight decay.
        checkpoint_every: steps between checkpoints.
        report: also write an HTML page with a slider through the checkpoints to this file.
    """
    check_report(report)
    options = {
        "fraction": fraction,
        "lr": lr,
        "weight_decay": weight_decay,
        "checkpoint_every": checkpoint_every,
    }
    changes: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    task = named_task(operation, p, default=113)
    _ = task.frame  # a task that has no group to be analysed in is an error now, not after the training
    _tell(train_network(task, recipe, seed=seed, steps=steps, out=out, **changes), report)


def _tell(run: Run, report: Path | None) -> None:
    """How the training ended and what came out of it, with a page if one is asked for."""
    last, most = run.steps[-1], run.config.train.steps
    how = "the last of its recipe" if last >= most else "grokked and settled"
    Console(stderr=True).print(f"Trained to step {last}: {how}.", highlight=False)
    summary = summarize(run.grid(), run.split)
    print_summary(summary)
    if report is not None:
        write_and_tell(report, lambda: write_report(report, run, summary))
