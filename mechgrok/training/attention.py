"""Attention from the last position, for a set of inputs, from scores that are known per (slot, token) pair."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from mechgrok.training.bags import RowSums
from mechgrok.training.tables import Pairs


class LastPositionAttention:
    """The attention weights of a fixed set of inputs, and the gradient of the scores.

    Args:
        of_input: [n_inputs, n_slots], the pairs of these inputs.
        rate: attention rate alpha: weights are alpha * pattern + (1 - alpha).
        for_gradient: whether gradients will be asked for.
    """

    def __init__(
        self,
        pairs: Pairs,
        of_input: Int[Tensor, "inputs slots"],
        rate: float,
        *,
        for_gradient: bool,
    ) -> None:
        self.shape, self.rate = of_input.shape, rate
        last = of_input[:, -1:] - pairs.last_start
        self.index = (last * len(pairs) + of_input).flatten()
        n_scores = pairs.n_last * len(pairs)
        self.sums = RowSums(self.index, n_scores) if for_gradient and rate > 0 else None

    def pattern(self, scores: Float[Tensor, "scores heads"]) -> Float[Tensor, "inputs slots heads"]:
        """Softmax of the scores over the slots."""
        return scores.index_select(0, self.index).view(*self.shape, -1).softmax(dim=1)

    def write_weights(
        self, pattern: Float[Tensor, "inputs slots heads"] | None, into: Float[Tensor, "inputs mixed heads"]
    ) -> None:
        """Write the attention weights of the first slots; without a pattern all are 1, the attention rate 0."""
        if pattern is None:
            into.fill_(1.0)
        else:
            torch.mul(pattern[:, : into.shape[1]], self.rate, out=into).add_(1 - self.rate)

    def scores_gradient(
        self, pattern: Float[Tensor, "inputs slots heads"], gradient: Float[Tensor, "inputs mixed heads"]
    ) -> Float[Tensor, "scores heads"]:
        """Gradient of the scores from that of the attention weights of the first slots."""
        assert self.sums is not None, "built without gradients"
        left_out = pattern.shape[1] - gradient.shape[1]
        weighted = functional.pad(gradient, (0, 0, 0, left_out)).mul_(pattern)
        weighted -= pattern * weighted.sum(1, keepdim=True)
        return self.sums(weighted.mul_(self.rate).flatten(0, 1))
