"""Commands that look at networks that are there: `analyze`, `report` and `compare`."""

import json
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from mechgrok.activations import cache_grid
from mechgrok.analysis.summary import summarize
from mechgrok.cli.printing import check_report, print_summary, write_and_tell
from mechgrok.cli.tasks import named_task
from mechgrok.errors import ConfigError
from mechgrok.loading import load_model
from mechgrok.models.protocol import HookedModel
from mechgrok.plots.algorithms import compare_algorithms
from mechgrok.report import write_comparison, write_report
from mechgrok.runs import Run, load_run
from mechgrok.shipped import folder_or_shipped

Rule = Literal["shuffle", "randperm", "unordered"]


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
        path: folder of a run, the name of one that comes with mechgrok, or a .safetensors, .pt or .pth file.
        step: checkpoint of a run; by default the newest.
        task: the operation, where it is not stored and cannot be inferred, with --p; or a group, such as S5, in the
            order of elements in which mechgrok has it.
        p: the modulus of the operation.
        fraction: share of the inputs that a file was trained on, for its train and test losses.
        rule: how the train inputs were drawn, with --fraction.
        seed: seed of the split, with --fraction.
        layout: how the tensors are laid out; by default detected.
        report: also write an HTML page with the figures to this file; of a run it has a slider through the
            checkpoints, unless --step asks for one of them.
        as_json: print the numbers as JSON and nothing else.
    """
    check_report(report)
    run = load_run(path) if _is_run(path) else None
    if run is not None:
        if task or p or fraction or layout:
            raise ConfigError(
                "a run knows its own task, split and layout; --task, --p, --fraction and --layout are for files"
            )
        grid, split, history = run.grid(step), run.split, run.history
    else:
        if p and not task:
            raise ConfigError("--p is the modulus of --task, as in --task add --p 113")
        named = named_task(task, p) if task else None
        grid = cache_grid(load_model(path, step, named, layout=layout))
        split = grid.task.split(fraction, seed, rule) if fraction else None
        history = None
    summary = summarize(grid, split)
    if as_json:
        print(json.dumps({**summary.values, "layout": summary.layout, "verdict": summary.verdict}, indent=2))
    else:
        print_summary(summary)
    if report is not None:
        source, rows = (grid, history) if run is None or step is not None else (run, None)
        write_and_tell(report, lambda: write_report(report, source, summary, rows))


def report(
    first: Positional[Path],
    second: Positional[Path | None] = None,
    *,
    out: Path = Path("report.html"),
) -> None:
    """Write one HTML page about a run, or about two networks side by side; it opens offline.

    The page of a run has a slider through its checkpoints, which moves all figures together, the progress measures
    with the phases, and the evidence for the verdict.

    Args:
        first: folder of a run, the name of one that comes with mechgrok, or a file with a network; for files that
            need to be explained see the options of `analyze --report`.
        second: another one, to compare it with.
        out: the file to write.
    """
    check_report(out, "--out")
    if second is None:
        source = _open(first)
        write_and_tell(out, lambda: write_report(out, source))
    else:
        sources = _pair(first, second)
        write_and_tell(out, lambda: write_comparison(out, sources))


def compare(
    first: Positional[Path], second: Positional[Path], *, out: Path = Path("comparison.html")
) -> None:
    """Clock or pizza: the measures of two networks side by side, with the verdict on each.

    Prints a table and writes the same with figures as an HTML page that opens offline.

    Args:
        first: folder of a run, the name of one that comes with mechgrok, or a file with a network.
        second: another one.
        out: file for the page.
    """
    check_report(out, "--out")
    sources = _pair(first, second)
    grids = {name: s.grid() if isinstance(s, Run) else s for name, s in sources.items()}
    comparison = compare_algorithms(grids)
    Console().print(comparison)
    write_and_tell(out, lambda: write_comparison(out, sources, comparison))


def _pair(first: Path, second: Path) -> dict[str, Run | HookedModel]:
    """Both by name; by path where the names are the same."""
    names = (first.stem, second.stem) if first.stem != second.stem else (str(first), str(second))
    return dict(zip(names, map(_open, (first, second)), strict=True))


def _open(path: Path) -> Run | HookedModel:
    return load_run(path) if _is_run(path) else load_model(path)


def _is_run(path: Path) -> bool:
    return folder_or_shipped(path).is_dir()
