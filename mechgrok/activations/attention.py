"""Attention patterns of all heads from all positions to all positions."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.activations.forward import CHUNK_BYTES
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.models.protocol import HookedModel, check_hook_names
from mechgrok.models.readout import outputs_everywhere
from mechgrok.tasks import Task


def pattern_hooks(model: HookedModel) -> list[str]:
    """The hooks on the attention patterns, one for each layer.

    Raises:
        ActivationError: the network has no attention.
    """
    layers = range(getattr(model.cfg, "n_layers", 0))
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in layers]
    there = [name for name in names if name in model.hook_dict]
    if not there:
        raise ActivationError("the network has no attention: there is no hook 'blocks.0.attn.hook_pattern'")
    return there


def patterns(
    model: HookedModel, tokens: Int[Tensor, "batch pos"]
) -> Iterator[tuple[slice, Float[Tensor, "layers some head query key"]]]:
    """The patterns on some sequences, a few of these at a time, in float64 on the CPU.

    Yields:
        Which of the sequences, and their patterns. Layers without attention are left out.

    Raises:
        ActivationError: the network has no attention, or its hooks never run.
    """
    names = pattern_hooks(model)
    check_hook_names(model, names)
    bytes_each = 8 * len(names) * getattr(model.cfg, "n_heads", 1) * tokens.shape[1] ** 2
    length = max(1, CHUNK_BYTES // bytes_each)
    for start in range(0, len(tokens), length):
        rows = slice(start, start + length)
        kept: dict[str, Tensor] = {}
        outputs_everywhere(model, tokens[rows], [(name, partial(_keep, kept, name)) for name in names])
        if len(kept) < len(names):
            raise ActivationError("the network never runs the hooks on its attention patterns")
        yield rows, torch.stack([kept[name] for name in names])


def _keep(kept: dict[str, Tensor], name: str, pattern: Tensor, hook: Any) -> None:
    kept[name] = pattern.detach().double().cpu()


def tokens_of(task: Task) -> Int[Tensor, "examples pos"]:
    """The inputs of a task, which a network with attention reads.

    Raises:
        UndefinedMetricError: they are features.
    """
    if task.inputs.is_floating_point():
        raise UndefinedMetricError(
            f"the inputs of {task.name} are features: there are no tokens to attend to"
        )
    return task.inputs
