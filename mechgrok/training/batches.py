"""Mini-batches: every epoch passes over the train inputs in a new order."""

from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.training.step import AutogradStep


class MiniBatchStep:
    """A step that takes the next batch at each call.

    The batch follows from the seed and the number of the update alone, so that a resumed training sees the same
    ones. The last batch of an epoch holds what is left.

    Args:
        step: the step on a given batch.
        size: train inputs in a batch.
        seed: of the orders.
        update: number of the next update.
    """

    kind: ClassVar[Literal["fast", "autograd"]] = "autograd"

    def __init__(self, step: AutogradStep, size: int, seed: int, update: int) -> None:
        self.step, self.size, self.seed, self.update = step, size, seed, update

    def __call__(self) -> Float[Tensor, ""]:
        batch = self.batch(self.update)
        self.update += 1
        return self.step(batch)

    def logits(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "_ d_vocab_out"]:
        return self.step.logits(rows)

    def batch(self, update: int) -> Int[Tensor, " batch"]:
        """Numbers of the train inputs of an update."""
        n = len(self.step.train_labels)
        epoch, position = divmod(update, -(-n // self.size))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        return torch.randperm(n, generator=generator)[position * self.size :][: self.size]
