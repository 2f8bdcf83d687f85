"""The command that states a network as a formula: `explain`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tyro.conf import arg

from mechgrok.cli.foreign import AboutFile
from mechgrok.cli.networks import About, Network
from mechgrok.cli.printing import check_report, say, which_step, write_and_tell
from mechgrok.cli.usage import Flag, Maybe
from mechgrok.wording import number, percent

if TYPE_CHECKING:
    from mechgrok.analysis.explanation import Explanation


def explain(
    path: Network,
    *,
    step: Maybe[int] = None,
    seed: int = 0,
    out: Path = Path("explanation.html"),
    as_json: Annotated[Flag, arg(name="json")] = False,
    options: About,
) -> None:
    """State what a network computes as a formula, and test that by interventions.

    Prints the formula, how much of the network it accounts for, with a control, what is left when each stage of
    the network is replaced by its ideal, and what was predicted of each intervention and came of it; and writes
    the same with figures as an HTML page that opens offline.

    Args:
        path: folder of a run, the name of one that comes with mechgrok, or a file with a network.
        step: checkpoint of a run; by default the newest.
        seed: seed of the inputs that are drawn for the interventions.
        out: file for the page.
        as_json: print the explanation as JSON and nothing else.
    """
    check_report(out, "--out", "explanation.html")
    found = AboutFile(options).open(path, step)
    from mechgrok.analysis.explanation import explain as explain_network
    from mechgrok.report import write_explanation
    from mechgrok.runs import Run

    run = found if isinstance(found, Run) else None
    explanation = explain_network(found.grid(step) if isinstance(found, Run) else found, seed=seed)
    if as_json:
        print(json.dumps(_as_json(explanation), indent=2))
    else:
        if run is not None:
            say(which_step(run, step))
        _print(explanation)
    write_and_tell(out, lambda: write_explanation(out, explanation))


def _print(explanation: "Explanation") -> None:
    from mechgrok.report.explanation import formula_rows, prediction_rows, stage_rows

    console = Console()
    task = explanation.grid.task
    said = explanation.formula or f"There is no formula: {explanation.reason}."
    console.print(f"{escape(task.name)}: {escape(said)}\n", highlight=False)
    tables: list[tuple[str, tuple[tuple[str, ...], ...]]] = [
        ("How much of the network the formula accounts for", (("", ""), *_numbers(explanation)))
    ]
    if explanation.formula:
        tables.append(("Its terms", formula_rows(explanation.fitted.terms, explanation.keys.what)))
    if explanation.stages:
        tables.append(("Stages of the network replaced by their ideal", stage_rows(explanation.stages)))
    if explanation.interventions:
        tables.append(("Interventions", prediction_rows(explanation.interventions)))
    for title, (head, *rows) in tables:
        table = Table(*head, title=title, title_justify="left", show_header=any(head))
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
    for name, why in explanation.left_out.items():
        console.print(f"Not made, {escape(name)}: {escape(why)}.", style="dim", highlight=False)


def _numbers(explanation: "Explanation") -> Iterator[tuple[str, str]]:
    if explanation.formula:
        control = explanation.control_share
        yield "explained share", percent(explanation.explained_share)
        yield "control: the same coefficients at other keys", "–" if control is None else percent(control)
        yield "same answer as the network", percent(explanation.agreement)
        yield "accuracy of the formula alone", percent(explanation.accuracy)
        yield "loss of the formula alone (nats)", number(explanation.loss)
        yield "KL divergence from the network (nats)", number(explanation.kl)
        yield "variance of the logits explained", percent(explanation.fve)
    right = explanation.compared.network_right.double().mean().item()
    yield "accuracy of the network", percent(right)
    if explanation.phase_alignment is not None:
        yield "phase alignment of the neurons", f"{explanation.phase_alignment:z.3f}"


def _as_json(explanation: "Explanation") -> dict[str, Any]:
    return {
        "task": explanation.grid.task.name,
        "formula": explanation.formula,
        "latex": explanation.latex,
        "reason": explanation.reason,
        "terms": [vars(term) for term in explanation.fitted.terms],
        "explained_share": explanation.explained_share,
        "explained_share_control": explanation.control_share,
        "accuracy": explanation.accuracy,
        "loss": explanation.loss,
        "agreement": explanation.agreement,
        "kl": explanation.kl,
        "fve": explanation.fve,
        "phase_alignment": explanation.phase_alignment,
        "stages": [vars(stage) for stage in explanation.stages],
        "predictions": explanation.records(),
        "left_out": explanation.left_out,
    }
