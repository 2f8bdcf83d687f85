"""From what leaves the last block to the loss, and back, chunk by chunk."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.models.transformer import HookedTransformer
from mechgrok.training.objectives import Objective


class ReadOut:
    """Logits, loss and their gradient from the columns that leave the block.

    Folded, these columns are the logits already. Otherwise they are the residual stream; the gradients of the
    unembedding are then summed up here.

    Args:
        total: number of inputs that the loss is the mean of.

    Attributes:
        width: number of columns.
        gradients: of W_U and b_U, to be zeroed before a step; empty if folded.
    """

    def __init__(self, model: HookedTransformer, objective: Objective, *, total: int, folded: bool) -> None:
        self.unembed, self.objective, self.total, self.folded = model.unembed, objective, total, folded
        self.width = model.cfg.d_vocab_out if folded else model.cfg.d_model
        weights = [] if folded else [self.unembed.W_U, self.unembed.b_U]
        self.gradients = tuple(torch.zeros_like(w) for w in weights if w is not None)

    def write_logits(
        self, passing: Float[Tensor, "rows width"], out: Float[Tensor, "rows classes"]
    ) -> Float[Tensor, "rows classes"]:
        """Write the logits."""
        if self.folded:
            return out.copy_(passing)
        torch.mm(passing, self.unembed.W_U, out=out)
        return out if self.unembed.b_U is None else out.add_(self.unembed.b_U)

    def loss_backward(
        self, passing: Float[Tensor, "rows width"], labels: Int[Tensor, " rows"]
    ) -> Float[Tensor, ""]:
        """This chunk's share of the loss; replaces the columns by their gradient."""
        if self.folded:
            loss, gradient = self.objective.loss_and_gradient(passing, labels, self.total)
            if gradient is not passing:
                passing.copy_(gradient)
            return loss
        logits = self.write_logits(passing, passing.new_empty(len(passing), self.unembed.W_U.shape[1]))
        loss, gradient = self.objective.loss_and_gradient(logits, labels, self.total)
        self.gradients[0].addmm_(passing.T, gradient)
        for bias in self.gradients[1:]:
            bias.add_(gradient.sum(0))
        torch.mm(gradient, self.unembed.W_U.T, out=passing)
        return loss
