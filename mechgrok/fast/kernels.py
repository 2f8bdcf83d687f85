"""Shared parts of hand-written passes: chunks, and activation functions that write into existing memory."""

from collections.abc import Callable

import torch
from torch import Tensor

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
"""Replace pre-activations by their gradient, given the gradient of the activations."""

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
