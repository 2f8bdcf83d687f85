"""Figures of the QK and OV circuits of attention heads."""

import plotly.graph_objects as go
import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.analysis.head_circuits import HeadCircuits
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import BLUE, DIVERGING, figure, numbers
from mechgrok.wording import in_words

MOST_TOKENS = 512
"""Tokens that a map shows one by one."""
PANEL = 300


def head_circuit_maps(
    circuits: HeadCircuits, *, layer: int | None = None, spectra: bool | None = None
) -> go.Figure:
    """The QK circuit of each head above its OV circuit, over the tokens in the order of the group.

    Args:
        layer: the layer; by default, the last.
        spectra: draw the frequencies of OV circuits, not the circuits; by default, if the group is cyclic.

    Raises:
        ActivationError: there is no such layer.
        UndefinedMetricError: there are too many tokens to draw; spectra of a group that is not cyclic.

    >>> import mechgrok as mg
    >>> drawn = head_circuit_maps(mg.head_circuits(mg.induction_network(d_vocab=12, n_ctx=16)))
    >>> [note.text for note in drawn.layout.annotations]
    ['L1H0, QK', 'L1H1, QK', 'L1H0, OV', 'L1H1, OV']
    """
    i = circuits.n_layers - 1 if layer is None else layer
    if not -circuits.n_layers <= i < circuits.n_layers:
        raise ActivationError(
            f"the network has attention in {in_words(circuits.n_layers, 'layer')}, there is no layer {layer}"
        )
    heads = range(circuits.n_heads)
    written = ov_spectrum if (circuits.cyclic if spectra is None else spectra) else ov_circuit
    panels = [draw(circuits, i % circuits.n_layers, j) for draw in (qk_circuit, written) for j in heads]
    return in_panels(panels, columns=circuits.n_heads)


def qk_circuit(circuits: HeadCircuits, layer: int, head: int) -> go.Figure:
    """How strongly a head is drawn to each token: by the token that asks for the answer, or by each as the query."""
    _check_size(circuits)
    scores, title = circuits.scores(layer, head), f"L{layer}H{head}, QK"
    labels = _labels(circuits)
    if len(scores) == 1:
        line = go.Scatter(
            y=numbers(scores[0]),
            text=labels,
            mode="lines",
            line={"color": BLUE, "width": 1.5},
            hovertemplate="token %{text}<br>score %{y:.3f}<extra></extra>",
        )
        drawn = figure([line], title=title, height=PANEL)
        drawn.update_xaxes(title_text="token")
        return drawn.update_yaxes(title_text="score")
    size = max(scores.abs().max().item(), 1e-12)
    heat = go.Heatmap(
        z=numbers(scores),
        zmin=-size,
        zmax=size,
        colorscale=DIVERGING,
        hovertemplate="from token %{y} to token %{x}<br>score %{z:.3f}<extra></extra>",
    )
    drawn = figure([heat], title=title, height=PANEL)
    drawn.update_xaxes(title_text="key token", showgrid=False)
    return drawn.update_yaxes(title_text="query token", showgrid=False, autorange="reversed")


def ov_circuit(circuits: HeadCircuits, layer: int, head: int) -> go.Figure:
    """What a head writes of each token; neurons of one frequency stand side by side."""
    _check_size(circuits)
    written = circuits.ov(layer, head)[circuits.tokens]
    if circuits.writes == "neurons":
        written = written - written.mean(0)
        written = written[:, _by_frequency(written)] if circuits.cyclic else written
    size = max(written.abs().max().item(), 1e-12)
    output = circuits.writes.removesuffix("s")
    heat = go.Heatmap(
        z=numbers(written),
        zmin=-size,
        zmax=size,
        colorscale=DIVERGING,
        hovertemplate=f"{output} %{{x}}, token %{{y}}<br>written %{{z:.3f}}<extra></extra>",
    )
    ordered = circuits.writes == "neurons" and circuits.cyclic
    drawn = figure([heat], title=f"L{layer}H{head}, OV", height=PANEL)
    drawn.update_xaxes(title_text="neuron, by frequency" if ordered else output, showgrid=False)
    return drawn.update_yaxes(title_text="token", showgrid=False, autorange="reversed")


def ov_spectrum(circuits: HeadCircuits, layer: int, head: int) -> go.Figure:
    """Of which frequencies what a head writes of the tokens is made: the norm over all outputs, for each k above 0.

    Raises:
        UndefinedMetricError: the tokens do not stand in a circle.
    """
    if not circuits.cyclic:
        raise UndefinedMetricError("frequencies need the tokens of a cyclic group")
    norms = torch.fft.rfft(circuits.ov(layer, head)[circuits.tokens], dim=0, norm="ortho").abs().norm(dim=1)
    bars = go.Bar(
        x=list(range(1, len(norms))),
        y=numbers(norms[1:]),
        marker={"color": BLUE},
        hovertemplate="frequency %{x}<br>norm %{y:.3f}<extra></extra>",
    )
    drawn = figure([bars], title=f"L{layer}H{head}, OV", height=PANEL)
    return drawn.update_xaxes(title_text="frequency k").update_yaxes(title_text="norm")


def _by_frequency(written: Tensor) -> Int[Tensor, " neurons"]:
    """Neurons in the order of the frequency that makes up most of what they are given."""
    return torch.fft.rfft(written, dim=0).abs().argmax(0).argsort(stable=True)


def _labels(circuits: HeadCircuits) -> list[str]:
    return [str(token) for token in circuits.tokens.tolist()]


def _check_size(circuits: HeadCircuits) -> None:
    if len(circuits.tokens) > MOST_TOKENS:
        raise UndefinedMetricError(
            f"a map of {len(circuits.tokens):,} tokens cannot be read, at most {MOST_TOKENS} are drawn; qk and ov have "
            "the numbers"
        )
