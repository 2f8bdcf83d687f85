"""The section on the network itself: learning curves, spectrum, circles, neurons and logits together."""

from collections.abc import Mapping

import plotly.graph_objects as go

from mechgrok.activations import ActivationGrid
from mechgrok.analysis.curves import History
from mechgrok.errors import NoGroupError
from mechgrok.plots.curves import accuracy_curves, loss_curves
from mechgrok.plots.neurons import in_token_order
from mechgrok.plots.theme import name_of
from mechgrok.report.film import Film
from mechgrok.report.parts import FigureGroup, Panel, Section, Shape, plural
from mechgrok.report.portrait import Portrait

FEWEST_COLUMNS = 5
"""Minimum number of places in a row of small figures; unused places stay empty, so that the figures stay small."""


def network_section(
    grid: ActivationGrid, portrait: Portrait, films: Mapping[str, Film], curves: Mapping[str, go.Figure]
) -> Section:
    """All figures that change while a network learns; on the page of a run the slider moves them.

    Args:
        grid: the network at the end.
        portrait: what is drawn; without maps, only curves.
        films: the portrait's figures.
        curves: figures over the steps, by place.
    """
    moves = any(film.moving for film in films.values())
    lead = (
        "Move the slider: every figure here shows the network at that step, on axes that stand still."
        if moves
        else "How it was learned."
        if not portrait.has_maps
        else "How the network sees its tokens, what its neurons compute and what it makes of it."
    )
    groups = [_curves(films, curves, portrait)]
    if portrait.has_maps:
        groups += [_circles(grid, portrait, films), _neurons(grid, portrait, films), _logits(films, portrait)]
    return Section(
        "network",
        "Watch it learn" if moves else "The network",
        lead,
        tuple(group for group in groups if group.panels),
        missing=tuple(_missing(grid, portrait, films)),
    )


def learning_curves(history: History, n_classes: int | None) -> dict[str, go.Figure]:
    """Loss and accuracy over the steps, as far as the history has them."""
    drawn = {"loss": loss_curves(history, n_classes=n_classes), "accuracy": accuracy_curves(history)}
    return {place: figure for place, figure in drawn.items() if figure.data}


def _panel(place: str, films: Mapping[str, Film], shape: Shape, name: str = "") -> Panel:
    film = films[place]
    return Panel(place, film.figure, shape, name, film.moving)


def _curves(films: Mapping[str, Film], curves: Mapping[str, go.Figure], portrait: Portrait) -> FigureGroup:
    panels = [Panel(place, figure, "curve") for place, figure in curves.items()]
    captions = []
    if _has_train_loss(curves):
        captions.append("Where the test curve falls long after the train curve, the network first memorised.")
    if "spectrum" in films:
        panels.append(_panel("spectrum", films, "curve"))
        keys = " Keys in full colour." if portrait.keys else ""
        captions.append(f"Tall bars of the spectrum are what the embedding is made of.{keys}")
    return FigureGroup(tuple(panels), " ".join(captions), "curves")


def _has_train_loss(curves: Mapping[str, go.Figure]) -> bool:
    return "loss" in curves and any(curves["loss"].select_traces({"name": "train"}))


def _circles(grid: ActivationGrid, portrait: Portrait, films: Mapping[str, Film]) -> FigureGroup:
    frame = grid.task.frame
    shown = [(i, label) for i, label in enumerate(portrait.circles) if f"circle-{i}" in films]
    panels = tuple(_panel(f"circle-{i}", films, "circle", name_of("frequency", label)) for i, label in shown)
    symbol = "a" if in_token_order(frame) else "(place of a in the group)"
    left_out = len(portrait.keys) - len(panels)
    caption = (
        "The tokens in the plane that the cosine and the sine of one key span in the embedding. Colour is "
        f"k·{symbol} mod {frame.order}, the place on an ideal circle: where it turns smoothly, the network has "
        "the circle." + (f" The {len(panels)} strongest of {len(portrait.keys)} keys." if left_out else "")
    )
    return FigureGroup(panels, caption, "circles", max(FEWEST_COLUMNS, len(panels)))


def _neurons(grid: ActivationGrid, portrait: Portrait, films: Mapping[str, Film]) -> FigureGroup:
    what, tuned = grid.task.frame.basis.what, portrait.tuned
    panels = []
    for i, neuron in enumerate(portrait.neurons):
        label = tuned.labels[tuned.frequency[neuron] - 1] if tuned is not None and portrait.keys else None
        name = ("" if label is None else f"{name_of(what, label)}: ") + f"neuron {neuron}"
        panels.append(_panel(f"neuron-{i}", films, "map", name))
    best = "the most typical neuron of each key" if portrait.keys else "the neurons with most variance"
    waves = " A neuron of frequency k makes k waves along either operand." if what == "frequency" else ""
    caption = f"Activation over a (across) and b (up), of {best}; darker is more.{waves}"
    return FigureGroup(tuple(panels), caption, "neurons", max(FEWEST_COLUMNS, len(panels)))


def _logits(films: Mapping[str, Film], portrait: Portrait) -> FigureGroup:
    caption = (
        "Rows and columns are the basis functions of the two operands. A dark square on the diagonal is a "
        f"product of a and b in the same {portrait.what}, which is what a function of the answer is made of."
    )
    return FigureGroup((_panel("fourier", films, "square"),), caption, "logits")


def _why_no_maps(grid: ActivationGrid) -> str:
    try:
        _ = grid.task.frame
    except NoGroupError:
        return "and this task sits in none"
    return "over two operands, and this task is a function of one element"


def _missing(grid: ActivationGrid, portrait: Portrait, films: Mapping[str, Film]) -> list[str]:
    if not portrait.has_maps:
        return [
            "There are no spectrum, circles, neurons and logits here: they are drawn in the basis of the task's group, "
            f"{_why_no_maps(grid)}."
        ]
    what = grid.task.frame.basis.what
    lines = []
    if grid.source is None:
        return ["This page is about activations without their network: there are no weights to draw."]
    if "spectrum" not in films:
        lines.append("There is no spectrum: this network has no token embedding that varies over the tokens.")
    if what != "frequency":
        lines.append("There are no circles: a circle needs a cyclic group, and this one is not.")
    elif not portrait.keys:
        lines.append(f"There are no circles: no key {plural(what)} were found to draw them for.")
    if not portrait.neurons:
        lines.append("There are no neurons to show: this network has no hidden layer whose activations vary.")
    return lines
