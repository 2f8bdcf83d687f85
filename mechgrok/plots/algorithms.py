"""Compare networks: which algorithm each one runs, as a table and in one figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from os import PathLike
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import torch
from rich.console import Group
from rich.table import Table
from rich.text import Text

from mechgrok.activations import Source, as_grid
from mechgrok.analysis.algorithms import AlgorithmVerdict, classify_algorithm
from mechgrok.analysis.logit_surface import CONSTANT, LogitSurface, logit_surface
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, TaskError, UndefinedMetricError, shown
from mechgrok.plots.neurons import COLOUR_BAR
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import SEQUENTIAL, figure, numbers, plain

PANEL = 300


@dataclass(frozen=True, eq=False)
class AlgorithmComparison(Drawable):
    """Several networks, their verdicts and the surfaces that show why.

    Attributes:
        verdicts: verdicts by the caller's name for each network.
        surfaces: by name, the right answer's logit of the whole network, then of its strongest circle alone;
            empty for a network whose answer is not a sum or difference.

    `rich.print(comparison)` prints the table.
    """

    verdicts: dict[str, AlgorithmVerdict]
    surfaces: dict[str, tuple[LogitSurface, ...]]

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row per network; a measure that was not computed is None."""
        return [{"network": name, **_row(verdict)} for name, verdict in self.verdicts.items()]

    def records(self) -> list[dict[str, Any]]:
        """One row per network."""
        return self.table

    def __repr__(self) -> str:
        found = ", ".join(f"{name}: {verdict.algorithm}" for name, verdict in self.verdicts.items())
        return f"AlgorithmComparison({found})"

    def __rich__(self) -> Group:
        table = Table("", *self.verdicts, title="Clock or pizza", title_justify="left")
        for measure in _MEASURES:
            table.add_row(measure.replace("_", " "), *(_cell(row[measure]) for row in self.table))
        reasons = [Text(f"{name}: {verdict.reason}.") for name, verdict in self.verdicts.items()]
        return Group(table, *reasons)


@door
def compare_algorithms(
    networks: Mapping[str, Source] | Sequence[Source], *, triples: int | None = None
) -> AlgorithmComparison:
    """Determine which algorithm each of several networks runs, with the numbers and the figure.

    Args:
        networks: networks, grids, runs, or names or files of these, by the names under which to show them; or a
            list, in which each is shown by its own name or its number.
        triples: as in `classify_algorithm`.

    Raises:
        ConfigError: no network at all, or neither a mapping nor a list.

    >>> from mechgrok.models.constructed import cosine_network, pizza_network
    >>> nets = {"A": pizza_network(7, {2: 9.0}), "B": cosine_network(7, {2: 9.0})}
    >>> [(row["network"], row["algorithm"]) for row in compare_algorithms(nets).table]
    [('A', 'pizza'), ('B', 'clock')]
    """
    networks = named(networks)
    verdicts = {name: classify_algorithm(source, triples=triples) for name, source in networks.items()}
    surfaces = {name: _surfaces(source, verdicts[name]) for name, source in networks.items()}
    return AlgorithmComparison(verdicts, surfaces)


def named(networks: Mapping[str, Source] | Sequence[Source]) -> dict[str, Source]:
    """Networks by name: the given names, or the name of the run or file, or a number.

    Raises:
        ConfigError: there are none, or it is neither a mapping nor a list.
    """
    if isinstance(networks, str) or not isinstance(networks, Mapping | Sequence) or not networks:
        raise ConfigError(
            "networks to compare are given by name, {'A': model_a, 'B': model_b}, or as a list; "
            f"got {shown(networks)}"
        )
    if isinstance(networks, Mapping):
        return {str(name): source for name, source in networks.items()}
    names = [_own_name(source) or f"network {number}" for number, source in enumerate(networks, 1)]
    if len(set(names)) < len(names):
        names = [f"{number}: {name}" for number, name in enumerate(names, 1)]
    return dict(zip(names, networks, strict=True))


def _own_name(source: Source) -> str:
    path = source if isinstance(source, str | PathLike) else getattr(source, "path", "")
    return Path(path).stem


