"""Effects of removing or keeping the key frequencies of a network."""

from collections.abc import Sequence

import plotly.graph_objects as go

from mechgrok.analysis.ablation import Ablation
from mechgrok.errors import UndefinedMetricError
from mechgrok.measures import MEASURES
from mechgrok.measures.references import GUESSING
from mechgrok.plots.theme import BLUE, GREY, LOGARITHMIC, SOFT, VERMILION, figure

PLACES = {"embed": "embedding", "neurons": "neurons", "logits": "logits"}


def describe(ablation: Ablation) -> str:
    """Describe an ablation in a few words.

    >>> from mechgrok import ablate
    >>> from mechgrok.models.constructed import cosine_network
    >>> describe(ablate(cosine_network(7, {2: 9.0}), [2], component="sin", keep=True))
    'keep sine only, embedding'
    """
    names = {"cos": "cosine ", "sin": "sine ", "both": ""}
    what = names.get(ablation.component, f"entry {ablation.component} ")
    action = f"keep {what}only" if ablation.keep else f"remove {what}".strip()
    return f"{action}, {PLACES[ablation.site]}"


def ablation_effects(ablations: Sequence[Ablation], *, n_classes: int | None = None) -> go.Figure:
    """Loss before and after each ablation, on a logarithmic axis; hovering shows the accuracy.

    Args:
        n_classes: if given, draws the loss of guessing, ln(n_classes).

    Raises:
        UndefinedMetricError: there are no ablations.

    >>> from mechgrok import summarize
    >>> from mechgrok.models.constructed import cosine_network
    >>> drawn = ablation_effects(summarize(cosine_network(7, {2: 9.0})).ablations)
    >>> drawn.data[-1].y[:2]
    ('remove, embedding', 'remove, neurons')
    """
    if not ablations:
        raise UndefinedMetricError("there are no ablations to draw: a network without keys has none")
    ordered = sorted(ablations, key=lambda ablation: ablation.keep)
    names = [describe(ablation) for ablation in ordered]
    colours = [BLUE if ablation.keep else VERMILION for ablation in ordered]
    drawn = figure(
        [
            _change(name, ablation, colour)
            for name, ablation, colour in zip(names, ordered, colours, strict=True)
        ],
        title="Loss before (hollow) and after (full)",
        height=90 + 36 * len(ordered),
        showlegend=False,
    )
    for when in ("before", "after"):
        drawn.add_trace(_dots(names, ordered, colours, when))
    if n_classes is not None:
        drawn.add_vline(GUESSING.at(n_classes), line={"color": SOFT, "width": 1, "dash": "dot"})
    drawn.update_xaxes(LOGARITHMIC, title_text=f"cross-entropy over all inputs ({MEASURES['loss_all'].unit})")
    drawn.update_yaxes(autorange="reversed", automargin=True, showgrid=False, type="category")
    return drawn


def _change(name: str, ablation: Ablation, colour: str) -> go.Scatter:
    return go.Scatter(
        x=[ablation.loss_before, ablation.loss], y=[name, name], mode="lines",
        line={"color": colour, "width": 2}, opacity=0.45, hoverinfo="skip",
    )  # fmt: skip


def _dots(names: list[str], ablations: Sequence[Ablation], colours: list[str], when: str) -> go.Scatter:
    before = when == "before"
    return go.Scatter(
        x=[a.loss_before if before else a.loss for a in ablations],
        y=names,
        mode="markers",
        name=when,
        marker={
            "color": "white" if before else colours,
            "size": 10,
            "line": {"color": GREY if before else colours, "width": 2},
        },
        customdata=[f"{a.accuracy_before if before else a.accuracy:z.2%}" for a in ablations],
        hovertemplate=f"%{{y}}: {when}<br>loss %{{x:.3g}} nats, accuracy %{{customdata}}<extra></extra>",
    )
