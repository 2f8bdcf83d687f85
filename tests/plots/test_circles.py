"""Embedding circles."""

import numpy as np
import pytest
import torch

import mechgrok as mg
from mechgrok.algebra import fourier_basis
from mechgrok.plots.circles import embedding_circle, embedding_circles, project_on_block
from mechgrok.tasks import sn_task


@pytest.mark.parametrize(("p", "k"), [(3, 1), (10, 3), (13, 6)])
def test_a_planted_circle_is_drawn_with_every_token_at_its_angle(p: int, k: int):
    drawn = embedding_circle(mg.cosine_network(p, {k: 1.0}), k)
    angles = 2 * np.pi * k * np.arange(p) / p
    np.testing.assert_allclose(drawn.data[0].x, np.cos(angles), atol=1e-6)
    np.testing.assert_allclose(drawn.data[0].y, np.sin(angles), atol=1e-6)
    np.testing.assert_allclose(drawn.data[0].marker.color, (k * np.arange(p) % p) / p, atol=1e-6)
    assert list(drawn.data[0].customdata) == list(range(p))
    assert drawn.layout.title.text == f"k = {k}"
    assert drawn.layout.xaxis.title.text == "cosine direction"
    assert drawn.layout.yaxis.scaleanchor == "x"


def test_a_skew_circle_keeps_its_distances():
    """The axes are orthonormal, also where cosine and sine directions are not orthogonal."""
    basis = fourier_basis(11)
    mix = torch.tensor([[1.0, 0.2, 0.0], [0.9, 1.0, 0.5]], dtype=torch.float64)
    embedding = basis.matrix[3:5].T @ mix
    points = project_on_block(embedding, basis, 2)
    torch.testing.assert_close(
        torch.cdist(points, points), torch.cdist(embedding, embedding), atol=1e-6, rtol=0
    )


def test_other_frequencies_leave_the_projection_alone():
    basis = fourier_basis(11)
    plane = torch.eye(4, dtype=torch.float64)
    embedding = basis.matrix[3:5].T @ plane[:2] + 7 * basis.matrix[5:7].T @ plane[2:] + 100
    torch.testing.assert_close(project_on_block(embedding, basis, 2), basis.matrix[3:5].T)


def test_the_alternating_frequency_has_one_direction():
    drawn = embedding_circle(mg.cosine_network(6, {3: 1.0}), 3)
    np.testing.assert_allclose(np.abs(drawn.data[0].y), 1, atol=1e-6)
    np.testing.assert_allclose(drawn.data[0].y[1:], -drawn.data[0].y[:-1], atol=1e-6)
    assert drawn.layout.yaxis.title.text == "only direction"


def test_tokens_of_a_product_are_placed_by_their_logarithm():
    task = mg.modular_task("mul", 7)
    grid = mg.cache_grid(mg.build_model(task, mg.ModelConfig(d_model=16)), task)
    drawn = embedding_circle(grid, 1)
    assert list(drawn.data[0].customdata) == [1, 3, 2, 6, 4, 5], "the powers of 3; 0 has no place"


def test_irreps_show_their_two_strongest_directions():
    task = sn_task("S3")
    grid = mg.cache_grid(mg.build_model(task, mg.ModelConfig(d_model=16)), task)
    drawn = embedding_circles(grid, ["sign", "standard"])
    assert [len(trace.x) for trace in drawn.data] == [6, 6]
    assert [note.text for note in drawn.layout.annotations] == ["sign", "standard"]
    assert drawn.layout.xaxis2.title.text == "1st direction"


def test_panels_of_circles_keep_their_aspect():
    drawn = embedding_circles(mg.cosine_network(13, {1: 1.0, 4: 1.0, 5: 1.0, 6: 1.0}), [1, 4, 5, 6])
    assert len(drawn.data) == 4
    assert drawn.layout.yaxis4.scaleanchor == "x4"


def test_no_key_no_panel():
    with pytest.raises(mg.UndefinedMetricError, match="nothing to draw"):
        embedding_circles(mg.cosine_network(7, {2: 1.0}), [])
