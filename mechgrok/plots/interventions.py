"""What interventions leave of a network's answers, and what they were predicted to do."""

from collections.abc import Sequence

import plotly.graph_objects as go

from mechgrok.analysis.additive import AdditiveOnly
from mechgrok.analysis.component_ablation import ComponentAblations
from mechgrok.analysis.interchange import Interchange
from mechgrok.analysis.performance import Performance
from mechgrok.analysis.scrubbing import Scrubbing
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import BLUE, GREY, KEY, LOGARITHMIC, SOFT, block_kind, figure, name_of

ROW = 34
LEAST = 1e-12
"""Loss in nats that is drawn where it is lower still."""


def performances_figure(result: AdditiveOnly | ComponentAblations | Scrubbing) -> go.Figure:
    """Accuracy and loss under each intervention, a row for each; the network as it is in grey.

    >>> import mechgrok as mg
    >>> drawn = mg.scrub(mg.cosine_network(7, {2: 9.0})).figure()
    >>> drawn.data[0].y[:2]
    ('the network', 'clusters, same answer')
    """
    performances = result.performances
    height = 130 + ROW * len(performances)
    accuracy = _bars(performances, "accuracy", [item.accuracy for item in performances], "%{x:.2%}")
    accuracy.update_xaxes(title_text="accuracy", range=[0, 1.02], tickformat=".0%")
    loss = _dots(performances, [max(item.loss, LEAST) for item in performances])
    loss.update_xaxes(LOGARITHMIC, title_text="cross-entropy (nats)")
    loss.update_yaxes(showticklabels=False)
    drawn = in_panels([accuracy, loss], columns=2)
    drawn.update_layout(height=height)
    return drawn


def predictions_figure(result: Interchange) -> go.Figure:
    """How much of the change of the logits the formula predicts, and of the answers, for each key and all together.

    >>> import mechgrok as mg
    >>> drawn = mg.interchange(mg.cosine_network(11, {2: 9.0, 5: 4.0}), [2, 5]).figure()
    >>> drawn.data[0].x
    ('k = 2', 'k = 5', 'all keys')
    """
    exchanges = [*result.by_key.values(), result.together]
    kind = block_kind(result.by_key)
    names = [*(name_of(kind, label) for label in result.by_key), "all keys"]
    values = {"change of the logits": [e.r2 for e in exchanges], "answers": [e.accuracy for e in exchanges]}
    bars = [
        go.Bar(
            x=names, y=values[what], name=what, marker={"color": colour},
            hovertemplate=f"%{{x}}: {what} %{{y:.3f}}<extra></extra>",
        )
        for what, colour in zip(values, (KEY, GREY), strict=True)
    ]  # fmt: skip
    drawn = figure(bars, title=f"Predicted by the formula, exchanged at {result.site}", barmode="group")
    drawn.update_yaxes(
        title_text="R² of changes, share of answers", range=[min(0, *map(min, values.values())), 1.05]
    )
    drawn.update_xaxes(type="category")
    return drawn


def _bars(performances: Sequence[Performance], title: str, values: list[float], shown: str) -> go.Figure:
    bars = go.Bar(
        x=values,
        y=[item.name for item in performances],
        orientation="h",
        marker={"color": [GREY, *[BLUE] * (len(performances) - 1)]},
        hovertemplate=f"%{{y}}: {shown}<extra></extra>",
    )
    drawn = figure([bars], title=title, showlegend=False)
    drawn.update_yaxes(autorange="reversed", automargin=True, showgrid=False, type="category")
    return drawn


def _dots(performances: Sequence[Performance], losses: list[float]) -> go.Figure:
    dots = go.Scatter(
        x=losses,
        y=[item.name for item in performances],
        mode="markers",
        marker={
            "color": [GREY, *[BLUE] * (len(performances) - 1)],
            "size": 11,
            "line": {"color": SOFT, "width": 1},
        },
        hovertemplate="%{y}: %{x:.3g} nats<extra></extra>",
    )
    drawn = figure([dots], title="loss", showlegend=False)
    drawn.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return drawn
