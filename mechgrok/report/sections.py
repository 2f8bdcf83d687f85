"""The sections of a report, in the order of the story: how it learned, what it uses, where, and the proof."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from mechgrok.activations import ActivationGrid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.neurons import NeuronFrequencies
from mechgrok.analysis.spectrum import Matrix, weight_spectrum
from mechgrok.analysis.summary import Summary
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.plots.ablations import ablation_effects, describe
from mechgrok.plots.circles import embedding_circle
from mechgrok.plots.curves import accuracy_curves, loss_curves
from mechgrok.plots.logits import fourier_map, key_evidence
from mechgrok.plots.neurons import cluster_sizes, in_token_order, neuron_map, typical_neurons
from mechgrok.plots.spectra import norm_spectrum
from mechgrok.report.parts import Group, Panel, Section, number, percent

MOST_PANELS = 6
"""Circles and neurons shown; of more keys the strongest are taken."""
MOST_CELLS = 300_000
"""Cells of all neuron maps together: bounds the size of the page for large groups."""

History = Sequence[Mapping[str, Any]]
T = TypeVar("T")


def sections_of(grid: ActivationGrid, summary: Summary, history: History) -> Iterator[Section]:
    """The sections that this network has something to say in."""
    keys: list[Label] = summary.values["key_frequencies"]
    strongest = sorted(keys, key=summary.keys.share, reverse=True)[:MOST_PANELS]
    shown = [label for label in keys if label in strongest]
    if history:
        yield _learning(history, grid.task.n_classes)
    yield _keys(grid, summary, keys)
    yield _embedding(grid, keys, shown)
    if summary.neurons is not None:
        yield _neurons(grid, summary.neurons, shown)
    yield _logits(grid, keys)
    yield _ablations(grid, summary)


def _learning(history: History, n_classes: int) -> Section:
    drawn = {
        "loss": loss_curves(history, n_classes=n_classes),
        "accuracy": accuracy_curves(history),
    }
    drawn = {name: figure for name, figure in drawn.items() if figure.data}
    panels = tuple(
        Panel(name, figure, "half" if len(drawn) > 1 else "wide") for name, figure in drawn.items()
    )
    lead = "Train and test over the steps of training."
    caption = (
        "Where the test curve falls long after the train curve, the network first memorised, then grokked."
    )
    return Section("learning", "How it learned", lead, (Group(panels, caption),))


def _keys(grid: ActivationGrid, summary: Summary, keys: list[Label]) -> Section:
    what = grid.task.frame.basis.what
    panel = Panel("evidence", key_evidence(summary.keys, what), "wide")
    caption = f"Every dot is one {what}. A key lies above the dotted line: {summary.keys.rule}."
    lead = f"Which {_plural(what)} carry the answer to the logits, and what each of them is worth."
    return Section(
        "keys",
        f"Key {_plural(what)}",
        lead,
        (Group((panel,), caption),),
        _key_table(grid, summary, keys) if keys else (),
        "" if keys else "None stands out in the logits, so there is no circuit to take apart.",
    )


def _key_table(grid: ActivationGrid, summary: Summary, keys: list[Label]) -> tuple[tuple[str, ...], ...]:
    values = summary.values
    where = "train" if "excluded_loss_train" in values else "all"
    without = values[f"excluded_loss_{where}_per_key"]
    columns: list[tuple[str, Callable[[Label], str]]] = [
        ({"frequency": "k"}.get(grid.task.frame.basis.what, grid.task.frame.basis.what), str),
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


def _embedding(grid: ActivationGrid, keys: list[Label], shown: list[Label]) -> Section:
    what = grid.task.frame.basis.what
    section = (
        "embedding",
        "The embedding",
        f"How the {_plural(what)} are laid down in the token embedding W_E.",
    )
    spectrum = _or_none(lambda: norm_spectrum(grid, keys=keys))
    if spectrum is None:
        return Section(*section, missing="This network has no token embedding that varies over the tokens.")
    bars = "Tall bars are what the embedding is made of."
    groups = [Group((Panel("spectrum", spectrum, "wide"),), f"{bars} Keys in full colour." if keys else bars)]
    circles = tuple(Panel(f"circle-{i}", embedding_circle(grid, k), "square") for i, k in enumerate(shown))
    if circles:
        groups.append(Group(circles, _circle_caption(grid) + _left_out(keys, shown)))
    return Section(*section, tuple(groups))


def _circle_caption(grid: ActivationGrid) -> str:
    frame = grid.task.frame
    if frame.basis.what != "frequency":
        return "Each dot is a token, projected on the two strongest directions of one key."
    symbol = "a" if in_token_order(frame) else "(place of a in the group)"
    return (
        f"Each dot is a token, projected on the two directions of one key. Colour is k·{symbol} mod {frame.order}, "
        "the place on an ideal circle: where it turns smoothly, the network has the circle."
    )


def _neurons(grid: ActivationGrid, tuned: NeuronFrequencies, shown: list[Label]) -> Section:
    what = grid.task.frame.basis.what
    most = max(1, min(MOST_PANELS, MOST_CELLS // grid.task.frame.order**2))
    chosen = typical_neurons(tuned, shown)[:most]
    sizes = Panel("clusters", cluster_sizes(tuned, what), "wide")
    mixed = f"A neuron belongs to the {what} that explains at least {tuned.threshold:.0%} of its variance; "
    groups = [Group((sizes,), mixed + "mixed neurons have none.")]
    maps = tuple(Panel(f"neuron-{i}", neuron_map(grid, n, tuned), "map") for i, n in enumerate(chosen))
    if maps:
        best = "for each key the one with most variance" if shown else "those with most variance"
        waves = " A neuron of frequency k makes k waves along either operand." if what == "frequency" else ""
        groups.append(Group(maps, f"Activation over both operands, {best}.{waves}"))
    lead = f"What the last hidden layer computes, and how many neurons work on each {what}."
    return Section("neurons", "The neurons", lead, tuple(groups))


def _logits(grid: ActivationGrid, keys: list[Label]) -> Section:
    caption = (
        "Rows and columns are the basis functions of the two operands. A dark square on the diagonal is a "
        "product of a and b in the same block, which is what a function of the answer is made of. "
        "The border at the left and at the bottom is what depends on one operand alone."
    )
    return Section(
        "logits",
        "The logits",
        "Which functions of a and of b the network multiplies to get its answer.",
        (Group((Panel("fourier", fourier_map(grid, keys), "tall"),), caption),),
    )


def _ablations(grid: ActivationGrid, summary: Summary) -> Section:
    section = (
        "ablations",
        "Without the keys",
        "If the keys are the algorithm, removing them destroys it, and keeping nothing else preserves it.",
    )
    if not summary.ablations:
        return Section(*section, missing="There are no keys to remove or to keep.")
    drawn = ablation_effects(summary.ablations, n_classes=grid.task.n_classes)
    caption = "Further right is worse; the dotted line is guessing. All keys together, over all inputs."
    whole = summary.ablations[0]
    rows = [(describe(a), number(a.loss), percent(a.accuracy)) for a in summary.ablations]
    return Section(
        *section,
        (Group((Panel("ablation", drawn, "wide"),), caption),),
        (
            ("all keys", "loss (nats)", "accuracy"),
            ("untouched", number(whole.loss_before), percent(whole.accuracy_before)),
            *rows,
        ),
    )


def _plural(what: str) -> str:
    return {"frequency": "frequencies", "irrep": "irreps"}.get(what, f"{what}s")


def _left_out(keys: list[Label], shown: list[Label]) -> str:
    return f" The {len(shown)} strongest of {len(keys)} keys." if len(shown) < len(keys) else ""


def _or_none(make: Callable[[], T]) -> T | None:
    """A result, or None where this network has none."""
    try:
        return make()
    except (ActivationError, UndefinedMetricError):
        return None
