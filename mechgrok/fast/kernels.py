"""What hand-written passes have in common: activation functions that write into memory that is there, chunks."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from mechgrok.config import Activation

_aten = torch.ops.aten
FORWARD: dict[Activation, Callable[..., Tensor]] = {
    "relu": lambda pre, out: torch.clamp(pre, min=0, out=out),
    "gelu": lambda pre, out: _aten.gelu.out(pre, out=out),
    "gelu_new": lambda pre, out: _aten.gelu.out(pre, approximate="tanh", out=out),
    "silu": lambda pre, out: _aten.silu.out(pre, out=out),
    "tanh": lambda pre, out: torch.tanh(pre, out=out),
    "sigmoid": lambda pre, out: torch.sigmoid(pre, out=out),
    "square": lambda pre, out: torch.mul(pre, pre, out=out),
}
BACKWARD: dict[Activation, Callable[[Tensor, Tensor], object]] = {
    "relu": lambda g, pre: _aten.threshold_backward.grad_input(g, pre, 0, grad_input=pre),
    "gelu": lambda g, pre: _aten.gelu_backward.grad_input(g, pre, grad_input=pre),
    "gelu_new": lambda g, pre: _aten.gelu_backward.grad_input(g, pre, approximate="tanh", grad_input=pre),
    "silu": lambda g, pre: _aten.silu_backward.grad_input(g, pre, grad_input=pre),
    "tanh": lambda g, pre: _aten.tanh_backward.grad_input(g, pre.tanh_(), grad_input=pre),
    "sigmoid": lambda g, pre: _aten.sigmoid_backward.grad_input(g, pre.sigmoid_(), grad_input=pre),
    "square": lambda g, pre: pre.mul_(g).mul_(2),
}
"""Gradient with respect to the pre-activations, given the gradient of the activations; replaces the former in
place."""


def product(
    a: Float[Tensor, "*several left inner"], b: Float[Tensor, "*_ inner right"]
) -> Float[Tensor, "*several left right"]:
    """a @ b for few rows of a, rounded alike wherever they lie in memory.

    MKL's product of one row with a matrix is divided among threads by the alignment of its operands (seen with MKL
    2024.2 in float32); a second row, of zeros, makes it a product of matrices, which is not.

    >>> product(torch.ones(1, 3), torch.ones(3, 2)).tolist()
    [[3.0, 3.0]]
    """
    return a @ b if a.shape[-2] > 1 else (functional.pad(a, (0, 0, 0, 1)) @ b)[..., :1, :]


def add_product(
    onto: Float[Tensor, "*_ right"], a: Float[Tensor, "*several left inner"],
    b: Float[Tensor, "*several inner right"], out: Float[Tensor, "*several left right"],
) -> Float[Tensor, "*several left right"]:  # fmt: skip
    """Write onto + a @ b of matrices, or of as many matrices side by side, with the sum of a row, or of all.

    >>> ones = torch.ones(2, 1, 3)
    >>> add_product(torch.ones(2, 1, 1), ones, ones.mT, out=torch.empty(2, 1, 1)).flatten().tolist()
    [4.0, 4.0]
    """
    return (torch.addmm if a.ndim == 2 else torch.baddbmm)(onto, a, b, out=out)


CHUNK_BYTES = 6 * 2**20
"""Size of one activation buffer of a chunk, so that two or three fit into the caches of a few cores. The step takes
about equally long from a third of this size to four times as much."""
GPU_CHUNK_BYTES = 2**28
"""The same on a device where calls are expensive and chunk memory is cheap."""


def rows_that_fit(width: int, like: Tensor) -> int:
    """Inputs in a chunk, for rows of this width in the precision and on the device of a weight.

    >>> import torch
    >>> rows_that_fit(625, torch.zeros(1))
    2516
    """
    room = GPU_CHUNK_BYTES if like.is_cuda else CHUNK_BYTES
    return max(room // (width * like.element_size()), 1)


def chunk_length(total: int, most: int) -> int:
    """Length of equally long chunks, at most `most`.

    >>> chunk_length(3830, 2516)
    1915
    """
    return -(-total // -(-total // most))
