"""Sparsity of the spectrum of a weight matrix, and its balance between cosine and sine."""

from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import Source, as_grid
from mechgrok.algebra import Basis, fourier_basis
from mechgrok.analysis.centring import rounding_power
from mechgrok.door import door
from mechgrok.errors import ConfigError, UndefinedMetricError, shown
from mechgrok.models.protocol import HookedModel, all_weights

Matrix = Literal["W_E", "W_L"]
if TYPE_CHECKING:
    Weights = Float[Tensor, "order features"] | Source
else:
    Weights = Any

ABSENT = 1e-6
"""A component below this fraction of the largest is rounding error of float32 weights, not signal."""


@door
def weight_spectrum(
    source: Weights, *, matrix: Matrix = "W_E", basis: Basis | None = None
) -> tuple[Float[Tensor, " row"], Basis]:
    """Norm of a weight matrix in each row of the basis, over the other axis, and the basis.

    Args:
        source: a tensor [order, features] whose first axis runs over the group, or a network or grid.
        matrix: for a network, "W_E", the token embedding, or "W_L" = W_out @ W_U, the neuron-logit map.
        basis: by default, the natural basis of the network's task; for a tensor, the Fourier basis of its length.

    Raises:
        UndefinedMetricError: the matrix is constant along the group.
        ConfigError: an unknown matrix, a length that is not the order of the group.
    """
    if isinstance(source, np.ndarray):
        source = _as_tensor(source)
    if isinstance(source, Tensor):
        weights, basis = _as_matrix(source), basis or fourier_basis(len(source))
    else:
        grid = as_grid(source, names=[])
        frame = grid.task.frame
        basis = basis or frame.basis
        if matrix == "W_E":
            weights = grid.token_embedding[frame.tokens]
        elif matrix == "W_L":
            weights = grid.neuron_logit_map.T[frame.element_classes]
        else:
            raise ConfigError(f"matrix must be W_E or W_L, got {matrix!r}")
    if not weights.isfinite().all():
        raise UndefinedMetricError("the weights are not finite: there is no spectrum")
    norms = basis.transform(weights.detach().double(), dim=0).norm(dim=1)
    if norms[1:].square().sum() <= rounding_power(weights):
        raise UndefinedMetricError("the weights are the same for all symbols: there is no spectrum")
    return norms, basis


def _as_tensor(array: Any) -> Tensor:
    if array.dtype.kind != "f":
        raise ConfigError(f"weights are a matrix [order, features] of floats; got {shown(array)}")
    return torch.from_numpy(np.ascontiguousarray(array))


def _as_matrix(weights: Tensor) -> Tensor:
    if weights.ndim != 2 or not weights.is_floating_point() or len(weights) < 2:
        raise ConfigError(f"weights are a matrix [order, features] of floats; got {shown(weights)}")
    return weights.cpu()


@door
def frequency_norms(
    source: Weights, *, matrix: Matrix = "W_E", basis: Basis | None = None
) -> Float[Tensor, " blocks"]:
    """Norm of a weight matrix in each non-trivial block; arguments and errors as in `weight_spectrum`.

    >>> import math
    >>> angles = 2 * math.pi * torch.arange(7) / 7
    >>> frequency_norms(torch.stack([angles.cos(), angles.sin()], 1)).round(decimals=3).tolist()
    [2.646, 0.0, 0.0]
    """
    norms, basis = weight_spectrum(source, matrix=matrix, basis=basis)
    return torch.stack([norms[block.rows].norm() for block in basis.blocks[1:]])


def gini(norms: Any) -> float:
    """Gini coefficient of non-negative numbers: 0 if all are equal, 1 - 1/n if one has everything.

    With c sorted in ascending order, it is sum_i (2i - n - 1) c_i / (n sum_i c_i). Nanda et al. 2023 (section
    5.1) track it for the norms of W_E and W_L in the Fourier basis; they do not state their vector, ours is one
    norm per frequency: `gini(frequency_norms(model))`.

    Args:
        norms: [n], a tensor, an array or a list.

    Raises:
        UndefinedMetricError: a negative number, or all are 0.

    >>> gini(torch.tensor([0.0, 0.0, 0.0, 2.0]))
    0.75
    """
    c = _as_numbers(norms).double().sort().values
    if len(c) == 0 or (c < 0).any() or not c.any() or not c.isfinite().all():
        raise UndefinedMetricError(
            f"Gini needs non-negative numbers that are not all 0, got {shown(c.tolist())}"
        )
    i = torch.arange(1, len(c) + 1)
    return (((2 * i - len(c) - 1) * c).sum() / (len(c) * c.sum())).item()


