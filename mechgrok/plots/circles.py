"""Embedding circles: where a frequency places the tokens in the embedding space."""

from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go
import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import Source, as_grid
from mechgrok.algebra import Basis
from mechgrok.algebra.bases import Label
from mechgrok.analysis.embeddings import EmbeddingComponents
from mechgrok.models.protocol import token_embedding
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import CYCLIC, KEY, block_kind, figure, name_of, numbers
from mechgrok.progress.embedding_course import EmbeddingCourse

PANEL = 320


def embedding_circle(source: Source, label: Label) -> go.Figure:
    """The tokens in the plane that one frequency spans in the embedding; hovering shows the token.

    A token's colour is its position k*x mod n on the ideal circle, where x is its position in the group (the
    token itself for a sum, its discrete logarithm for a product). On a circle the colours follow one another all
    the way round. A block with a single row, such as k = p/2, has only one direction: its values are drawn over
    the position in the group. For an irrep, the two strongest directions are shown.

    Raises:
        ConfigError: no such block.
        ActivationError: a grid without its network.

    >>> from mechgrok.models.constructed import cosine_network
    >>> points = embedding_circle(cosine_network(7, {2: 1.0}), 2).data[0]
    >>> (points.x**2 + points.y**2).round(3).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    grid = as_grid(source, names=[])
    frame = grid.task.frame
    points = project_on_block(token_embedding(grid.model)[frame.tokens], frame.basis, label)
    name = name_of(frame.basis.what, label)
    if points.shape[1] == 1:
        x, y = torch.arange(frame.order), points[:, 0]
        titles = "place in the group", "only direction"
    else:
        x, y = points.T
        cosine = frame.basis.what == "frequency"
        titles = ("cosine direction", "sine direction") if cosine else ("1st direction", "2nd direction")
    trace = _points(x, y, label, name, frame.tokens.tolist())
    return _plane(trace, name, titles, None if points.shape[1] == 1 else points.abs().max().item())


def embedding_circles(source: Source, labels: Iterable[Label], columns: int = 3) -> go.Figure:
    """`embedding_circle` for several blocks, as panels of one figure."""
    grid = as_grid(source, names=[])
    return in_panels([embedding_circle(grid, label) for label in labels], columns)


def component_pairs(components: EmbeddingComponents, pairs: int = 2) -> go.Figure:
    """The tokens along the first pairs of principal components of the embedding; each pure pair is a circle.

    Colours are as in `embedding_circle`, by the frequency of the first component of the pair; hovering shows the
    position of the token in the group.

    Args:
        pairs: number of pairs to show; fewer if the embedding has fewer components.

    Raises:
        UndefinedMetricError: there are fewer than two components.

    >>> from mechgrok.analysis.embeddings import embedding_components
    >>> from mechgrok.models.constructed import cosine_network
    >>> component_pairs(embedding_components(cosine_network(7, {2: 5.0}))).layout.annotations[0].text
    'components 1 and 2: k = 2'
    """
    panels = []
    for row in components.rows()[:pairs]:
        i, j = row["components"]
        titles = tuple(f"component {n} ({components.variance[n - 1]:z.0%} of variance)" for n in (i, j))
        trace, names = _pair(row, components.scores)
        panels.append(_plane(trace, f"components {i} and {j}: {names}", titles, _reach(trace)))
    return in_panels(panels, columns=2)


def component_course(course: EmbeddingCourse, pairs: int = 2, snapshots: int = 4) -> go.Figure:
    """The tokens along pairs of the final principal components, at checkpoints from the first to the last.

    A row of panels for each pair; all of a row have one scale. Above each panel stand its step and the share of the
    embedding's variance that the two directions had then. Colours as in `component_pairs`.

    Args:
        pairs: how many to show; fewer where the embedding has fewer components.
        snapshots: how many of the course's steps to show, evenly among them.

    Raises:
        UndefinedMetricError: there are fewer than two components.

    >>> from mechgrok import embedding_course
    >>> drawn = component_course(embedding_course("pizza59", steps=[0, 8000]), pairs=1)
    >>> [note.text for note in drawn.layout.annotations]  # doctest: +ELLIPSIS
    ['step 0: ...% of variance', 'step 8000: ...% of variance']
    """
    last = len(course.steps) - 1
    shown = sorted({round(i * last / max(snapshots - 1, 1)) for i in range(snapshots)})
    panels = []
    for row in course.final.rows()[:pairs]:
        i, j = row["components"]
        traces = [_pair(row, course.scores[at])[0] for at in shown]
        reach = max(map(_reach, traces))
        for at, trace in zip(shown, traces, strict=True):
            share = course.variance[at, [i - 1, j - 1]].sum()
            title = f"step {course.steps[at]}: {share:z.0%} of variance"
            panels.append(_plane(trace, title, (f"component {i}", f"component {j}"), reach))
    return in_panels(panels, columns=len(shown))


def _pair(row: dict[str, Any], scores: Float[Tensor, "order components"]) -> tuple[go.Scatter, str]:
    """The tokens along a pair of components, and what frequencies these have, in words."""
    labels = row["frequencies"]
    names = " and ".join(dict.fromkeys(name_of(block_kind([label]), label) for label in labels))
    x, y = scores[:, [i - 1 for i in row["components"]]].T
    return _points(x, y, labels[0], names, list(range(len(scores))), "place"), names


def _reach(trace: Any) -> float:
    return max(abs(float(value)) for axis in (trace.x, trace.y) for value in axis)


def project_on_block(
    embedding: Float[Tensor, "order d_model"], basis: Basis, label: Label
) -> Float[Tensor, "order directions"]:
    """Coordinates of the symbols in the subspace of the embedding that a block spans; one or two columns.

    For a cosine and a sine the axes are the orthonormal pair closest to their two directions, which need not
    be orthogonal to each other; they coincide with them if the circle is undistorted. For other blocks they are
    the principal directions.

    >>> from mechgrok.algebra import fourier_basis
    >>> basis = fourier_basis(5)
    >>> project_on_block(torch.eye(5).double(), basis, 1).T.allclose(basis.matrix[1:3])
    True
    """
    centred = (embedding - embedding.mean(0)).double()
    rows = basis.matrix[basis.block(label).rows]
    left, _, right = torch.linalg.svd(rows @ centred, full_matrices=False)
    directions = left @ right if len(rows) == 2 and basis.what == "frequency" else right[:2]
    return centred @ directions[: len(rows)].T


def _points(
    x: Tensor, y: Tensor, label: Label, name: str, tokens: list[int], called: str = "token"
) -> go.Scatter:
    order = len(x)
    if isinstance(label, int):
        turn = torch.arange(order) * label % order
        colour = {"color": numbers(turn / order), "colorscale": CYCLIC, "cmin": 0, "cmax": 1}
    else:
        colour = {"color": KEY}
    return go.Scatter(
        x=numbers(x),
        y=numbers(y),
        mode="markers",
        marker=colour | {"size": 7 if order < 200 else 5, "line": {"width": 0.5, "color": "white"}},
        customdata=tokens,
        hovertemplate=f"{called} %{{customdata}}, {name}<br>(%{{x:.3g}}, %{{y:.3g}})<extra></extra>",
        name=name,
    )


def _plane(trace: go.Scatter, title: str, titles: tuple[str, ...], radius: float | None) -> go.Figure:
    """Axes of equal scale around the origin that extend beyond a radius; unconstrained ones if None."""
    drawn = figure([trace], title=title, height=PANEL, width=PANEL + 20, showlegend=False)
    drawn.update_xaxes(title_text=titles[0], nticks=5)
    drawn.update_yaxes(title_text=titles[1], nticks=5)
    if radius is not None:
        reach = max(1.15 * radius, 1e-9)
        drawn.update_xaxes(constrain="domain", range=[-reach, reach])
        drawn.update_yaxes(constrain="domain", range=[-reach, reach], scaleanchor="x")
    return drawn
