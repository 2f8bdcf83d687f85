"""The activation functions and their derivatives, written into memory that is there."""

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
"""Gradient with respect to the pre-activations from that of the activations; replaces the former in place."""
