"""The phases at which neurons see both operands, against each other."""

from math import pi
from typing import Literal

import plotly.graph_objects as go

from mechgrok.analysis.neuron_phases import NeuronPhases
from mechgrok.errors import ConfigError, UndefinedMetricError, shown
from mechgrok.plots.stars import stars
from mechgrok.plots.theme import COLOURS, SOFT, block_kind, figure, name_of, numbers

Kind = Literal["stars", "scatter"]
SIDE = 460
TICKS = {"tickvals": [-pi, -pi / 2, 0, pi / 2, pi], "ticktext": ["-π", "-π/2", "0", "π/2", "π"]}


def phases_figure(phases: NeuronPhases, *, kind: Kind = "stars", most: int = 5) -> go.Figure:
    """The neurons as waves: their weights as vectors ("stars"), or the phases of both operands ("scatter").

    Args:
        most: how many frequencies the stars show, those with most neurons.

    Raises:
        ConfigError: another kind.
        UndefinedMetricError: no neuron is a wave.
    """
    if kind not in ("stars", "scatter"):
        raise ConfigError(f"kind must be stars or scatter; got {shown(kind)}")
    return stars(phases, most=most) if kind == "stars" else phase_scatter(phases)


def phase_scatter(phases: NeuronPhases) -> go.Figure:
    """Phase of a against phase of b of every neuron that is a wave, in the colour of its frequency.

    On the line both phases are equal, and what the neurons read is a disc; spread over the square, it is a torus. Where
    the answer is a difference, the line is that of opposite phases.

    Raises:
        UndefinedMetricError: no neuron is a wave.

    >>> import mechgrok as mg
    >>> drawn = mg.neuron_phases(mg.five_neuron_network()).figure(kind="scatter")
    >>> [trace.name for trace in drawn.data]
    ['equal phases', 'k = 1: 5 neurons, alignment 1.000']
    """
    if not phases.groups:
        raise UndefinedMetricError("no neuron is a wave of one frequency, so there is nothing to draw")
    kind = block_kind(phases.groups)
    name = "equal phases" if phases.sense > 0 else "opposite phases"
    line = go.Scatter(
        x=[-pi, pi], y=[-pi * phases.sense, pi * phases.sense], mode="lines", name=name, hoverinfo="skip",
        line={"color": SOFT, "width": 1, "dash": "dash"},
    )  # fmt: skip
    dots = [
        go.Scatter(
            x=numbers(phases.phase_a[neurons]),
            y=numbers(phases.phase_b[neurons]),
            mode="markers",
            name=f"{name_of(kind, label)}: {len(neurons)} neurons, alignment {phases.alignment(label):z.3f}",
            marker={"color": COLOURS[i % len(COLOURS)], "size": 7, "opacity": 0.8},
            customdata=neurons,
            hovertemplate="neuron %{customdata}: %{x:.2f}, %{y:.2f}<extra></extra>",
        )
        for i, (label, neurons) in enumerate(phases.groups.items())
    ]
    drawn = figure(
        [line, *dots],
        title=f"Phases of the neurons, alignment {phases.alignment():z.3f}",
        height=SIDE,
        width=SIDE + 260,
        legend={"orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top"},
    )
    drawn.update_xaxes(title_text="phase of a", range=[-1.05 * pi, 1.05 * pi], constrain="domain", **TICKS)
    drawn.update_yaxes(title_text="phase of b", range=[-1.05 * pi, 1.05 * pi], scaleanchor="x", **TICKS)
    return drawn