def _as_numbers(norms: Any) -> Tensor:
    try:
        numbers = torch.as_tensor(norms).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        numbers = None
    if numbers is None or numbers.ndim != 1 or numbers.is_complex():
        raise ConfigError(f"Gini takes a list, array or tensor [n] of numbers; got {shown(norms)}")
    return numbers


@door
def fourier_frequency_density(
    source: Weights, eta: float = 0.5, *, matrix: Matrix = "W_E", basis: Basis | None = None
) -> float:
    """FFD: the fraction of Fourier components whose norm exceeds eta times the largest; low is sparse.

    Cosines and sines are each compared with the largest of their own family. All components except the constant
    count: 2 floor(p/2) for odd p; for even p the alternating row counts as a cosine, which makes p - 1.

    Args:
        eta: threshold in (0, 1).

    Returns:
        A fraction in 0..1: 1/floor(p/2) for a single frequency of odd p, 1 for a flat spectrum.

    Raises:
        UndefinedMetricError: weights without a spectrum; a basis without cosines and sines.

    Source: Furuta et al. 2024 (arXiv 2402.16726), section 4.

    >>> import math
    >>> angles = 2 * math.pi * torch.arange(7) / 7
    >>> round(fourier_frequency_density(torch.stack([angles.cos(), angles.sin()], 1)), 3)
    0.333
    """
    if not isinstance(eta, Real) or not 0 < eta < 1:
        raise ConfigError(f"eta is a fraction of the largest norm and must lie in (0, 1), got {shown(eta)}")
    norms, basis = weight_spectrum(source, matrix=matrix, basis=basis)
    families = [norms[rows] for name in ("cos", "sin") if (rows := _rows(basis, name))]
    floor = ABSENT * norms[1:].max()
    dense = sum(int(((f > eta * f.max()) & (f > floor)).sum()) for f in families)
    return dense / sum(len(f) for f in families)


@door
def fourier_coefficient_ratio(
    source: Weights, *, matrix: Matrix = "W_E", basis: Basis | None = None
) -> float:
    """FCR: how evenly cosine and sine share each frequency; 1 is even, 0 is all cosine or all sine.

    It is the mean over frequencies of min(|cos|/|sin|, |sin|/|cos|), with norms not squared. Frequencies in which
    the matrix has neither are left out because the ratio is undefined, as is the alternating row of even p, which
    has no sine.

    Raises:
        UndefinedMetricError: no frequency is left; a basis without cosines and sines.

    Source: Furuta et al. 2024 (arXiv 2402.16726), section 4.

    >>> import math
    >>> round(fourier_coefficient_ratio((2 * math.pi * torch.arange(7) / 7).cos()[:, None]), 6)
    0.0
    """
    norms, basis = weight_spectrum(source, matrix=matrix, basis=basis)
    _rows(basis, "cos")
    pairs = torch.stack([norms[block.rows] for block in basis.blocks[1:] if len(block) == 2] or [norms[:0]])
    present = pairs[pairs.amax(1) > ABSENT * norms[1:].max()] if pairs.numel() else pairs
    if not present.numel():
        raise UndefinedMetricError("no frequency has both a cosine and a sine, so there is no ratio")
    return (present.amin(1) / present.amax(1)).mean().item()


def sum_squared_weights(source: Source) -> float:
    """Sum of the squares of all parameters, including biases and special tokens (Nanda et al. 2023, 5.2).

    Args:
        source: a network, or anything else that `as_grid` accepts, if there is a network behind it.

    Raises:
        ActivationError: bare tensors.
    """
    model = source if isinstance(source, HookedModel) else as_grid(source, names=[]).model
    return sum(weight.double().square().sum().item() for weight in all_weights(model).values())


def _rows(basis: Basis, component: Literal["cos", "sin"]) -> list[int]:
    names = {name for block in basis.blocks for name in block.components}
    if not names <= {"cos", "sin"}:
        raise UndefinedMetricError(f"{basis} has no cosines and sines to compare")
    return basis.rows_of(basis.labels, component)
