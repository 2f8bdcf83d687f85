"""Commands that examine existing networks: `analyze`, `report` and `compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from mechgrok.cli.foreign import AboutFile, run_at
from mechgrok.cli.options import FileOptions
from mechgrok.cli.printing import (
    check_report,
    nothing_held_back,
    print_phase_changes,
    print_summary,
    say,
    which_step,
    write_and_tell,
)
from mechgrok.cli.usage import Flag, Maybe

if TYPE_CHECKING:
    from mechgrok.activations import ActivationGrid
    from mechgrok.runs import Run

Rule = Literal["shuffle", "randperm", "unordered"]
Network = Annotated[Positional[Path], arg(metavar="NETWORK")]
Second = Annotated[Positional[Path | None], arg(metavar="[NETWORK]", help_behavior_hint="(optional)")]
About = Annotated[FileOptions, arg(name="")]  # pyright: ignore[reportInvalidTypeForm]

MEASURES_OF_A_COMPARISON = """\
distance irrelevance: 0..1, how little the right logit depends on the distance a-b; a pizza's is low
gradient symmetricity: -1..1, cosine of the logits' gradients to both operands; a pizza's is near 1
triples: inputs with an answer over which it was averaged
by scores: what the published scores say alone; algorithm asks in addition what is left without products
accuracy, loss without products: with what the neurons read replaced by a sum of functions of a and of b; a clock loses
phase alignment: 0..1, whether neurons read both operands at one phase, as those of clocks and pizzas alike do
circle fading: how far the logits of one circle fade with the distance, as a pizza's do
circularity: 0..1, how round the embedding's circles are
strongest circle: the frequency k whose circle moves the logits most
clock fve, pizza fve: share of that circle's logits that the formula of a clock, or of a pizza, explains
-: not defined for this network"""


def analyze(
    path: Network,
    *,
    step: Maybe[int] = None,
    fraction: Maybe[float] = None,
    rule: Rule = "shuffle",
    seed: int = 0,
    report: Maybe[Path] = None,
    everything: Annotated[Flag, arg(name="all")] = False,
    as_json: Annotated[Flag, arg(name="json")] = False,
    options: About,
) -> None:
    """Reverse-engineer a network: from a run folder, or from anyone's file in a known layout.

    Args:
        path: folder of a run, the name of one shipped with mechgrok, or a file with a network.
        step: checkpoint of a run; by default the newest.
        fraction: share of the inputs that a file was trained on, for its train and test losses.
        rule: how the train inputs were drawn, with --fraction.
        seed: seed of the split, with --fraction.
        report: also write an HTML page with the figures to this file; for a run it has a slider through the
            checkpoints, unless --step asks for one of them.
        everything: print all numbers under their names.
        as_json: print the numbers as JSON and nothing else.
    """
    check_report(report)
    about = AboutFile(options)
    found = about.open(path, step)
    from mechgrok.runs import Run

    run = found if isinstance(found, Run) else None
    if isinstance(found, Run):
        if fraction is not None:
            about.check_unused("--fraction")
        grid, split = found.grid(step), found.split
    else:
        grid, split = found, found.task.split(fraction, seed, rule) if fraction else None
    from mechgrok.measures.summary import summarize

    summary = summarize(grid, split)
    if as_json:
        print(summary.to_json())
    else:
        if run is not None:
            say(which_step(run, step))
        print_summary(summary, everything=everything)
        print_phase_changes(run, summary)
        untested = nothing_held_back(split)
        if untested:
            Console().print(f"\n{untested}", highlight=False)
    if report is not None:
        from mechgrok.report import write_report

        source = grid if run is None or step is not None else run
        rows = run.history if run is not None and source is grid else None
        write_and_tell(report, lambda: write_report(report, source, summary, rows))


def report(
    first: Network,
    second: Second = None,
    *,
    out: Path = Path("report.html"),
    options: About,
) -> None:
    """Write one HTML page about a run, or about two networks side by side; it opens offline.

    A run's page has a slider through its checkpoints, which moves all figures together, the progress measures
    with the phases, and the evidence for the verdict.

    Args:
        first: folder of a run, the name of one shipped with mechgrok, or a file with a network.
        second: another one, to compare with the first.
        out: the file to write.
    """
    check_report(out, "--out")
    about = AboutFile(options)
    sources = {"": about.open(first)} if second is None else _pair(first, second, about)
    from mechgrok.report import write_comparison, write_report

    if second is None:
        write_and_tell(out, lambda: write_report(out, sources[""]))
    else:
        write_and_tell(out, lambda: write_comparison(out, sources))


def compare(first: Network, second: Network, *, out: Path = Path("comparison.html"), options: About) -> None:
    """Clock or pizza: the measures of two networks side by side, with the verdict on each.

    Prints a table and writes the same with figures as an HTML page that opens offline. Options that describe
    files apply to each of the two that is a file.

    Args:
        first: folder of a run, the name of one shipped with mechgrok, or a file with a network.
        second: another one.
        out: file for the page.
    """
    check_report(out, "--out")
    sources = _pair(first, second, AboutFile(options))
    from mechgrok.plots.algorithms import compare_algorithms
    from mechgrok.report import write_comparison
    from mechgrok.runs import Run

    grids = {name: s.grid() if isinstance(s, Run) else s for name, s in sources.items()}
    comparison = compare_algorithms(grids)
    console = Console()
    console.print(comparison)
    console.print(f"\n{MEASURES_OF_A_COMPARISON}", style="dim", highlight=False, markup=False)
    write_and_tell(out, lambda: write_comparison(out, sources, comparison))


def _pair(first: Path, second: Path, about: AboutFile) -> "dict[str, Run | ActivationGrid]":
    """Both by name; by path if the names are the same."""
    names = (first.stem, second.stem) if first.stem != second.stem else (str(first), str(second))
    runs = run_at(first), run_at(second)
    if all(runs):
        about.check_unused()
    return {
        name: run or about.open(path) for name, path, run in zip(names, (first, second), runs, strict=True)
    }
