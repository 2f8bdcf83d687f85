"""What a hand-written step needs of a loss."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Objective(Protocol):
    """A loss on logits [n, classes], averaged over the inputs and taken over all columns given."""

    def loss_and_gradient(
        self, logits: Float[Tensor, "n classes"], labels: Int[Tensor, " n"], total: int | None = None
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "n classes"]]:
        """Loss in float64 and its gradient in the logits' precision, which may take over their memory.

        Args:
            total: number of inputs of the mean, where the logits are a part of them; the loss is then the
                share of this part, and the shares of all parts add up to the mean.
        """
        ...
