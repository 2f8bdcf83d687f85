"""The sums of the embeddings of both operands, by the result that they should stand for."""

import plotly.graph_objects as go
import torch

from mechgrok.analysis.representation_quality import RepresentationQuality
from mechgrok.plots.theme import BLUE, figure, numbers


def sums_by_result(quality: RepresentationQuality) -> go.Figure:
    """Where the sum of each pair lies along the first principal component of all sums, over the result of the pair.

    Pairs that form a parallelogram are one point in every direction; an embedding with an RQI of 1 has one point for
    each result.

    >>> import mechgrok as mg
    >>> drawn = mg.representation_quality(torch.arange(5.0)).figure()
    >>> len(drawn.data[0].x), drawn.layout.title.text
    (15, 'Sums of embeddings by result, RQI 1.000')
    """
    pairs = quality.pairs
    centred = quality.sums - quality.sums.mean(0)
    direction = torch.linalg.svd(centred, full_matrices=False).Vh[0]
    names = [f"{i} and {j}" for i, j in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)]
    dots = go.Scatter(
        x=numbers(pairs.result),
        y=numbers(centred @ direction),
        mode="markers",
        text=names,
        marker={"color": BLUE, "size": 7, "opacity": 0.5},
        hovertemplate="%{text}: result %{x}, %{y:.4g}<extra></extra>",
    )
    drawn = figure([dots], title=f"Sums of embeddings by result, RQI {quality.rqi:z.3f}")
    drawn.update_xaxes(title_text="result of the pair")
    return drawn.update_yaxes(title_text="first principal component")
