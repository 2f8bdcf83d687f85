"""How much of a network its formula accounts for, and what came of the predictions."""

from collections.abc import Sequence

import plotly.graph_objects as go
import torch

from mechgrok.analysis.explanation import Explanation
from mechgrok.analysis.predictions import Prediction
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import BLUE, GREY, KEY, VERMILION, figure, numbers

BINS = 60
ROW = 46
WIDTH = 34
"""Characters in a line of an axis label."""


def explanation_figure(result: Explanation) -> go.Figure:
    """The explained share as a histogram over the inputs, and the outcomes of the predictions with their controls.

    >>> import mechgrok as mg
    >>> drawn = mg.explain(mg.cosine_network(11, {3: 9.0})).figure()
    >>> [note.text for note in drawn.layout.annotations]
    ['explained share 100.0%', 'predictions: 8 of 8 came true']
    """
    panels = [spare_margins_figure(result)]
    if result.interventions:
        panels.append(outcomes_figure(result.interventions))
    drawn = in_panels(panels, columns=1, legend=True)
    drawn.update_layout(height=len(panels) * max(300, 80 + ROW * len(result.interventions)), barmode="group")
    return drawn


def spare_margins_figure(result: Explanation) -> go.Figure:
    """What is left of the margin when twice the deviation is taken away; above 0 an input is explained."""
    spare = result.compared.margin - 2 * result.compared.deviation
    low, high = spare.min().item(), spare.max().item()
    pad = max(high - low, 1e-6) / BINS
    edges = torch.linspace(min(low, 0) - pad, max(high, 0) + pad, BINS + 1)
    counts = torch.histogram(spare.float(), edges.float()).hist
    middles = (edges[1:] + edges[:-1]) / 2
    bars = go.Bar(
        x=numbers(middles), y=numbers(counts), marker={"color": [KEY if m > 0 else GREY for m in middles.tolist()]},
        showlegend=False, width=(edges[1] - edges[0]).item(),
        hovertemplate="%{x:.3g}: %{y} inputs<extra></extra>",
    )  # fmt: skip
    drawn = figure([bars], title=f"explained share {result.explained_share:z.1%}")
    drawn.add_vline(0, line={"color": VERMILION, "width": 1, "dash": "dot"})
    drawn.update_xaxes(title_text="margin of the formula less twice the deviation")
    drawn.update_yaxes(title_text="inputs")
    return drawn


def outcomes_figure(made: Sequence[Prediction]) -> go.Figure:
    """Each intervention with its value, its control, and whether the prediction came true."""
    names = [_broken(item.intervention) for item in made]
    values = go.Bar(
        x=[item.value for item in made],
        y=names,
        orientation="h",
        name="value",
        marker={"color": [BLUE if item.came_true else VERMILION for item in made]},
        customdata=[item.predicted for item in made],
        hovertemplate="%{y}<br>%{x:.4f}; predicted: %{customdata}<extra></extra>",
    )
    controls = go.Bar(
        x=[item.control for item in made],
        y=names,
        orientation="h",
        name="control",
        marker={"color": GREY},
        hovertemplate="%{y}<br>control %{x:.4f}<extra></extra>",
    )
    true = sum(item.came_true for item in made)
    drawn = figure([values, controls], title=f"predictions: {true} of {len(made)} came true")
    drawn.update_xaxes(title_text="accuracy, or R²", range=[0, 1.02])
    drawn.update_yaxes(
        autorange="reversed", automargin=True, showgrid=False, type="category", tickfont={"size": 10}
    )
    return drawn


def _broken(text: str) -> str:
    """A label in several lines."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)
