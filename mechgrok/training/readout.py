"""From what leaves the last block to the loss, and back, chunk by chunk."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.training.objectives import Objective
from mechgrok.training.tabled import TabledNetwork


class ReadOut:
    """Loss and gradient from the columns that leave the block.

    Folded, these columns are the logits already. Otherwise they are the residual stream; the gradients of the
    unembedding are then summed up here.

    Args:
        total: number of inputs that the loss is the mean of.

    Attributes:
        gradients: of W_U and b_U, to be zeroed before a step; empty if folded.
    """

    def __init__(self, network: TabledNetwork, objective: Objective, *, total: int) -> None:
        self.network, self.objective, self.total = network, objective, total
        self.unembed = network.model.unembed
        weights = [] if network.folded else [self.unembed.W_U, self.unembed.b_U]
        self.gradients = tuple(torch.zeros_like(w) for w in weights if w is not None)
        self.logits = network.u.new_empty(0 if network.folded else len(network.u), network.cfg.d_vocab_out)

    def loss_backward(
        self, passing: Float[Tensor, "rows width"], labels: Int[Tensor, " rows"]
    ) -> Float[Tensor, ""]:
        """This chunk's share of the loss; replaces the columns by their gradient."""
        if self.network.folded:
            loss, gradient = self.objective.loss_and_gradient(passing, labels, self.total)
            if gradient is not passing:
                passing.copy_(gradient)
            return loss
        logits = self.network.write_logits(passing, self.logits[: len(passing)])
        loss, gradient = self.objective.loss_and_gradient(logits, labels, self.total)
        self.gradients[0].addmm_(passing.T, gradient)
        for bias in self.gradients[1:]:
            bias.add_(gradient.sum(0))
        torch.mm(gradient, self.unembed.W_U.T, out=passing)
        return loss
