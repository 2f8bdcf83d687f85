"""Progress measures over the steps of training: small multiples that share the step axis."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mechgrok.algebra.bases import Label
from mechgrok.analysis.phases import Phases
from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.measures.registry import title_of
from mechgrok.plots.curves import thin
from mechgrok.plots.phases import shade
from mechgrok.plots.theme import (
    COLOURS,
    GREEN,
    INK,
    LOGARITHMIC,
    ORANGE,
    SOFT,
    TEMPLATE,
    TEST,
    TRAIN,
    block_kind,
    layout_of,
    name_of,
    plain,
)
from mechgrok.progress.table import ProgressTable

PANEL, GAP, TOP, BOTTOM = 180, 72, 58, 52
"""Heights in pixels: of a panel, of the gap between two rows, and of the margins above and below all rows."""
DASHES = ("solid", "dash", "dot")
MOST_NAMED = 12
"""Lines of a panel above which they are named on hovering alone."""


class MeasurePanel(NamedTuple):
    """Measures that are drawn together.

    Attributes:
        measures: measures by the short name of their line.
        parts: a measure with a line for each of its parts: for each key, or for the tensors of each module.
        percent: fractions are drawn as percentages.
    """

    title: str
    measures: dict[str, str] = {}  # noqa: RUF012 (never changed)
    parts: str | None = None
    logarithmic: bool = False
    percent: bool = False


PANELS = (
    MeasurePanel(
        "Loss",
        {
            "train": "loss_train",
            "test": "loss_test",
            "restricted": "restricted_loss",
            "excluded": "excluded_loss",
        },
        logarithmic=True,
    ),
    MeasurePanel(
        "Accuracy",
        {"train": "accuracy_train", "test": "accuracy_test"}
        | {"restricted": "restricted_accuracy", "excluded": "excluded_accuracy"},
        percent=True,
    ),
    MeasurePanel(
        "Mechanism",
        {"ideal network": "ideal_accuracy", "scrubbed": "scrubbed_accuracy"}
        | {"scrubbed, train": "scrubbed_accuracy_train", "explained share": "explained_share"},
        percent=True,
    ),
    MeasurePanel(title_of("loss_per_position"), parts="loss_per_position"),
    MeasurePanel(
        "Attention heads",
        {"induction": "induction_score", "previous token": "previous_token_score"}
        | {"duplicate token": "duplicate_token_score", "copying": "copying_score"},
    ),
    MeasurePanel(title_of("induction_score_per_head"), parts="induction_score_per_head"),
    MeasurePanel(title_of("previous_token_score_per_head"), parts="previous_token_score_per_head"),
    MeasurePanel(title_of("excluded_loss_per_key"), parts="excluded_loss_per_key", logarithmic=True),
    MeasurePanel(
        title_of("logit_fve_per_key"), {"all keys": "logit_fve"}, parts="logit_fve_per_key", percent=True
    ),
    MeasurePanel("Gini of the spectrum", {"W_E": "gini_W_E", "W_L": "gini_W_L"}),
    MeasurePanel(
        "Fourier density and ratio",
        {"FFD W_E": "fourier_frequency_density_W_E", "FFD W_L": "fourier_frequency_density_W_L"}
        | {"FCR W_E": "fourier_coefficient_ratio_W_E", "FCR W_L": "fourier_coefficient_ratio_W_L"},
    ),
    MeasurePanel(
        title_of("sum_squared_weights"),
        {"all": "sum_squared_weights"},
        parts="sum_squared_weights_per_tensor",
    ),
    MeasurePanel(
        "Neurons",
        {
            "median FVE": "neuron_fve",
            "decided": "neurons_decided",
            "synchronised": "frequency_synchronisation",
        },
        percent=True,
    ),
    MeasurePanel(title_of("neuron_clusters"), parts="neuron_clusters"),
    MeasurePanel("Margin", {"smallest": "margin_min", "median": "margin_median"}),
    MeasurePanel(title_of("zero_loss"), parts="zero_loss", percent=True),
    MeasurePanel(title_of("zero_gradient"), parts="zero_gradient", percent=True),
)
"""Panels in this order; measures of a table that belong to none of them get one panel each, after these."""
NOT_DRAWN = ("restricted_loss_per_key", "restricted_accuracy_per_key", "excluded_accuracy_per_key")
"""Other measures that are drawn only on request."""
LINES = {"train": TRAIN, "test": TEST, "restricted": GREEN, "excluded": ORANGE}
"""Names with the same colour everywhere."""


class Line(NamedTuple):
    """One line of a panel; a missing value is None."""

    name: str
    values: Sequence[int | float | None]
    colour: str
    dash: str = "solid"


def progress_figure(
    table: ProgressTable, *, measures: Sequence[str] | None = None, phases: bool = True, columns: int = 2
) -> go.Figure:
    """Draw the measures of a table over the steps, as panels that share the axis.

    Args:
        measures: measures to draw; None draws those of `PANELS`, and any that are not listed there.
        phases: whether to shade memorisation, circuit formation and cleanup, if they are found.
        columns: number of columns of panels.

    Raises:
        ConfigError: a measure that the table does not have.
        UndefinedMetricError: no measure has a value.
    """
    unknown = [name for name in measures or () if name not in table.measures]
    if unknown:
        raise ConfigError(f"the table has no measure {unknown[0]!r}; it has {', '.join(table.measures)}")
    shown = [(panel, lines) for panel in _panels(table, measures) if (lines := list(_lines(table, panel)))]
    if not shown:
        raise UndefinedMetricError("no measure of the table has a value, so there is nothing to draw")
    columns = min(columns, len(shown))
    rows = ceil(len(shown) / columns)
    height = rows * (PANEL + GAP) - GAP + TOP + BOTTOM
    drawn = make_subplots(
        rows=rows,
        cols=columns,
        horizontal_spacing=0.09 if columns > 1 else 0,
        vertical_spacing=GAP / (height - TOP - BOTTOM),
        subplot_titles=[panel.title for panel, _ in shown],
        specs=[
            [{} if row * columns + i < len(shown) else None for i in range(columns)] for row in range(rows)
        ],
    )
    found = table.phases if phases else None
    for i, (panel, lines) in enumerate(shown):
        _draw(drawn, table, panel, lines, i, {"row": i // columns + 1, "col": i % columns + 1}, found)
    drawn.update_xaxes(matches="x" if len(shown) > 1 else None, tickformat="~s")
    drawn.update_layout(
        template=TEMPLATE, height=height, hovermode="x unified", margin={"t": TOP, "b": BOTTOM}
    )
    _finish(drawn, [_is_named(lines) for _, lines in shown], columns)
    return drawn


def _panels(table: ProgressTable, measures: Sequence[str] | None) -> Iterator[MeasurePanel]:
    """The panels to draw, each with only the requested measures that the table has."""
    wanted = [name for name in table.measures if (name in measures if measures else name not in NOT_DRAWN)]
    drawn: set[str] = set()
    for panel in PANELS:
        own = {name: measure for name, measure in panel.measures.items() if measure in wanted}
        parts = panel.parts if panel.parts in wanted else None
        drawn |= {*own.values(), *([parts] if parts else [])}
        if own or parts:
            yield panel._replace(measures=own, parts=parts)
    for name in wanted:
        if name not in drawn:
            title = plain(title_of(name))
            yield (
                MeasurePanel(title, parts=name)
                if name not in table.columns
                else MeasurePanel(title, {title: name})
            )


def _lines(table: ProgressTable, panel: MeasurePanel) -> Iterator[Line]:
    """The lines of a panel that have a value; keys are always coloured in their order."""
    for i, (name, column) in enumerate(panel.measures.items()):
        if any(value is not None for value in table[column]):
            yield Line(name, table[column], LINES.get(name, INK if panel.parts else COLOURS[i]))
    parts = table.parts(panel.parts) if panel.parts else {}
    if set(parts) <= set(table.keys or ()):
        lines = {name_of(block_kind(parts), key): values for key, values in parts.items()}
    else:
        lines = _by_module(parts)
    for i, (name, values) in enumerate(lines.items()):
        dash, colour = divmod(i, len(COLOURS))
        yield Line(name, values, COLOURS[colour], DASHES[dash % len(DASHES)])


def _by_module(parts: Mapping[Label, Sequence[int | float | None]]) -> dict[str, list[int | float | None]]:
    """Sums over the tensors of each module, by its name: "embed", "0.attn", "0.mlp", "unembed"."""
    sums: dict[str, list[int | float | None]] = {}
    for part, values in parts.items():
        module = plain(str(part).rpartition(".")[0].removeprefix("blocks.") or part)
        before = sums.get(module, [0.0] * len(values))
        pairs = zip(before, values, strict=True)
        sums[module] = [None if a is None or b is None else a + b for a, b in pairs]
    return sums


def _draw(
    drawn: go.Figure,
    table: ProgressTable,
    panel: MeasurePanel,
    lines: list[Line],
    i: int,
    place: dict[str, Any],
    phases: Phases | None,
) -> None:
    unit = table.about[panel.parts or next(iter(panel.measures.values()))].unit
    scale, unit, ending = (100.0, "%", "%") if panel.percent else (1.0, unit, f" {unit}")
    for line in lines:
        steps, values = _measured(table.steps, line.values)
        trace = go.Scatter(
            x=steps,
            y=scale * values,
            name=line.name,
            mode="lines" if len(steps) > 1 else "markers",
            line={"color": line.colour, "width": 1.6, "dash": line.dash},
            hovertemplate=f"{line.name}: %{{y:.3g}}{plain(ending)}<extra></extra>",
            legend=f"legend{i + 1 if i else ''}",
            showlegend=_is_named(lines),
        )
        drawn.add_trace(trace, **place)
    axis = LOGARITHMIC if panel.logarithmic else {"rangemode": "tozero"}
    drawn.update_yaxes(axis, title_text=plain(unit), **place)
    if phases is not None:
        shade(drawn, phases, labels=i == 0, **place)


def _is_named(lines: Sequence[Line]) -> bool:
    """Whether there is a legend."""
    return 1 < len(lines) <= MOST_NAMED


def _measured(steps: Sequence[int], values: Sequence[int | float | None]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    x, y = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return thin(x, y)


def _finish(drawn: go.Figure, has_legend: Sequence[bool], columns: int) -> None:
    """Put a title, and below it the legend, above each panel, and the step axis below the last panels."""
    layout = layout_of(drawn)
    for i, named in enumerate(has_legend):
        number = i + 1 if i else ""
        x, y = layout[f"xaxis{number}"].domain, layout[f"yaxis{number}"].domain
        legend = {"x": x[0], "xanchor": "left", "y": y[1], "yanchor": "bottom", "orientation": "h"}
        legend |= {"font": {"size": 10, "color": SOFT}, "bgcolor": "rgba(0,0,0,0)"}
        above = {"yshift": 18 if named else 2, "font": {"size": 13, "color": INK}}
        layout.annotations[i].update(x=x[0], xanchor="left", **above)
        below = i + columns >= len(has_legend)
        axis = {"showticklabels": below, "title": {"text": "step" if below else ""}}
        drawn.update_layout({f"legend{number}": legend, f"xaxis{number}": axis})
