"""Commands that look at networks that are there: `analyze`, `report` and `compare`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from mechgrok.cli.options import NetworkOptions, network_from
from mechgrok.cli.printing import (
    check_report,
    nothing_held_back,
    print_phase_changes,
    print_summary,
    say,
    which_step,
    write_and_tell,
)
from mechgrok.cli.tasks import is_table, named_task, table_task
from mechgrok.cli.usage import Flag, Maybe, Several
from mechgrok.errors import ConfigError
from mechgrok.opening import run_if_any

if TYPE_CHECKING:
    from mechgrok.activations import ActivationGrid
    from mechgrok.models.protocol import HookedModel
    from mechgrok.runs import Run

Rule = Literal["shuffle", "randperm", "unordered"]
Network = Annotated[Positional[Path], arg(metavar="NETWORK")]
Second = Annotated[Positional[Path | None], arg(metavar="[NETWORK]", help_behavior_hint="(optional)")]

MEASURES_OF_A_COMPARISON = """\
distance irrelevance: 0..1, how little the right logit depends on the distance a-b; a pizza's is low
gradient symmetricity: -1..1, cosine of the logits' gradients to both operands; a pizza's is near 1
triples: inputs with an answer over which it was averaged
circle fading: how far the logits of one circle fade with the distance, as a pizza's do
circularity: 0..1, how round the embedding's circles are
strongest circle: the frequency k whose circle moves the logits most
clock fve, pizza fve: share of that circle's logits that the formula of a clock, or of a pizza, explains
-: not defined for this network"""


def analyze(
    path: Network,
    *,
    step: Maybe[int] = None,
    task: Maybe[str] = None,
    p: Maybe[int] = None,
    sequence: Several[str] = (),
    fraction: Maybe[float] = None,
    rule: Rule = "shuffle",
    seed: int = 0,
    layout: Maybe[str] = None,
    rename: Several[str] = (),
    key: Maybe[str] = None,
    config: Maybe[Path] = None,
    report: Maybe[Path] = None,
    everything: Annotated[Flag, arg(name="all")] = False,
    as_json: Annotated[Flag, arg(name="json")] = False,
    options: Annotated[NetworkOptions, arg(name="")],  # pyright: ignore[reportInvalidTypeForm]
) -> None:
    """Reverse-engineer a network: a run folder, or a file of anybody's in a layout that is known.

    Args:
        path: folder of a run, the name of one that comes with mechgrok, or a file with a network.
        step: checkpoint of a run; by default the newest.
        task: the operation, where it is not stored and cannot be inferred; a group, such as S5, in the order of
            elements in which mechgrok has it; or a file with a table of answers or of a group, FILE.npy or
            FILE.npz:NAME.
        p: the modulus of the operation; by default what the sizes of the network suggest.
        sequence: the tokens that the network in a file reads, with --task, such as a op b =.
        fraction: share of the inputs that a file was trained on, for its train and test losses.
        rule: how the train inputs were drawn, with --fraction.
        seed: seed of the split, with --fraction.
        layout: how the tensors of a file are laid out; by default detected. `mechgrok list` shows all.
        rename: names of tensors in a file and what they are called in its layout, as OLD=NEW.
        key: where the weights are in a file that holds more than these, such as model.state_dict.
        config: file of JSON, YAML or TOML with fields of the network, for what tensors cannot tell.
        report: also write an HTML page with the figures to this file; of a run it has a slider through the
            checkpoints, unless --step asks for one of them.
        everything: print all numbers under their names.
        as_json: print the numbers as JSON and nothing else.
    """
    check_report(report)
    known = network_from(config, options)
    run = _run_at(path)
    for_files = {
        "--task": task, "--p": p, "--sequence": sequence, "--fraction": fraction, "--layout": layout,
        "--rename": rename, "--key": key, "--config and options of the network": known,
    }  # fmt: skip
    if run is not None:
        given = [option for option, value in for_files.items() if value]
        if given:
            raise ConfigError(
                f"a run knows its own task, split and layout; {', '.join(given)}: only for files with a network"
            )
        grid, split = run.grid(step), run.split
    else:
        stored = {"layout": layout, "config": known, "rename": _renamed(rename), "key": key}
        _check_task(task, p, sequence)
        model = _network_of_file(path, step, {k: v for k, v in stored.items() if v})
        grid = _grid_of(model, task, p, sequence)
        split = grid.task.split(fraction, seed, rule) if fraction else None
    from mechgrok.measures.summary import summarize

    summary = summarize(grid, split)
    if as_json:
        print(json.dumps({**summary.values, "layout": summary.layout, "verdict": summary.verdict}, indent=2))
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
) -> None:
    """Write one HTML page about a run, or about two networks side by side; it opens offline.

    The page of a run has a slider through its checkpoints, which moves all figures together, the progress measures
    with the phases, and the evidence for the verdict.

    Args:
        first: folder of a run, the name of one that comes with mechgrok, or a file with a network; for files that
            need to be explained see the options of `mechgrok analyze`, and its --report.
        second: another one, to compare it with.
        out: the file to write.
    """
    check_report(out, "--out")
    sources = {"": _open(first)} if second is None else _pair(first, second)
    from mechgrok.report import write_comparison, write_report

    if second is None:
        write_and_tell(out, lambda: write_report(out, sources[""]))
    else:
        write_and_tell(out, lambda: write_comparison(out, sources))


def compare(first: Network, second: Network, *, out: Path = Path("comparison.html")) -> None:
    """Clock or pizza: the measures of two networks side by side, with the verdict on each.

    Prints a table and writes the same with figures as an HTML page that opens offline.

    Args:
        first: folder of a run, the name of one that comes with mechgrok, or a file with a network.
        second: another one.
        out: file for the page.
    """
    check_report(out, "--out")
    sources = _pair(first, second)
    from mechgrok.plots.algorithms import compare_algorithms
    from mechgrok.report import write_comparison
    from mechgrok.runs import Run

    grids = {name: s.grid() if isinstance(s, Run) else s for name, s in sources.items()}
    comparison = compare_algorithms(grids)
    console = Console()
    console.print(comparison)
    console.print(f"\n{MEASURES_OF_A_COMPARISON}", style="dim", highlight=False, markup=False)
    write_and_tell(out, lambda: write_comparison(out, sources, comparison))


def _network_of_file(path: Path, step: int | None, options: dict[str, Any]) -> "HookedModel":
    from mechgrok.loading import load_model

    return load_model(path, step, **options)


def _check_task(operation: str | None, p: int | None, sequence: tuple[str, ...]) -> None:
    """Before anything is opened."""
    if p and not operation:
        raise ConfigError("--p is the modulus of --task, as in --task add --p 113")
    if sequence and not operation:
        raise ConfigError("--sequence writes down --task, as in --task add --p 113 --sequence a b =")
    if operation and is_table(operation):
        if p:
            raise ConfigError(f"{operation} is a table, which has no modulus; leave --p {p} out")
    elif operation and (p or operation[:1].isupper()):
        named_task(operation, p)


def _grid_of(
    model: "HookedModel", operation: str | None, p: int | None, sequence: tuple[str, ...]
) -> "ActivationGrid":
    """The grid of a network for the task that the command line names, or for the one that is known or inferred."""
    from mechgrok.activations import cache_grid, likely_modulus
    from mechgrok.tasks import as_operation

    if operation is None:
        return cache_grid(model)
    likely = likely_modulus(model)
    if is_table(operation):
        task = table_task(operation, () if likely is None else (likely,))
    else:
        task = named_task(operation, p, likely)
    return cache_grid(model, as_operation(task).with_sequence(*sequence) if sequence else task)


def _renamed(pairs: tuple[str, ...]) -> dict[str, str]:
    wrong = [pair for pair in pairs if not all(pair.partition("="))]
    if wrong:
        raise ConfigError(f"--rename takes OLD=NEW, such as embedding.weight=W_E; got {wrong[0]}")
    return {old: new for old, _, new in (pair.partition("=") for pair in pairs)}


def _pair(first: Path, second: Path) -> "dict[str, Run | HookedModel]":
    """Both by name; by path where the names are the same."""
    names = (first.stem, second.stem) if first.stem != second.stem else (str(first), str(second))
    return dict(zip(names, map(_open, (first, second)), strict=True))


def _open(path: Path) -> "Run | HookedModel":
    from mechgrok.loading import load_model

    return _run_at(path) or load_model(path)


def _run_at(path: Path) -> "Run | None":
    found = run_if_any(path)
    return None if found is path else found
