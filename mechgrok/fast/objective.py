"""The interface that a hand-written step needs of a loss."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Objective(Protocol):
    """A loss on outputs [n, d_out], averaged over the inputs and taken over all columns given."""

    def losses(self, outputs: Float[Tensor, "n d_out"], targets: Tensor) -> Float[Tensor, " n"]:
        """The unscaled loss of each input in float64, exact however small; for evaluations."""
        ...

    def loss_and_gradient(
        self, logits: Float[Tensor, "n d_out"], labels: Tensor, total: int | None = None
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "n d_out"]]:
        """Loss in float64 and its gradient in the logits' precision, which may take over their memory.

        Args:
            total: number of inputs that the mean is over, if the logits are only part of them; the loss is then
                the contribution of this part, and the contributions of all parts add up to the mean.
        """
        ...
