"""Logits and neurons of networks that have a hand-written pass."""

from copy import deepcopy
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.fast.mlp import MLPByTables
from mechgrok.fast.tables import Pairs
from mechgrok.fast.transformer import TabledNetwork
from mechgrok.models.mlp import HookedMLP
from mechgrok.models.protocol import is_plain
from mechgrok.models.transformer import ACTIVATIONS, HookedTransformer
from mechgrok.models.unaltered import is_unaltered

HandWritten = HookedTransformer | HookedMLP
"""Classes of networks, some of which have a hand-written pass."""


class Outputs(NamedTuple):
    """The results of a hand-written pass at the last position, for some inputs."""

    logits: Float[Tensor, "inputs d_vocab_out"]
    neurons: Float[Tensor, "inputs d_mlp"] | None


def has_hand_written_pass(model: object) -> bool:
    """Whether `run_by_hand` can run the network: one plain layer of a transformer, or an MLP, on the CPU.

    Such a pass supports neither hooks nor parts of a network that are not mechgrok's own.
    """
    if not isinstance(model, HandWritten) or model.embed.W_E.device.type != "cpu":
        return False
    known = TabledNetwork.supports(model) or (isinstance(model, HookedMLP) and is_plain(model))
    return known and is_unaltered(model) and _is_as_configured(model)


@torch.no_grad()
def run_by_hand(model: HandWritten, tokens: Int[Tensor, "inputs slots"], *, neurons: bool) -> Outputs:
    """Logits and, if requested, the neurons of the last hidden layer, equal to the network's own up to rounding.

    >>> from mechgrok import ModelConfig, build_model, modular_task
    >>> task = modular_task("add", 5)
    >>> model = build_model(task, ModelConfig(d_model=16), seed=0)
    >>> outputs = run_by_hand(model, task.tokens, neurons=True)
    >>> torch.allclose(outputs.logits, model(task.tokens)[:, -1], atol=1e-5), outputs.neurons.shape
    (True, torch.Size([25, 64]))
    """
    wanted = model.embed.W_E.new_empty(len(tokens), model.cfg.d_mlp) if neurons else None
    if isinstance(model, HookedMLP):
        by_tables = MLPByTables(model)
        return Outputs(by_tables.logits(by_tables.table.rows_of(tokens), wanted), wanted)
    pairs = Pairs.of(tokens)
    return Outputs(TabledNetwork(model, pairs).logits(pairs.of_input, wanted), wanted)


def logits_with_embedding(
    model: HandWritten, embedding: Float[Tensor, "tokens d_model"], tokens: Int[Tensor, "inputs slots"]
) -> Float[Tensor, "inputs d_vocab_out"]:
    """Logits of the network if its token embedding were another one."""
    other = deepcopy(model)
    with torch.no_grad():
        other.embed.W_E.copy_(embedding)
    return run_by_hand(other, tokens, neurons=False).logits


def _is_as_configured(model: HandWritten) -> bool:
    """Whether all parts have the configuration of the network, and its activation function."""
    act = ACTIVATIONS[model.cfg.act_fn]
    return all(
        getattr(part, "cfg", model.cfg) == model.cfg and getattr(part, "act", act) is act
        for part in model.modules()
    )
