"""The memory taken by the graph of an autograd step."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.readout import outputs_of
from mechgrok.signature import Signature, Tokens


def graph_bytes(network: HookedNetwork, signature: Signature, rows: int) -> int:
    """Bytes that autograd keeps from a pass over so many rows until the gradient is taken, not counting weights.

    Args:
        network: on the meta device, where tensors have sizes but no data.

    >>> from mechgrok import DenseConfig, HookedDense, parity_task
    >>> with torch.device("meta"):
    ...     network = HookedDense(DenseConfig(d_vocab=2, n_ctx=5, d_vocab_out=2, d_mlp=100))
    >>> graph_bytes(network, parity_task(5, (0, 1)).signature, 10) # 10 one-hot inputs and 100 neurons in float32
    4400
    """
    inputs = signature.inputs
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # held, so that no other storage gets its number
        return tensor

    with torch.device("meta"):
        if isinstance(inputs, Tokens):
            given = torch.empty(rows, inputs.n_ctx, dtype=torch.long)
        else:
            given = torch.empty(rows, *inputs.shape)
        with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
            outputs_of(network, given, range(-signature.n_scored, 0))
    weights = {weight.untyped_storage()._cdata for weight in network.parameters()}
    return sum(storage.nbytes() for number, storage in kept.items() if number not in weights)
