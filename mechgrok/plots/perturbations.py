"""What is left of a network's answers when what its neurons read is broken, beside the controls."""

from collections.abc import Sequence

import plotly.graph_objects as go

from mechgrok.analysis.perturbations import NeuronPerturbations
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import BLUE, GREY, LOGARITHMIC, SOFT, VERMILION, figure

ROW = 40
LEAST = 1e-15
"""Loss in nats that is drawn where it is lower still."""


def perturbations_figure(result: NeuronPerturbations) -> go.Figure:
    """Accuracy and loss under each perturbation, a row for each, with its control in grey.

    Blue is what was predicted, red what was not; the dotted line is the network as it is.

    >>> import mechgrok as mg
    >>> drawn = mg.perturb_neurons(mg.pizza_network(7, {2: 9.0}), noise=0).figure()
    >>> drawn.data[0].y[:2]
    ('both signs flipped', 'sign of a flipped')
    """
    height = 150 + ROW * len(result.rows)
    accuracy = _marks(result, "accuracy", [1.0] * len(result.rows))
    accuracy.update_xaxes(title_text="accuracy", range=[-0.03, 1.03], tickformat=".0%")
    loss = _marks(result, "loss", None)
    loss.update_xaxes(LOGARITHMIC, title_text="cross-entropy (nats)")
    loss.update_yaxes(showticklabels=False)
    drawn = in_panels([accuracy, loss], columns=2, legend=True)
    drawn.update_layout(height=height)
    return drawn


def _marks(result: NeuronPerturbations, what: str, stems: Sequence[float] | None) -> go.Figure:
    names, rows = list(result.rows), list(result.rows.values())
    before = max(getattr(result.before, what), LEAST)
    controls = go.Scatter(
        x=[None if row.control is None else max(getattr(row.control, what), LEAST) for row in rows],
        y=names, mode="markers", name="control", legendgroup="control", showlegend=stems is not None,
        marker={"color": GREY, "size": 12, "symbol": "diamond", "line": {"color": SOFT, "width": 1}},
        customdata=["" if row.control is None else row.control.name for row in rows],
        hovertemplate="%{y}<br>control, %{customdata}: %{x:.4g}<extra></extra>",
    )  # fmt: skip
    values = go.Scatter(
        x=[max(getattr(row, what), LEAST) for row in rows],
        y=names, mode="markers", name="perturbed", legendgroup="perturbed", showlegend=stems is not None,
        marker={"color": [BLUE if row.came_true else VERMILION for row in rows], "size": 10},
        customdata=[row.predicted for row in rows],
        hovertemplate="%{y}<br>%{x:.4g}; predicted: %{customdata}<extra></extra>",
    )  # fmt: skip
    drawn = figure([controls, values])
    drawn.add_vline(before, line={"color": SOFT, "width": 1, "dash": "dot"})
    drawn.update_yaxes(autorange="reversed", automargin=True, type="category")
    return drawn
