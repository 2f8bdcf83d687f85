"""Commands that train: `demo` and `train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional, arg

from mechgrok.cli.options import TrainOptions, training_from
from mechgrok.cli.printing import check_report, nothing_held_back, print_summary, say, write_and_tell
from mechgrok.cli.tasks import named_task
from mechgrok.cli.usage import Flag, Maybe
from mechgrok.config import TrainConfig
from mechgrok.errors import ConfigError
from mechgrok.registries import OBJECTIVES

if TYPE_CHECKING:
    from mechgrok.runs import Run
    from mechgrok.tasks import Task

FAILED = 1


def demo(*, out: Path = Path("demo"), seed: int = 0, p: int = 113, quiet: Flag = False) -> None:
    """Train a network on a+b mod p until it groks, reverse-engineer it, and write a report.

    Prints the verdict in plain words and writes OUT/report.html, which opens in any browser. If run again, it
    resumes where it was stopped.

    Args:
        out: folder for the run and the report.
        seed: seed of the initial weights and of the split.
        p: the modulus.
        quiet: show no progress.
    """
    task = named_task("add", p)
    run = train_network(task, training_from("fast", None, {}), seed=seed, out=out / "run", progress=not quiet)
    _tell(run, None, out / "report.html")


def train(
    operation: Annotated[Positional[str], arg(metavar="OPERATION")],
    p: Annotated[Positional[int | None], arg(metavar="[P]", help_behavior_hint="(optional)")] = None,
    *,
    out: Path,
    recipe: Maybe[str] = None,
    config: Maybe[Path] = None,
    seed: Maybe[int] = None,
    seeds: Maybe[str] = None,
    device: Maybe[str] = None,
    report: Maybe[Path] = None,
    quiet: Flag = False,
    options: Annotated[TrainOptions, arg(name="")],  # pyright: ignore[reportInvalidTypeForm]
) -> int | None:
    """Train a network on one operation and analyse it.

    The same command with the same folder resumes an interrupted run. Every field of a configuration is an option; in
    a file for --config, the network's fields are below `model`.

    Args:
        operation: add, sub, mul, div, an expression such as "x^2+x*y+y^2", or a group such as S5, D7 or Z2xS3.
        p: the modulus of an operation; by default 113.
        out: folder for the run; for several seeds, it gets a subfolder for each.
        recipe: configuration to start from, by default fast; `mechgrok list recipes` shows all.
        config: JSON, YAML or TOML file with fields that override the recipe's; options override both.
        seed: seed of the initial weights and of the split; by default 0.
        seeds: several seeds, such as 0,1,2, each trained in a separate process.
        device: device to train on, such as cuda; by default the CPU.
        report: also write an HTML page with a slider through the checkpoints to this file.
        quiet: show no progress.
    """
    check_report(report)
    several = None if seeds is None else _as_seeds(seeds)
    if several and (seed is not None or report is not None):
        raise ConfigError(
            f"--seeds trains several networks; leave out {'--seed' if seed is not None else '--report'}"
        )
    settings = training_from(recipe, config, options)
    task = named_task(operation, p, default=113)
    _ = task.frame  # a task without a group for its analysis fails now, not after training
    _estimate(task, settings, device)
    if several:
        return _train_several(task, settings, several, out, device, progress=not quiet)
    run = train_network(task, settings, seed=seed or 0, out=out, device=device, progress=not quiet)
    _tell(run, options.get("steps"), report)
    return None


def train_network(task: "Task", config: TrainConfig, **options: Any) -> "Run":
    """`mechgrok.train`, imported only when there is something to train."""
    from mechgrok.training.trainer import train

    return train(task, config, **options)


def _as_seeds(text: str) -> list[int]:
    try:
        return [int(piece) for piece in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"--seeds takes whole numbers with commas between them, such as 0,1,2; got {text!r}"
        ) from None


def _estimate(task: "Task", config: TrainConfig, device: str | None) -> None:
    from mechgrok.memory import in_gib
    from mechgrok.training.memory_needed import LARGE, check_training_memory

    needed = check_training_memory(task, config, device)
    if needed > LARGE:
        say(f"Training on {task.name} takes about {in_gib(needed)} of memory.")


def _train_several(
    task: "Task", config: TrainConfig, seeds: list[int], out: Path, device: str | None, *, progress: bool
) -> int | None:
    """Train each seed and print the outcomes; exit code 1 if one failed."""
    from mechgrok.training.many import train_many

    members = train_many(task, config, seeds=seeds, out=out, device=device, progress=progress)
    table = Table(
        "run", "steps", "train accuracy", "test accuracy", _loss_of(config.objective), title_justify="left"
    )
    for member in members:
        if member.run is None:
            table.add_row(escape(member.name), escape(f"failed: {member.error}"))
            continue
        row = member.run.history[-1]
        table.add_row(
            escape(member.name), str(row["step"]), *(_share(row[f"accuracy_{on}"]) for on in ("train", "test")),
            "-" if row["loss_test"] is None else f"{row['loss_test']:z.3g}",
        )  # fmt: skip
    Console().print(table)
    return FAILED if any(member.run is None for member in members) else None


def _loss_of(objective: str) -> str:
    unit = OBJECTIVES[objective].unit
    return f"test loss ({unit})" if unit else "test loss"


def _share(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{accuracy:z.1%}"


def _tell(run: "Run", asked: int | None, report: Path | None) -> None:
    """Print how the run ended and its results, with a page if requested."""
    from mechgrok.measures.summary import summarize
    from mechgrok.memory import check_memory
    from mechgrok.training.memory_needed import analysis_memory

    say(_how_it_ended(run, asked))
    check_memory(
        f"the training is finished; its analysis, {run.task.name},",
        analysis_memory(run.task, run.config.train.model),
    )
    summary = summarize(run.grid(), run.split)
    print_summary(summary)
    untested = nothing_held_back(run.split)
    if untested:
        Console().print(f"\n{untested}", highlight=False)
    if report is not None:
        from mechgrok.report import write_report

        write_and_tell(report, lambda: write_report(report, run, summary))


def _how_it_ended(run: "Run", asked: int | None) -> str:
    """The last step, why it was the last, and whether the network had grokked by then."""
    from mechgrok.analysis.milestones import GROKKED

    last, accuracy = run.steps[-1], run.history[-1]["accuracy_test"]
    if last < run.config.train.steps:
        return f"Trained to step {last}: grokked and settled."
    why = f"the {last} steps that were asked for" if asked is not None else "the last of its recipe"
    if accuracy is None:
        grokked = "Nothing was held back to see whether it has grokked."
    elif accuracy >= GROKKED:
        grokked = f"It has grokked: {accuracy:z.1%} of the test inputs are right."
    else:
        grokked = (
            f"It has not grokked: {accuracy:z.1%} of the test inputs are right{_half_way(run)}. "
            f"--steps {2 * last} goes on from here{_more_data(run)}."
        )
    return f"Trained to step {last}: {why}. {grokked}"


def _half_way(run: "Run") -> str:
    """Whether the accuracy on the test inputs is still changing."""
    rows = [row for row in run.history if (row["step"] or 0) <= run.steps[-1] / 2]
    before = rows[-1]["accuracy_test"] if len(rows) > 1 else None
    return "" if before is None else f", and {before:z.1%} were at step {rows[-1]['step']}"


def _more_data(run: "Run") -> str:
    """A further remedy: the more inputs a network is trained on, the earlier it generalises."""
    train = run.split.train
    share = train.double().mean().item()
    if not run.task.is_finite or share > 0.75:
        return ""
    return (
        f"; trained on more than {int(train.sum())} of the {len(train)} inputs, as by --fraction {share + 0.2:z.1f} "
        "in another folder, networks generalise earlier"
    )
