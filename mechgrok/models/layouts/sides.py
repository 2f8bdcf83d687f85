"""The input side of a stored matrix: determined from names and shapes, or refused."""

from dataclasses import dataclass

from torch import Tensor

from mechgrok.models.layouts.modules import Module
from mechgrok.models.layouts.refusals import RefusedError

State = dict[str, Tensor]
"""Weights of one block under TransformerLens's names."""


@dataclass(frozen=True)
class Sides:
    """The context for reading matrices.

    Attributes:
        d_model: width of the residual stream.
        n_heads: attention heads in a block.
        conv: whether matrices are stored [inputs, outputs] throughout, as in GPT-2.
    """

    d_model: int
    n_heads: int
    conv: bool

    def matrix(self, module: Module, d_in: int, d_out: int) -> Tensor:
        """A matrix in our orientation, [inputs, outputs]."""
        w, shape = module.weight, tuple(module.weight.shape)
        if module.exact or module.kind == "kernel" or (self.conv and module.kind == "linear"):
            fits, turned = shape == (d_in, d_out), False
        elif module.kind == "linear":
            fits, turned = shape == (d_out, d_in), True
        elif d_in == d_out and shape == (d_in, d_out):
            raise RefusedError(
                f"{module.name} {shape} is square and no torch module's weight: x @ W and x @ W.T both fit. "
                f"Say it with rename={{{module.name!r}: ...}}: a name of TransformerLens, as 'blocks.0.mlp.W_in', is "
                "[inputs, outputs], and one that ends in '.weight' is [outputs, inputs]"
            )
        else:
            fits, turned = shape in ((d_in, d_out), (d_out, d_in)), shape == (d_out, d_in)
        if not fits:
            raise RefusedError(
                f"{module.name} {shape} does not lead from {d_in} to {d_out} values, as its name or its place say; say "
                "what it is with rename={...}"
            )
        return w.mT if turned else w

    def leads_back(self, module: Module) -> bool:
        """Whether a matrix reads something other than the residual stream."""
        inputs = module.weight.shape[0] if self.conv or module.kind == "kernel" else module.weight.shape[1]
        return inputs != self.d_model
