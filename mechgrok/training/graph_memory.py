"""How much memory the graph of a step takes that goes through autograd."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from mechgrok.config import NetworkConfig
from mechgrok.models.networks import make_network
from mechgrok.models.readout import outputs_of
from mechgrok.signature import Signature, Tokens


def graph_bytes(cfg: NetworkConfig, signature: Signature, rows: int) -> int:
    """Bytes that autograd keeps of a pass over so many inputs, until their gradient is taken.

    The pass is made on the meta device, on which tensors have sizes and no numbers.

    >>> from mechgrok import ModelConfig, modular_task
    >>> task = modular_task("add", 7)
    >>> [graph_bytes(ModelConfig(d_vocab=8, d_vocab_out=7, n_ctx=3, n_layers=n), task.signature, 10) for n in (1, 2)]
    []
    """
    inputs = signature.inputs
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # which is held, so that no other one gets its number
        return tensor

    with torch.device("meta"):
        network = make_network(cfg)
        if isinstance(inputs, Tokens):
            given = torch.empty(rows, inputs.n_ctx, dtype=torch.long)
        else:
            given = torch.empty(rows, *inputs.shape)
        with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
            outputs_of(network, given, signature.scored)
    weights = {weight.untyped_storage()._cdata for weight in network.parameters()}
    return sum(storage.nbytes() for number, storage in kept.items() if number not in weights)