def comparison_figure(comparison: AlgorithmComparison) -> go.Figure:
    """The right answer's logit over distance and answer, one column per network.

    The upper row shows the whole network, the lower row its strongest circle alone. A pizza has bands along the
    answer, because the logit follows the distance. A clock has none.

    Raises:
        UndefinedMetricError: no network has such a surface.
    """
    drawable = {name: surfaces for name, surfaces in comparison.surfaces.items() if surfaces}
    if not drawable:
        raise UndefinedMetricError("none of the networks has a sum or difference whose logits could be drawn")
    above = [
        surface_figure(surfaces[0], title=f"{plain(name)}: {_headline(comparison.verdicts[name])}")
        for name, surfaces in drawable.items()
    ]
    below = [surface_figure(surfaces[-1], title=_circle_title(surfaces)) for surfaces in drawable.values()]
    return in_panels([*above, *below], columns=len(drawable))


def surface_figure(surface: LogitSurface, *, title: str = "") -> go.Figure:
    """Heat map of a logit over the distance, counted in steps around a circle, and the answer.

    Args:
        title: by default, states which logit it is.

    >>> from mechgrok.analysis.logit_surface import logit_surface
    >>> from mechgrok.models.constructed import pizza_network
    >>> surface_figure(logit_surface(pizza_network(7, {2: 1.0}), k=2)).data[0].z.shape
    (7, 7)
    """
    step = f" in steps of {surface.delta}" if surface.delta != 1 else ""
    low, high = surface.values.nan_to_num(torch.inf).min(), surface.values.nan_to_num(-torch.inf).max()
    if high - low <= CONSTANT * high.abs():  # rounding error, not to be stretched over all colours
        low, high = low - 1, high + 1
    place = f"{surface.answer} = %{{x}}, step %{{y}} of {surface.distance}"
    heat = go.Heatmap(
        z=numbers(surface.values),
        zmin=low.item(),
        zmax=high.item(),
        colorscale=SEQUENTIAL,
        colorbar=COLOUR_BAR | {"title": {"text": "logit", "font": {"size": 11}}},
        hovertemplate=f"{place}<br>logit %{{z:.3f}}<extra></extra>",
    )
    which = {"correct": "Logit of the right answer", "largest_wrong": "Largest wrong logit"}[surface.which]
    drawn = figure([heat], title=title or which, height=PANEL)
    drawn.update_xaxes(title_text=surface.answer, showgrid=False)
    drawn.update_yaxes(title_text=f"{surface.distance}{step}", showgrid=False)
    return drawn


def _surfaces(source: Source, verdict: AlgorithmVerdict) -> tuple[LogitSurface, ...]:
    try:
        grid = as_grid(source)
        if not verdict.circles:
            return (logit_surface(grid),)
        strongest = verdict.circles[0]
        k = strongest.k if gcd(strongest.k, grid.task.frame.order) == 1 else None
        return logit_surface(grid, k), logit_surface(strongest.grid, k)
    except (TaskError, UndefinedMetricError):
        return ()


def _row(verdict: AlgorithmVerdict) -> dict[str, Any]:
    best = verdict.circles[0] if verdict.circles else None
    symmetricity = verdict.symmetricity
    return {
        "algorithm": verdict.algorithm,
        "distance_irrelevance": verdict.value("distance irrelevance"),
        "gradient_symmetricity": None if symmetricity is None else symmetricity.value,
        "triples": None if symmetricity is None else symmetricity.n_triples,
        "circle_fading": verdict.value("circle fading"),
        "circularity": verdict.circularity,
        "strongest_circle": None if best is None else best.k,
        "clock_fve": None if best is None else best.fve["clock"],
        "pizza_fve": None if best is None else best.fve["pizza_product"],
        "accuracy": verdict.accuracy,
        "reason": verdict.reason,
    }


_MEASURES = tuple(name for name in _row(AlgorithmVerdict("undetermined", "")) if name != "reason")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:z.4f}" if isinstance(value, float) else str(value)


def _headline(verdict: AlgorithmVerdict) -> str:
    distance = verdict.value("distance irrelevance")
    return (
        verdict.algorithm
        if distance is None
        else f"{verdict.algorithm} (distance irrelevance {distance:z.2f})"
    )


def _circle_title(surfaces: tuple[LogitSurface, ...]) -> str:
    if len(surfaces) < 2:
        return "no circle of its own"
    k = surfaces[1].k
    return "its strongest circle alone" + ("" if k is None else f", k = {k}")
