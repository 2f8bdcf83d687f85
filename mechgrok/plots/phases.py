"""Phases of training: shaded behind any figure over steps, and as a separate figure."""

import plotly.graph_objects as go

from mechgrok.analysis.falls import Boundary
from mechgrok.analysis.phases import Phase, Phases
from mechgrok.analysis.slingshots import Slingshots
from mechgrok.plots.theme import BLUE, INK, LOGARITHMIC, SOFT, VERMILION, figure, plain
from mechgrok.wording import in_words

SHADES = {
    "memorisation": "rgba(138, 151, 168, 0.24)",
    "circuit formation": "rgba(230, 159, 0, 0.20)",
    "cleanup": "rgba(0, 158, 115, 0.16)",
}
"""Pale grey, yellow and green: distinct in lightness and hue for every kind of colour vision, and labelled too."""
EDGES = {"memorisation": "#8a97a8", "circuit formation": "#c98d00", "cleanup": "#009e73"}
FOOT = 0.012
"""Height of the bar at a boundary, as a fraction of the panel's."""
NARROW = 0.16
"""Fraction of the axis below which a label is written vertically."""


def shade(drawn: go.Figure, phases: Phases, *, labels: bool = True, **place: int) -> go.Figure:
    """Shade the phases behind a figure over steps; change the figure and return it.

    A bar at the foot of each boundary shows its interval of uncertainty. Missing phases are left out.

    Args:
        labels: whether to write the names into the shaded areas, vertically if these are narrow.
        place: `row` and `col` of one panel of several; by default, the whole figure.

    >>> from mechgrok.analysis.phases import find_phases
    >>> rows = [dict(step=s, loss_train=10.0**-s, loss_test=1.0 if s < 6 else 10.0 ** (6 - s)) for s in range(9)]
    >>> [shape.type for shape in shade(go.Figure(), find_phases(rows)).layout.shapes][:3]
    ['rect', 'rect', 'rect']
    """
    width = max(phases.last - phases.first, 1)
    seen = [phase for phase in phases if phase.start is not None]
    for phase in seen:
        start, end = _ends(phase, phases)
        rectangle(drawn, start, end, SHADES[phase.name], place)
        if labels:
            angle = -90 if (end - start) / width < NARROW else 0
            _label(drawn, phase.name, (start + end) / 2, angle, place)
    for boundary in {b for phase in seen for b in (phase.start, phase.end) if b is not None}:
        rectangle(drawn, boundary.earliest, boundary.latest, SOFT, place, height=FOOT)
    return drawn


def phase_timeline(phases: Phases) -> go.Figure:
    """The phases as bars over the steps, with the interval of each end; a missing phase shows the reason.

    >>> from mechgrok.analysis.phases import find_phases
    >>> rows = [dict(step=s, loss_train=10.0**-s, loss_test=5.0) for s in range(9)]
    >>> phase_timeline(find_phases(rows)).data[0].name
    'memorisation'
    """
    drawn = figure(
        [_bar(phase, phases) for phase in phases if phase.start is not None],
        title="Phases of the training",
        height=220,
        showlegend=False,
    )
    for phase in phases:
        drawn.add_traces([_interval(phase.name, b) for b in (phase.start, phase.end) if b is not None])
        if phase.start is None:
            drawn.add_annotation(
                x=phases.first, y=phase.name, text=f"none: {plain(phase.reason)}", showarrow=False, xanchor="left",
                font={"size": 11, "color": SOFT},
            )  # fmt: skip
    drawn.update_xaxes(title_text="step", tickformat="~s", range=[phases.first, phases.last])
    drawn.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=[phase.name for phase in phases][::-1],
        range=[-0.6, 2.6],
        showgrid=False,
        automargin=True,
    )
    return drawn


def _ends(phase: Phase, phases: Phases) -> tuple[int, int]:
    """First and last step of a phase that has begun; a phase in progress extends to the last step."""
    start = phases.first if phase.start is None else phase.start.step
    return start, phases.last if phase.end is None else phase.end.step


