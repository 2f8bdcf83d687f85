"""Losses of the scored positions."""

import math

import plotly.graph_objects as go

from mechgrok.analysis.position_losses import PositionLosses
from mechgrok.plots.theme import BLUE, LOGARITHMIC, SOFT, figure, numbers, plain


def position_bars(found: PositionLosses) -> go.Figure:
    """The loss of each position on a logarithmic axis, with that of guessing, and its accuracy on hovering.

    >>> import mechgrok as mg
    >>> model = mg.build_model(mg.digit_addition_task(2), mg.ModelConfig(d_model=16), seed=0)
    >>> list(position_bars(mg.position_losses(model, n=50)).data[0].x)
    ['10^2', '10^1', '10^0']
    """
    dots = go.Scatter(
        x=[plain(label) for label in found.labels],
        y=numbers(found.losses),
        customdata=numbers(found.accuracies),
        mode="markers+lines",
        line={"color": BLUE, "width": 1},
        marker={"color": BLUE, "size": 9},
        hovertemplate="%{x}: %{y:.3g} nats<br>%{customdata:.1%} right<extra></extra>",
    )
    drawn = figure(
        [dots], title=f"Loss of each position, all right for {found.exact_match:.1%} of the inputs"
    )
    guessing = math.log(found.n_classes)
    drawn.add_hline(
        y=guessing, line={"color": SOFT, "dash": "dot", "width": 1}, annotation_text="guessing",
        annotation_font={"color": SOFT, "size": 11}, annotation_position="top right",
    )  # fmt: skip
    drawn.update_xaxes(title_text="scored position", type="category")
    drawn.update_yaxes(LOGARITHMIC, title_text="loss (nats)")
    return drawn
