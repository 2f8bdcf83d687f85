"""What a network takes from the context: its loss over the positions of a sequence."""

import plotly.graph_objects as go

from mechgrok.analysis.in_context import InContextScore
from mechgrok.plots.positions import position_bars
from mechgrok.plots.theme import BLUE, VERMILION


def in_context_figure(found: InContextScore) -> go.Figure:
    """The loss of each scored position; the early ones that are compared are shaded red, the late ones blue.

    >>> import mechgrok as mg
    >>> task = mg.repeated_sequence_task(9, 11, subsequence=4, repeats=2, every_token=True)
    >>> drawn = in_context_figure(mg.in_context_score(mg.induction_network(9, 11), task, n=20))
    >>> [shape.type for shape in drawn.layout.shapes].count("rect")
    2
    """
    drawn = position_bars(found.positions)
    drawn.update_layout(title_text=f"In-context score {found.score:z.2f} nats")
    for labels, colour in ((found.early, VERMILION), (found.late, BLUE)):
        for label in labels:
            place = found.positions.labels.index(label)
            drawn.add_vrect(
                place - 0.5, place + 0.5, fillcolor=colour, opacity=0.12, line_width=0, layer="below"
            )
    return drawn
