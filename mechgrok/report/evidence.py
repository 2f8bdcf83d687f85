"""Sections with the evidence for the verdict: which keys, which algorithm, and what is left without the keys."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from mechgrok.activations import ActivationGrid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.algorithms import AlgorithmVerdict
from mechgrok.analysis.spectrum import Matrix, weight_spectrum
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.measures.summary import Summary
from mechgrok.plots.ablations import ablation_effects, describe
from mechgrok.plots.logits import key_evidence
from mechgrok.plots.neurons import cluster_sizes
from mechgrok.report.parts import FigureGroup, Panel, Section, Table, plural
from mechgrok.wording import number, percent

T = TypeVar("T")


def evidence_sections(
    grid: ActivationGrid, summary: Summary, algorithm: AlgorithmVerdict
) -> Iterator[Section]:
    """The sections that apply to this network."""
    yield _keys(grid, summary)
    yield _algorithm(algorithm)
    yield _ablations(grid, summary)


def _keys(grid: ActivationGrid, summary: Summary) -> Section:
    if summary.keys.no_group:
        return Section("keys", "Key frequencies", f"None: {summary.keys.no_group}.")
    keys: list[Label] = summary.values["key_frequencies"]
    panels = [Panel("evidence", key_evidence(summary.keys, summary.what), "wide")]
    caption = f"Every dot is one {summary.what}. Keys lie above the dotted line: {summary.keys.rule}."
    if summary.neurons is not None:
        panels.append(Panel("clusters", cluster_sizes(summary.neurons, summary.what), "wide"))
        caption += (
            f" A neuron belongs to the {summary.what} that explains at least {summary.neurons.threshold:z.0%} of "
            "its variance; mixed neurons have none."
        )
    return Section(
        "keys",
        f"Key {plural(summary.what)}",
        f"Which {plural(summary.what)} carry the answer to the logits, what each of them is worth, and how many "
        "neurons work on it.",
        (FigureGroup(tuple(panels), caption),),
        _key_table(grid, summary, keys) if keys else (),
        () if keys else (f"{_without(summary)}, so there is no circuit to take apart.",),
    )


def _without(summary: Summary) -> str:
    text = str(summary.keys) if summary.keys.reason else "no key was given"
    return text[0].upper() + text[1:]


def _key_table(grid: ActivationGrid, summary: Summary, keys: list[Label]) -> Table:
    values = summary.values
    where = "train" if "excluded_loss_train" in values else "all"
    without = values[f"excluded_loss_{where}_per_key"]
    columns: list[tuple[str, Callable[[Label], str]]] = [
        ({"frequency": "k"}.get(summary.what, summary.what), str),
        ("share of logits", lambda k: percent(values["logit_fve_per_key"][k])),
        (
            "train loss without (nats)" if where == "train" else "loss without (nats)",
            lambda k: number(without[k]),
        ),
    ]
    if summary.neurons is not None:
        clusters = summary.neurons.clusters
        columns.append(("neurons", lambda k: str(clusters.get(k, 0))))
    for matrix in ("W_E", "W_L"):
        shares = _or_none(lambda matrix=matrix: _weight_shares(grid, matrix))
        if shares is not None:
            columns.append((f"share of {matrix}", lambda k, shares=shares: percent(shares[k])))
    return (tuple(name for name, _ in columns), *(tuple(cell(k) for _, cell in columns) for k in keys))


def _weight_shares(grid: ActivationGrid, matrix: Matrix) -> dict[Label, float]:
    norms, basis = weight_spectrum(grid, matrix=matrix)
    total = norms[1:].square().sum()
    return {b.label: (norms[b.rows].square().sum() / total).item() for b in basis.blocks[1:]}


def _algorithm(verdict: AlgorithmVerdict) -> Section:
    section = ("algorithm", "Clock or pizza", f"{verdict.algorithm.capitalize()}: {verdict.reason}.")
    if not verdict.evidence:
        return Section(*section)
    rows = [(e.measure, f"{e.value:z.3f}", e.vote, e.rule) for e in verdict.evidence]
    return Section(*section, table=(("measure", "value", "speaks for", "rule"), *rows))


def _ablations(grid: ActivationGrid, summary: Summary) -> Section:
    section = (
        "ablations",
        "Without the keys",
        "If the keys are the algorithm, removing them destroys it, and keeping nothing else preserves it.",
    )
    if not summary.values["key_frequencies"]:
        return Section(*section, missing=("There are no keys to remove or to keep.",))
    if not summary.ablations:
        return Section(*section, missing=("There is no network here in which to remove them, logits alone.",))
    drawn = ablation_effects(summary.ablations, n_classes=grid.task.n_classes)
    caption = "Further right is worse; the dotted line is guessing. All keys together, over all inputs."
    whole = summary.ablations[0]
    rows = [(describe(a), number(a.loss), percent(a.accuracy)) for a in summary.ablations]
    return Section(
        *section,
        (FigureGroup((Panel("ablation", drawn, "wide"),), caption),),
        (
            ("all keys", "loss (nats)", "accuracy"),
            ("untouched", number(whole.loss_before), percent(whole.accuracy_before)),
            *rows,
        ),
    )


def _or_none(make: Callable[[], T]) -> T | None:
    """A result, or None if this network has none."""
    try:
        return make()
    except (ActivationError, UndefinedMetricError):
        return None
