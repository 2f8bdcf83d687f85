"""Projections against dense matrices of directions, constructed one by one."""

from math import pi, sqrt

import pytest
import torch
from projecting import project_on_characters, project_on_product
from torch import Tensor

import mechgrok as mg
from mechgrok.analysis.by_answer import means_by_answer
from mechgrok.analysis.projections import character_part, character_power, product_part


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def nanda_directions(p: int, k: int, sign: int = 1) -> list[Tensor]:
    """C_k and S_k, from products of the operands' own waves; orthonormal over the p^2 inputs."""
    a, b = (2 * pi * k / p * x.double() for x in torch.cartesian_prod(torch.arange(p), torch.arange(p)).T)
    if 2 * k == p:
        return [a.cos() * b.cos() / p]
    cosine = a.cos() * b.cos() - sign * a.sin() * b.sin()
    sine = a.sin() * b.cos() + sign * a.cos() * b.sin()
    return [sqrt(2) / p * cosine, sqrt(2) / p * sine]


def dense_character(task: mg.Task, k: int) -> Tensor:
    """cos(w_k(label - c)) over the cube of inputs and classes, of unit norm; residues of addition."""
    gap = (task.labels[:, None] - torch.arange(task.n_classes)).double()
    cube = (2 * pi * k / task.n_classes * gap).cos()
    return cube / cube.norm()


@pytest.mark.parametrize("p", [2, 3, 4, 7, 10, 13])
@pytest.mark.parametrize(("operation", "sign"), [("add", 1), ("sub", -1)])
def test_product_space_is_the_span_of_nandas_directions(p, operation, sign):
    task = mg.modular_task(operation, p)
    x = noise(task.n_inputs, 3)
    for keys in ([1], [p // 2], list(range(1, p // 2 + 1))):
        directions = torch.stack([d for k in sorted(set(keys)) for d in nanda_directions(p, k, sign)])
        torch.testing.assert_close(directions @ directions.T, torch.eye(len(directions)).double())
        expected = directions.T @ (directions @ x)
        torch.testing.assert_close(project_on_product(x, task.frame, keys), expected)


@pytest.mark.parametrize("p", [2, 3, 4, 7, 10, 13])
@pytest.mark.parametrize("operation", ["add", "sub"])
def test_character_space_is_one_direction_per_frequency(p, operation):
    task = mg.modular_task(operation, p)
    logits = noise(task.n_inputs, p)
    cubes = {k: dense_character(task, k) for k in range(1, p // 2 + 1)}
    for keys in ([1], [p // 2], list(cubes)):
        expected = sum((cubes[k] * logits).sum() * cubes[k] for k in set(keys))
        torch.testing.assert_close(project_on_characters(logits, task.frame, keys), expected)
    power = torch.stack([(cube * logits).sum().square() for cube in cubes.values()])
    torch.testing.assert_close(character_power(means_by_answer(logits, task.frame), task.frame), power)


UNEVEN = [("x^2+y^2", 7), ("x^2+y^2", 10), ("x^2+x*y+y^2", 13), ("x^2+0*y", 11), ("2x+2y", 8)]


@pytest.mark.parametrize(("operation", "p"), UNEVEN)
def test_uneven_answers_are_projected_by_least_squares(operation, p):
    """The best fit by a constant and waves of the answer; the constant is no part of the projection."""
    task = mg.modular_task(operation, p)
    assert len(set(task.frame.counts.tolist())) > 1
    x = noise(task.n_inputs, 4)
    for keys in ([1], [1, p // 2], list(range(1, p // 2 + 1))):
        angles = 2 * pi / p * task.labels[:, None].double() * torch.tensor(sorted(set(keys)))
        design = torch.cat([torch.ones_like(angles[:, :1]), angles.cos(), angles.sin()], dim=1)
        fitted = design @ torch.linalg.lstsq(design, x, driver="gelsd").solution
        kept = project_on_product(x, task.frame, keys)
        torch.testing.assert_close(kept + (x - kept).mean(0), fitted, atol=1e-10, rtol=0)
        torch.testing.assert_close(kept.mean(0), torch.zeros(4).double(), atol=1e-12, rtol=0)
        torch.testing.assert_close(project_on_product(kept, task.frame, keys), kept, atol=1e-10, rtol=0)


@pytest.mark.parametrize(("operation", "p"), UNEVEN)
def test_uneven_answers_project_on_centred_characters(operation, p):
    task = mg.modular_task(operation, p)
    logits = noise(task.n_inputs, p)
    cubes = [dense_character(task, k) for k in range(1, p // 2 + 1)]
    design = torch.stack([(cube - cube.mean(0)).flatten() for cube in cubes], dim=1)
    fitted = design @ torch.linalg.lstsq(design, logits.flatten()[:, None], driver="gelsd").solution
    kept = project_on_characters(logits, task.frame, range(1, p // 2 + 1))
    torch.testing.assert_close(kept, fitted.view_as(logits), atol=1e-10, rtol=0)


@pytest.mark.parametrize("operation", ["add", "mul", "div", "x^2+y^2"])
@pytest.mark.parametrize("project", [project_on_product, project_on_characters])
def test_projections_are_orthogonal_projections(operation, project):
    task = mg.modular_task(operation, 11)
    x, y = noise(task.n_inputs, 11), noise(task.n_inputs, 11).flip(0)
    kept = project(x, task.frame, [1, 3])
    torch.testing.assert_close(project(kept, task.frame, [1, 3]), kept)
    torch.testing.assert_close((kept * y).sum(), (x * project(y, task.frame, [1, 3])).sum())
    torch.testing.assert_close(project(kept, task.frame, [2]), 0 * kept) if operation != "x^2+y^2" else None
    outside = ~task.frame.covers(task.n_inputs)
    assert (kept[outside] == 0).all()


def test_products_in_the_order_of_the_logarithm():
    """In the frame of multiplication the wave is a function of the logarithm of a*b."""
    task = mg.modular_task("mul", 11)
    logarithm = {pow(2, i, 11): i for i in range(10)}
    wave = torch.tensor(
        [
            0.0 if c == 0 else (2 * pi * 3 / 10 * torch.tensor(logarithm[c])).cos()
            for c in task.labels.tolist()
        ]
    )
    x = wave[:, None].double()
    torch.testing.assert_close(project_on_product(x, task.frame, [3]), x, atol=1e-6, rtol=0)
    torch.testing.assert_close(project_on_product(x, task.frame, [1, 2, 4, 5]), 0 * x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("operation", ["add", "mul", "x^2+y^2", "x^2+0*y"])
def test_means_by_answer_against_a_loop(operation):
    task = mg.modular_task(operation, 7)
    frame = task.frame
    x = noise(task.n_inputs, 40)
    sums, counts = torch.zeros(frame.order, 40, dtype=torch.float64), torch.zeros(frame.order)
    for row, result in zip(frame.rows.flatten().tolist(), frame.results.flatten().tolist(), strict=True):
        sums[result] += x[row]
        counts[result] += 1
    torch.testing.assert_close(means_by_answer(x, frame), sums / counts[:, None].clamp(min=1).double())


def test_parts_of_float32_stay_float32():
    frame = mg.modular_task("add", 7).frame
    means = noise(7, 7)
    for part in (product_part, character_part):
        single = part(means.float(), frame, [1, 3])
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), part(means, frame, [1, 3]), atol=1e-5, rtol=0)
