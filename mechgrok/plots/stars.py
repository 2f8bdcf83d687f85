"""Neurons of one frequency as vectors: what they read and what they write, each at its phase."""

import plotly.graph_objects as go
import torch
from torch import Tensor

from mechgrok.algebra.bases import Label
from mechgrok.analysis.neuron_phases import NeuronPhases
from mechgrok.errors import UndefinedMetricError
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import COLOURS, SOFT, block_kind, figure, name_of, numbers

PANEL = 300
SAME = 0.05
"""Distance, as a share of the amplitude, from which the input weights of the two operands are drawn apart."""
FEW = 30
"""Neurons of a frequency up to which the tips are joined, and lines are not thin."""


def stars(phases: NeuronPhases, *, most: int = 5) -> go.Figure:
    """Input weights above and output weights below, a column for each frequency, a vector for each neuron.

    A vector points at the neuron's phase, and is as long as its amplitude. A line joins the tips in the order of the
    input phases, in both panels: where output weights turn twice as fast, it goes twice around the centre, which makes
    a star of an odd number of neurons; of many neurons it is left out. Rings are the weights of the second operand,
    where they differ.

    Args:
        most: how many frequencies to show, those with most neurons.

    Raises:
        UndefinedMetricError: no neuron is a wave.

    >>> import mechgrok as mg
    >>> drawn = mg.neuron_phases(mg.five_neuron_network()).figure()
    >>> [note.text for note in drawn.layout.annotations]
    ['k = 1: input weights', 'k = 1: output weights']
    """
    groups = list(phases.groups.items())[:most]
    if not groups:
        raise UndefinedMetricError("no neuron is a wave of one frequency, so there is nothing to draw")
    colours = {label: COLOURS[i % len(COLOURS)] for i, (label, _) in enumerate(groups)}
    read = [_star(phases, label, mine, colours[label], "input") for label, mine in groups]
    written = [_star(phases, label, mine, colours[label], "output") for label, mine in groups]
    return in_panels([*read, *written], columns=len(groups))


def _star(phases: NeuronPhases, label: Label, neurons: list[int], colour: str, side: str) -> go.Figure:
    both = side == "input"
    length, phase = (
        (phases.amplitude_a, phases.phase_a) if both else (phases.output_amplitude, phases.output_phase)
    )
    x, y = _tips(length[neurons], phase[neurons])
    traces = [_vectors(x, y, neurons, colour)]
    if len(neurons) <= FEW:
        traces.insert(0, _path(x, y))
    reach = length[neurons].max().item()
    if both:
        other_x, other_y = _tips(phases.amplitude_b[neurons], phases.phase_b[neurons])
        reach = max(reach, phases.amplitude_b[neurons].max().item())
        if ((other_x - x).abs().max() + (other_y - y).abs().max()).item() > SAME * reach:
            traces.append(_rings(other_x, other_y, neurons, colour))
    title = f"{name_of(block_kind([label]), label)}: {side} weights"
    drawn = figure(traces, title=title, height=PANEL, width=PANEL, showlegend=False)
    reach = max(1.15 * reach, 1e-9)
    drawn.update_xaxes(constrain="domain", range=[-reach, reach], nticks=5, title_text="cosine")
    drawn.update_yaxes(
        constrain="domain", range=[-reach, reach], nticks=5, title_text="sine", scaleanchor="x"
    )
    return drawn


def _tips(length: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
    return length * phase.cos(), length * phase.sin()


def _path(x: Tensor, y: Tensor) -> go.Scatter:
    """The tips one after the other, and back to the first."""
    around = [*range(len(x)), 0]
    return go.Scatter(
        x=numbers(x[around]), y=numbers(y[around]), mode="lines", line={"color": SOFT, "width": 1, "dash": "dot"},
        hoverinfo="skip",
    )  # fmt: skip


def _vectors(x: Tensor, y: Tensor, neurons: list[int], colour: str) -> go.Scatter:
    """From the centre to each tip, with a mark at the tip."""
    centre, gap = torch.zeros_like(x), torch.full_like(x, torch.nan)
    xs, ys = (numbers(torch.stack((centre, tip, gap), 1).flatten()) for tip in (x, y))
    width, size = (2, 8) if len(neurons) <= FEW else (0.5, 4)
    return go.Scatter(
        x=xs, y=ys, mode="lines+markers", line={"color": colour, "width": width},
        marker={"color": colour, "size": [0, size, 0] * len(neurons), "opacity": 1},
        customdata=[i for i in neurons for _ in range(3)],
        hovertemplate="neuron %{customdata}<br>cosine %{x:.3g}, sine %{y:.3g}<extra></extra>",
    )  # fmt: skip


def _rings(x: Tensor, y: Tensor, neurons: list[int], colour: str) -> go.Scatter:
    return go.Scatter(
        x=numbers(x), y=numbers(y), mode="markers", customdata=neurons,
        marker={"color": colour, "size": 10, "symbol": "circle-open"},
        hovertemplate="neuron %{customdata}, second operand<br>cosine %{x:.3g}, sine %{y:.3g}<extra></extra>",
    )  # fmt: skip
