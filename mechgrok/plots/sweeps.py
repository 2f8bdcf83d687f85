"""A sweep as one figure: a quantity over one field with the spread over the others, or a map over two."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import median, quantiles
from typing import Any

import plotly.graph_objects as go

from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.plots.theme import BLUE, COLOURS, GREEN, GREY, LOGARITHMIC, ORANGE, SEQUENTIAL, figure, plain
from mechgrok.spelling import unknown
from mechgrok.sweeps.sweep import Sweep

KINDS = {"comprehension": GREEN, "grokking": BLUE, "memorisation": ORANGE, "confusion": GREY}
"""Liu et al. 2022's phases of learning."""
RATE = "rate"
"""Not a column of the table but the share of members that grokked for good."""
NORMAL = 1.959963984540054
"""Standard deviations of a normal distribution within which 95% of it lie."""
WIDE = 3
"""Ratio of the ends from which an axis is logarithmic."""
MOST_TICKS = 8
"""Values of a field that each get their own tick."""

Records = Sequence[Mapping[str, Any]]


def sweep_figure(
    sweep: Sweep, *, x: str | None = None, y: str | None = None, value: str = RATE, by: str | None = None
) -> go.Figure:
    """A quantity of the members of a sweep over one field, or over two.

    Over one field it is the median with the range between the quartiles, over all members with that value. The "rate",
    the share that grokked for good, has its 95% interval (Wilson). Over two fields it is a map of medians, and for
    `value="kind"` a phase diagram of the most frequent kind of learning in each cell.

    Args:
        x: a field that varies; None takes the first with numbers.
        y: a second one, for a map.
        value: a column of the table, or "rate".
        by: a field of which each value gets a line of its own; not for a map.

    Raises:
        ConfigError: a field that does not vary, or a column that is not there.
        UndefinedMetricError: no member has a value.
    """
    records = [row.record() for row in sweep.rows if row.error is None]
    x = x or _first_with_numbers(sweep)
    for field in (x, y, by):
        if field is not None and field not in sweep.varied:
            raise ConfigError(unknown("field that varies", field, sweep.varied))
    columns = dict.fromkeys([RATE, *(name for record in records for name in record)])
    if value not in columns:
        raise ConfigError(unknown("column of the sweep", value, columns))
    records = [record | {RATE: record.get("grokked_for_good") is not None} for record in records]
    records = [record for record in records if record.get(value) is not None]
    if not records:
        raise UndefinedMetricError(f"no member of the sweep has a value of {value}")
    if y is not None:
        return _phases(records, x, y) if value == "kind" else _map(records, x, y, value)
    if value == "kind":
        raise ConfigError("kinds of learning are drawn over two fields; give y=... too")
    return _lines(records, x, value, by)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95% interval of Wilson for a rate: the rates that lie within 1.96 standard errors of what was seen.

    >>> [round(bound, 3) for bound in wilson(9, 10)]
    [0.596, 0.982]
    """
    share, z = successes / n, NORMAL
    centre, half = share + z**2 / (2 * n), z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, (centre - half) / (1 + z**2 / n)), min(1.0, (centre + half) / (1 + z**2 / n))


def _first_with_numbers(sweep: Sweep) -> str:
    numeric = [
        field
        for field in sweep.varied
        if field != "seed" and all(_is_number(row.settings.get(field)) for row in sweep.rows)
    ]
    if not numeric:
        raise ConfigError(
            f"say over which field, x=...; what varies is {', '.join(sweep.varied) or 'nothing'}"
        )
    return numeric[0]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _lines(records: Records, x: str, value: str, by: str | None) -> go.Figure:
    groups = _values(records, by) if by else [None]
    traces = []
    for number, group in enumerate(groups):
        members = [record for record in records if by is None or record[by] == group]
        name = f"{by} = {plain(group)}" if by else ""
        traces += _line(members, x, value, name, COLOURS[number % len(COLOURS)])
    title = f"{_title(value)} over {plain(x)}, {_spread(value)}"
    drawn = figure(traces, title=title[0].upper() + title[1:])
    _axis(drawn.update_xaxes, x, _values(records, x))
    drawn.update_yaxes(title_text=_title(value))
    if value == RATE:
        drawn.update_yaxes(range=[-0.04, 1.04], tickformat=".0%")
    return drawn


def _line(members: Records, x: str, value: str, name: str, colour: str) -> list[go.Scatter]:
    """The middle of each group of members, and the range around it as a band."""
    places = _values(members, x)
    summaries = [_summary([m[value] for m in members if m[x] == place], value) for place in places]
    low, middle, high = zip(*summaries, strict=True)
    band = go.Scatter(
        x=[*places, *reversed(places)], y=[*high, *reversed(low)], mode="lines", fill="toself", fillcolor=colour,
        opacity=0.18, line={"width": 0}, hoverinfo="skip", showlegend=False, legendgroup=name,
    )  # fmt: skip
    line = go.Scatter(
        x=places, y=middle, mode="lines+markers", name=name, line={"color": colour}, legendgroup=name,
        showlegend=bool(name), hovertemplate=f"{plain(x)} %{{x}}: %{{y:.4g}}<extra>{name}</extra>",
    )  # fmt: skip
    return [band, line]


def _summary(values: Sequence[int | float], value: str) -> tuple[float, float, float]:
    """The lower end, the middle and the upper end of what is drawn for a group."""
    if value == RATE:
        grokked = int(sum(values))
        low, high = wilson(grokked, len(values))
        return low, grokked / len(values), high
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, median(values), high


def _phases(records: Records, x: str, y: str) -> go.Figure:
    """The most frequent kind of learning in each cell, as squares of its colour."""
    cells = _cells(records, x, y)
    kinds = {
        cell: Counter(member["kind"] for member in members).most_common(1)[0]
        for cell, members in cells.items()
    }
    traces = []
    for kind, colour in KINDS.items():
        own = [(cell, count) for cell, (most, count) in kinds.items() if most == kind]
        traces.append(
            go.Scatter(
                x=[a for (a, _), _ in own] or [None], y=[b for (_, b), _ in own] or [None], mode="markers", name=kind,
                marker={"color": colour, "symbol": "square", "size": 14},
                text=[f"{count} of {len(cells[cell])}" for cell, count in own],
                hovertemplate=f"{plain(x)} %{{x}}, {plain(y)} %{{y}}<br>{kind}: %{{text}}<extra></extra>",
            )
        )  # fmt: skip
    drawn = figure(traces, title="Kind of learning", height=420)
    _axis(drawn.update_xaxes, x, _values(records, x))
    _axis(drawn.update_yaxes, y, _values(records, y))
    return drawn


def _map(records: Records, x: str, y: str, value: str) -> go.Figure:
    places, heights, cells = _values(records, x), _values(records, y), _cells(records, x, y)
    table = [
        [_summary([m[value] for m in cells[a, b]], value)[1] if (a, b) in cells else None for a in places]
        for b in heights
    ]
    heat = go.Heatmap(
        x=[str(a) for a in places], y=[str(b) for b in heights], z=table, colorscale=SEQUENTIAL, xgap=1, ygap=1,
        hovertemplate=f"{plain(x)} %{{x}}, {plain(y)} %{{y}}: %{{z:.4g}}<extra></extra>",
        colorbar={"title": {"text": _title(value), "side": "right"}},
    )  # fmt: skip
    drawn = figure([heat], title=f"{_title(value)}, {_spread(value, middle_alone=True)}", height=420)
    drawn.update_xaxes(title_text=x, type="category")
    drawn.update_yaxes(title_text=y, type="category")
    return drawn


def _cells(records: Records, x: str, y: str) -> dict[tuple[Any, Any], list[Mapping[str, Any]]]:
    cells: dict[tuple[Any, Any], list[Mapping[str, Any]]] = {}
    for record in records:
        cells.setdefault((record[x], record[y]), []).append(record)
    return cells


def _values(records: Records, field: str) -> list[Any]:
    found = list(dict.fromkeys(record[field] for record in records))
    return sorted(found) if all(_is_number(value) for value in found) else found


def _axis(update: Any, field: str, values: Sequence[Any]) -> None:
    update(title_text=field)
    numeric = all(_is_number(value) for value in values)
    if numeric and min(values) > 0 and max(values) >= WIDE * min(values):
        update(LOGARITHMIC)
    if numeric and len(values) <= MOST_TICKS:
        update(tickvals=values, ticktext=[f"{value:z.4g}" for value in values], tickfont={"size": 11})
    if not numeric:
        update(type="category")


def _title(value: str) -> str:
    return "share that grokked for good" if value == RATE else value.replace("_", " ")


def _spread(value: str, middle_alone: bool = False) -> str:
    if value == RATE:
        return "of all members" if middle_alone else "with its 95% interval"
    return "median" if middle_alone else "median and quartiles"
