"""Principal components of embeddings: planted circles are found, mixed circles are recognised as mixed."""

import pytest
import torch
from planted import lookup_logits

import mechgrok as mg
from mechgrok.algebra import fourier_basis
from mechgrok.analysis.embeddings import circularity, embedding_components, operand_embeddings
from mechgrok.config import MLPConfig
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.models.mlp import HookedMLP
from mechgrok.tasks import sn_task


def network(embedding: torch.Tensor, second: torch.Tensor | None = None) -> HookedMLP:
    p, width = embedding.shape
    separate = "shared" if second is None else "separate"
    model = HookedMLP(
        MLPConfig(d_vocab=p, d_vocab_out=p, d_embed=width, d_mlp=4, embeddings=separate)
    ).double()
    with torch.no_grad():
        model.embed.W_E.copy_(embedding)
        if second is not None:
            model.embed_b.W_E.copy_(second)
    model.task = mg.modular_task("add", p)
    return model


def circles(p: int, sizes: dict[int, float]) -> torch.Tensor:
    """Circles of the given frequencies in orthogonal planes, turned at random, around a common mean."""
    basis = fourier_basis(p)
    waves = torch.cat([size * basis.matrix[basis.block(k).rows] for k, size in sizes.items()])
    g = torch.Generator().manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(12, 12, generator=g, dtype=torch.float64))
    return waves.T @ turn[: len(waves)] + turn[-1]


@pytest.mark.parametrize("p", [7, 10, 59])
def test_planted_circles(p: int):
    model = network(circles(p, {1: 3.0, 3: 2.0, 2: 1.0}))
    parts = embedding_components(model)
    assert parts.frequency == (1, 1, 3, 3, 2, 2)
    torch.testing.assert_close(parts.purity, torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close(parts.variance, torch.tensor([9.0, 9, 4, 4, 1, 1], dtype=torch.float64) / 28)
    torch.testing.assert_close(parts.mean + parts.scores @ parts.directions, model.embed.W_E.data)
    assert circularity(model) == pytest.approx(1)
    assert [row["frequencies"] for row in parts.rows()] == [(1, 1), (3, 3), (2, 2)]


def test_the_published_formula():
    """2 |sum_j v_j e^(2 pi i j k / p)|^2 / (p sum v_j^2), the best k of 1..p-1, over four components."""
    p = 11
    embedding = torch.randn(p, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    centred = embedding - embedding.mean(0)
    scores = centred @ torch.linalg.svd(centred)[2][:4].T
    angles = 2 * torch.pi / p * torch.outer(torch.arange(1, p), torch.arange(p)).double()
    power = (angles.cos() @ scores).square() + (angles.sin() @ scores).square()
    expected = (2 * power / (p * scores.square().sum(0))).amax(0).mean().item()
    assert circularity(network(embedding)) == pytest.approx(expected)
    assert circularity(network(embedding)) < 0.9


def test_circles_of_one_size_are_mixed():
    """What makes circularity misleading: perfect circles, but components that are sums of two waves."""
    basis = fourier_basis(59)
    g = torch.Generator().manual_seed(0)
    mix, _ = torch.linalg.qr(torch.randn(4, 4, generator=g, dtype=torch.float64))
    waves = torch.cat([basis.matrix[basis.block(k).rows] for k in (5, 20)])
    scale = torch.tensor([1.003, 1.002, 1.001, 1.0], dtype=torch.float64)[:, None]
    assert circularity(network((scale * (mix @ waves)).T)) < 0.9


def test_operands_with_embeddings_of_their_own():
    first, second = circles(7, {1: 2.0}), circles(7, {3: 2.0})
    grid = mg.cache_grid(network(first, second))
    torch.testing.assert_close(operand_embeddings(grid), torch.stack([first, second]))
    assert embedding_components(grid, 0).frequency == (1, 1)
    assert embedding_components(grid, 1).frequency == (3, 3)


def test_operands_with_tokens_of_their_own():
    both = torch.cat([circles(7, {1: 2.0}), circles(7, {3: 2.0})])
    model = network(both)
    model.task = mg.modular_task("add", 7, sequence=("a", "b'"))
    grid = mg.cache_grid(model)
    torch.testing.assert_close(operand_embeddings(grid), both.view(2, 7, -1))


def test_undefined():
    with pytest.raises(UndefinedMetricError, match="the same for all tokens"):
        circularity(network(torch.ones(7, 3, dtype=torch.float64)))
    s3 = sn_task("S3", sequence=("a", "b"))
    model = network(torch.eye(6, dtype=torch.float64))
    model.task = s3
    with pytest.raises(UndefinedMetricError, match="circles need the Fourier basis of a cyclic group"):
        circularity(model)
    add = mg.modular_task("add", 7)
    with pytest.raises(ActivationError, match="needs W_E"):
        circularity(mg.grid_from_tensors(add, lookup_logits(add)))


def test_a_task_without_two_operands_has_no_embeddings_of_theirs():
    task = mg.parity_task(n_bits=4, relevant=(0, 1))
    model = mg.build_model(task, mg.ModelConfig(d_model=8, n_heads=1))
    with pytest.raises(mg.UndefinedMetricError, match="operands have embeddings where there are two"):
        embedding_components(mg.cache_grid(model, task))


def test_clean_circles_are_pairs_of_pure_waves():
    task = mg.modular_task("add", 13, sequence=("a", "b"))
    basis = task.frame.basis.matrix
    mixed = (basis[5] + basis[9]) / 2**0.5
    waves = torch.stack([5 * basis[1], 4.9 * basis[2], 3 * basis[7], 2.9 * mixed, basis[3], basis[11]], dim=1)
    grid = mg.grid_from_tensors(task, torch.zeros(169, 13), weights={"W_E": waves})
    parts = embedding_components(grid)
    assert parts.frequency[:3] == (1, 1, 4)
    assert [row["frequencies"] for row in parts.clean_circles()] == [(1, 1)]
    other = torch.randn(13, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 9
    assert parts.project(other).mean(0).abs().max() < 1e-12
