"""The Fourier basis of Z_n against the formulas, for odd and even, prime, composite and tiny n."""

from math import cos, pi, sin, sqrt

import pytest
import torch

from mechgrok.algebra import fourier_basis
from mechgrok.algebra.bases import Basis
from mechgrok.errors import ConfigError, TaskError

ORDERS = (2, 3, 4, 5, 10, 53, 59, 96, 97, 112, 113)


def dense(n: int) -> torch.Tensor:
    """The basis written down row by row."""
    rows = [[1 / sqrt(n)] * n]
    for k in range(1, (n + 1) // 2):
        rows.append([sqrt(2 / n) * cos(2 * pi * k * x / n) for x in range(n)])
        rows.append([sqrt(2 / n) * sin(2 * pi * k * x / n) for x in range(n)])
    if n % 2 == 0:
        rows.append([(-1) ** x / sqrt(n) for x in range(n)])
    return torch.tensor(rows, dtype=torch.float64)


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("n", ORDERS)
def test_matrix_is_orthonormal_and_as_written_down(n):
    matrix = fourier_basis(n).matrix
    torch.testing.assert_close(matrix, dense(n), atol=1e-12, rtol=0)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(n).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("n", ORDERS)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_fft_path_equals_the_dense_matrix(n, dim):
    basis = fourier_basis(n)
    x = noise(n, 3, 2).movedim(0, dim)
    coefficients = basis.transform(x, dim)
    assert coefficients.shape == x.shape
    expected = torch.tensordot(dense(n), x.movedim(dim, 0), dims=1).movedim(0, dim)
    torch.testing.assert_close(coefficients, expected, atol=1e-11, rtol=0)
    torch.testing.assert_close(basis.inverse(coefficients, dim), x, atol=1e-11, rtol=0)
    # The interface's own path, which bases without an FFT inherit.
    torch.testing.assert_close(Basis.transform(basis, x, dim), expected, atol=1e-11, rtol=0)
    torch.testing.assert_close(Basis.inverse(basis, coefficients, dim), x, atol=1e-11, rtol=0)


@pytest.mark.parametrize("n", ORDERS)
def test_float32_stays_float32(n):
    basis = fourier_basis(n)
    x = noise(n, 4, dtype=torch.float32)
    coefficients = basis.transform(x, 0)
    assert coefficients.dtype == basis.inverse(coefficients, 0).dtype == torch.float32
    torch.testing.assert_close(coefficients.double(), dense(n) @ x.double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("n", ORDERS)
def test_power_per_block_is_the_sum_of_the_squares(n):
    basis = fourier_basis(n)
    x = noise(3, n, 2)
    power = basis.power(x, 1)
    assert power.shape == (3, 1 + n // 2, 2)
    squares = basis.transform(x, 1).square()
    for i, block in enumerate(basis.blocks):
        torch.testing.assert_close(power[:, i], squares[:, block.rows].sum(1))
    torch.testing.assert_close(power.sum(1), x.square().sum(1))


@pytest.mark.parametrize("n", ORDERS)
def test_blocks_cover_all_rows_once(n):
    basis = fourier_basis(n)
    assert basis.order == n
    assert basis.labels == tuple(range(1, n // 2 + 1))
    assert [row for block in basis.blocks for row in range(n)[block.rows]] == list(range(n))
    last = basis.block(n // 2)
    assert last.components == (("cos",) if n % 2 == 0 else ("cos", "sin"))
    assert len(last) == len(last.components)


@pytest.mark.parametrize("n", [n for n in ORDERS if n % 2 == 0])
def test_even_order_ends_with_the_alternating_row(n):
    basis = fourier_basis(n)
    alternating = torch.tensor([(-1.0) ** x for x in range(n)], dtype=torch.float64)
    torch.testing.assert_close(basis.matrix[-1], alternating / sqrt(n), atol=1e-12, rtol=0)
    assert basis.rows_of([n // 2], "cos") == basis.rows_of([n // 2]) == [n - 1]
    assert basis.rows_of([n // 2], "sin") == []
    power = basis.power(alternating, 0)
    torch.testing.assert_close(power[-1].item(), float(n))
    assert power[:-1].abs().max() < 1e-12


@pytest.mark.parametrize("n", ORDERS)
@pytest.mark.parametrize("which", ["first", "last"])
def test_project_keeps_the_wanted_frequency_alone(n, which):
    basis = fourier_basis(n)
    k = 1 if which == "first" else n // 2
    angle = 2 * pi * k / n * torch.arange(n).double()
    wave = 2 * angle.cos() + 3 * angle.sin()
    other = sum((2 * pi * j / n * torch.arange(n).double() + j).cos() for j in basis.labels if j != k)
    x = (5 + wave + other).expand(2, n)
    torch.testing.assert_close(basis.project(x, [k], 1), wave.expand(2, n), atol=1e-11, rtol=0)
    torch.testing.assert_close(
        basis.project(x, [k], -1, "cos"), 2 * angle.cos().expand(2, n), atol=1e-11, rtol=0
    )
    sine = 0 * angle if n == 2 * k else 3 * angle.sin()
    torch.testing.assert_close(basis.project(x, [k], 1, "sin"), sine.expand(2, n), atol=1e-11, rtol=0)


@pytest.mark.parametrize("n", ORDERS)
def test_character_is_the_unit_cosine(n):
    basis = fourier_basis(n)
    for k in basis.labels:
        wave = torch.tensor([cos(2 * pi * k * x / n) for x in range(n)], dtype=torch.float64)
        torch.testing.assert_close(basis.character(k), wave / wave.norm(), atol=1e-12, rtol=0)


def test_labels_are_put_in_order_without_repetition():
    basis = fourier_basis(11)
    assert basis.check_labels([5, 1, 5, 3]) == (1, 3, 5)
    assert basis.rows_of([5, 1, 5]) == [1, 2, 9, 10]
    assert basis.rows_of([5, 1], "cos") == [1, 9]
    assert basis.rows_of([5, 1], "sin") == [2, 10]
    assert basis.rows_of([]) == []


@pytest.mark.parametrize("label", [0, 57, -1, "14"])
def test_unknown_label_lists_what_is_allowed(label):
    basis = fourier_basis(113)
    for use in (
        basis.block,
        basis.character,
        lambda k: basis.rows_of([1, k]),
        lambda k: basis.check_labels([k]),
    ):
        with pytest.raises(ConfigError, match=rf"^{label!r} is not a frequency of Z113; allowed: 1\.\.56$"):
            use(label)


def test_unknown_component_lists_what_is_allowed():
    with pytest.raises(ConfigError, match="one of cos, sin, both; got 'tan'"):
        fourier_basis(5).rows_of([1], "tan")


@pytest.mark.parametrize("apply", ["transform", "inverse", "power"])
def test_wrong_length_names_axis_shape_and_order(apply):
    with pytest.raises(ConfigError, match=r"axis 1 of a tensor of shape \(5, 4\) must have length 5.*Z5"):
        getattr(fourier_basis(5), apply)(torch.zeros(5, 4), 1)


@pytest.mark.parametrize("apply", ["transform", "inverse", "power"])
def test_integers_are_refused_not_rounded(apply):
    with pytest.raises(ConfigError, match=r"floats, got torch\.int64"):
        getattr(fourier_basis(5), apply)(torch.eye(5, dtype=torch.int64), 0)


def test_order_below_two_is_refused():
    with pytest.raises(TaskError, match="at least 2, got 1"):
        fourier_basis(1)


def test_one_object_per_order():
    assert fourier_basis(31) is fourier_basis(31)
    assert "Z31" in repr(fourier_basis(31))


def test_transform_passes_gradients():
    x = noise(7, 2).requires_grad_()
    fourier_basis(7).transform(x, 0)[2].sum().backward()
    torch.testing.assert_close(x.grad, dense(7)[2, :, None].expand(7, 2), atol=1e-12, rtol=0)