def _axes(drawn: go.Figure, place: dict[str, int]) -> dict[str, str]:
    """Coordinates to draw in: steps across, and fractions of the panel's height upwards."""
    axis = next(drawn.select_xaxes(**place)).plotly_name if place else "xaxis"
    number = axis.removeprefix("xaxis")
    return {"xref": f"x{number}", "yref": f"y{number} domain"}


def rectangle(
    drawn: go.Figure, x0: int, x1: int, colour: str, place: dict[str, int], height: float = 1.0
) -> None:
    """Colour the steps from x0 to x1 behind a figure, or behind one panel of it, up to a fraction of its height."""
    drawn.add_shape(
        type="rect", x0=x0, x1=x1, y0=0, y1=height, fillcolor=colour, line={"width": 0}, layer="below",
        **_axes(drawn, place),
    )  # fmt: skip


def _label(drawn: go.Figure, name: str, x: float, angle: int, place: dict[str, int]) -> None:
    font = {"size": 10, "color": SOFT}
    drawn.add_annotation(
        text=name, x=x, y=0.5, textangle=angle, showarrow=False, font=font, **_axes(drawn, place)
    )


def _bar(phase: Phase, phases: Phases) -> go.Bar:
    start, end = _ends(phase, phases)
    return go.Bar(
        x=[end - start],
        base=[start],
        y=[phase.name],
        orientation="h",
        width=0.5,
        name=phase.name,
        marker={"color": SHADES[phase.name], "line": {"color": EDGES[phase.name], "width": 1.5}},
        hovertemplate=f"{phase}{f'<br>{plain(phase.reason)}' if phase.reason else ''}<extra></extra>",
    )


def _interval(name: str, boundary: Boundary) -> go.Scatter:
    return go.Scatter(
        x=[boundary.earliest, boundary.step, boundary.latest],
        y=[name] * 3,
        mode="lines+markers",
        line={"color": INK, "width": 1.5},
        marker={"symbol": ["line-ns", "diamond", "line-ns"], "size": [10, 6, 10], "color": INK}
        | {"line": {"width": 1.5, "color": INK}},
        hovertemplate=f"{boundary}<extra></extra>",
    )


def spike_timeline(found: Slingshots) -> go.Figure:
    """The spikes of the train loss over the steps, with the factor of each; slingshots are highlighted.

    >>> from mechgrok.analysis.slingshots import find_slingshots
    >>> losses = [1e-3, 1e-3, 0.5, 0.05, 1e-3, 1e-3]
    >>> drawn = spike_timeline(find_slingshots([{"step": i, "loss_train": x} for i, x in enumerate(losses)]))
    >>> drawn.data[0].x, [round(factor) for factor in drawn.data[0].y]
    ((1,), [500])
    """
    thrown = {cycle.start for cycle in found.cycles or () if cycle.is_slingshot}
    families = (("slingshot", VERMILION, True), ("spike", BLUE, False))
    traces = []
    for name, colour, is_thrown in families:
        spikes = [spike for spike in found.spikes if (spike.start in thrown) == is_thrown]
        if spikes:
            traces.append(
                go.Scatter(
                    x=[spike.start for spike in spikes],
                    y=[spike.height for spike in spikes],
                    mode="markers",
                    name=name,
                    marker={"color": colour, "size": 8, "symbol": "diamond" if is_thrown else "circle"},
                    customdata=[spike.end for spike in spikes],
                    hovertemplate=f"{name}, step %{{x}} to %{{customdata}}<br>%{{y:.3g}} times<extra></extra>",
                )
            )
    count = f"{in_words(found.ten_fold_jumps, 'ten-fold jump')} in {in_words(len(found.spikes), 'spike')}"
    drawn = figure(traces, title=f"Spikes of the train loss: {count}")
    drawn.update_xaxes(title_text="step", tickformat="~s", range=[found.first, found.last])
    drawn.update_yaxes(LOGARITHMIC, title_text="rise of the train loss (factor)")
    return drawn
