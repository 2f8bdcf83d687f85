"""Figures of the usual causal tools: attributions as bars, patching and the logit lens as heat maps."""

from collections.abc import Sequence

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from mechgrok.analysis.attribution import LogitAttribution
from mechgrok.analysis.logit_lens import LogitLens
from mechgrok.analysis.patching import ActivationPatching, PathPatching
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import BLUE, DIVERGING, SEQUENTIAL, figure, numbers

ROW, LEAST_HEIGHT = 26, 240
MOST_WRITTEN = 64
"""Cells whose values are written into them."""


def attribution_bars(attribution: LogitAttribution) -> go.Figure:
    """The mean effect of each component on the right logit, with its standard deviation over the answers.

    >>> import mechgrok as mg
    >>> drawn = mg.direct_logit_attribution(mg.clock_transformer(7, {2: 9.0})).figure()
    >>> round(dict(zip(drawn.data[0].y, drawn.data[0].x))["neurons 2"], 3)
    9.0
    """
    rows = attribution.records()
    bars = go.Bar(
        x=[row["mean effect"] for row in rows],
        y=[row["component"] for row in rows],
        error_x={"array": [row["spread"] for row in rows], "thickness": 1},
        orientation="h",
        marker={"color": BLUE},
        hovertemplate="%{y}: %{x:.3g}<extra></extra>",
    )
    drawn = figure([bars], title="Direct logit attribution", showlegend=False)
    drawn.update_xaxes(title_text="right logit less the mean logit")
    drawn.update_yaxes(autorange="reversed", automargin=True, showgrid=False, type="category")
    return drawn.update_layout(height=max(LEAST_HEIGHT, 110 + ROW * len(rows)))


def patching_maps(patching: ActivationPatching) -> go.Figure:
    """The share of the logit difference that each patched activation brings back, a panel for each site.

    >>> import mechgrok as mg
    >>> network = mg.induction_network(d_vocab=6, n_ctx=8)
    >>> drawn = mg.patch_activations(network, [1, 2, 3, 1], [1, 4, 3, 1]).figure()
    >>> [note.text for note in drawn.layout.annotations]
    ['resid_pre', 'attn_out', 'z, by head']
    """
    tables = [(site, table, "position") for site, table in patching.by_position.items()]
    tables += [(f"{site}, by head", table, "head") for site, table in patching.by_head.items()]
    panels = []
    for title, table, across in tables:
        panel = _map(table, range(len(table)), range(table.shape[1]), title)
        panel.update_xaxes(title_text=across, dtick=1)
        panel.update_yaxes(title_text="layer", dtick=1)
        panels.append(panel)
    return in_panels(panels, columns=2)


def path_map(patching: PathPatching) -> go.Figure:
    """The share that each path brings back, from senders, downwards, to receivers, to the right.

    >>> import mechgrok as mg
    >>> network = mg.induction_network(d_vocab=6, n_ctx=8)
    >>> drawn = mg.patch_paths(network, [1, 2, 3, 1], [4, 2, 3, 1]).figure()
    >>> drawn.data[0].z.shape
    (4, 7)
    """
    drawn = _map(patching.recovered, patching.senders, patching.receivers, "Path patching")
    drawn.update_xaxes(title_text="receiver", type="category")
    drawn.update_yaxes(title_text="sender", type="category")
    return drawn


def lens_map(lens: LogitLens) -> go.Figure:
    """Accuracy of the stream read out at each stage, downwards, and position.

    >>> import mechgrok as mg
    >>> drawn = mg.logit_lens(mg.clock_transformer(7, {2: 9.0})).figure()
    >>> float(drawn.data[0].z[-1][-1])
    1.0
    """
    heat = go.Heatmap(
        z=numbers(lens.accuracy),
        x=list(lens.positions),
        y=list(lens.stages),
        zmin=0,
        zmax=1,
        colorscale=SEQUENTIAL,
        texttemplate="%{z:.0%}" if lens.accuracy.numel() <= MOST_WRITTEN else None,
        xgap=2,
        ygap=2,
        hovertemplate="%{y}, %{x}<br>accuracy %{z:.3f}<extra></extra>",
    )
    drawn = figure([heat], title="Logit lens: accuracy")
    drawn.update_xaxes(type="category", showgrid=False)
    drawn.update_yaxes(type="category", showgrid=False, autorange="reversed", automargin=True)
    return drawn.update_layout(height=max(LEAST_HEIGHT, 120 + ROW * len(lens.stages)))


def _map(
    table: Float[Tensor, "rows columns"], rows: Sequence[int | str], columns: Sequence[int | str], title: str
) -> go.Figure:
    """A heat map of shares, orange where the clean answer comes back."""
    heat = go.Heatmap(
        z=numbers(table),
        x=list(columns),
        y=list(rows),
        zmin=-1,
        zmax=1,
        colorscale=DIVERGING,
        texttemplate="%{z:.2f}" if table.numel() <= MOST_WRITTEN else None,
        xgap=2,
        ygap=2,
        hovertemplate="%{y}, %{x}<br>recovered %{z:.3f}<extra></extra>",
    )
    drawn = figure([heat], title=title)
    drawn.update_xaxes(showgrid=False)
    drawn.update_yaxes(showgrid=False, autorange="reversed", automargin=True)
    return drawn
