"""Hand-written training step of feed-forward networks on two operands: autograd's gradients, several times faster.

The input of the first activation function is a sum of two table rows, one for the token of each operand; the
tables are products over the tokens instead of the inputs. From there a chain of products leads to the logits. It
is run to the loss and back chunk by chunk, so that everything stays in the cache.
"""

from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mechgrok.fast.mlp import MLPByTables
from mechgrok.fast.objective import Objective
from mechgrok.fast.row_sums import Bags
from mechgrok.models.mlp import HookedMLP
from mechgrok.models.protocol import is_plain
from mechgrok.tasks import Task


class FastMLPStep:
    """Loss and gradient of a `HookedMLP`.

    Works on the network's own parameters. Move the network to its device and precision first.

    Args:
        train_mask: [n_inputs], which inputs of the task are trained on.
        chunk_rows: inputs per chunk; None chooses.
        folded: multiply the two matrices of a factored or tied read-out together before any input is processed;
            None chooses the cheaper way.
    """

    kind: ClassVar[Literal["fast", "autograd"]] = "fast"

    @staticmethod
    def supports(model: object) -> bool:
        """Whether the network is of that kind, on one device, fully trainable, and without hooks attached."""
        return (
            isinstance(model, HookedMLP)
            and is_plain(model)
            and all(w.requires_grad for w in model.parameters())
        )

    def __init__(
        self,
        model: HookedMLP,
        task: Task,
        train_mask: Bool[Tensor, " inputs"],
        objective: Objective,
        *,
        chunk_rows: int | None = None,
        folded: bool | None = None,
    ) -> None:
        like = model.embed.W_E
        self.objective = objective
        self.grads: dict[nn.Parameter, Tensor] = {w: torch.zeros_like(w) for w in model.parameters()}

        # In input order, so that a chunk needs few tokens of the first operand.
        rows = train_mask.to(like.device).nonzero().flatten()
        self.total = len(rows)
        self.network = network = MLPByTables(model, self.total, chunk_rows=chunk_rows, folded=folded)
        self.index = network.table.rows_of(task.tokens.to(like.device))
        self.labels = task.labels.to(like.device)[rows].split(network.length)
        self.bags = [
            Bags(part, like.new_ones(part.shape), len(network.table))
            for part in self.index[rows].split(network.length)
        ]
        self.g_table = like.new_empty(len(network.table), model.cfg.d_mlp)

    @torch.no_grad()
    def __call__(self, update: int = 0) -> Float[Tensor, ""]:
        """Mean train loss in float64; every parameter's `.grad` is overwritten with a fresh gradient."""
        network = self.network
        table = network.take_weights()
        for summed in (self.g_table, *self.grads.values()):
            summed.zero_()
        losses = []
        for bags, labels in zip(self.bags, self.labels, strict=True):
            pre = bags.mix(table, out=network.pre[: len(labels)])
            loss, gradient = self._loss_backward(pre, labels)
            bags.add_table_gradient(gradient, into=self.g_table)
            losses.append(loss)
        network.table.add_gradients(self.g_table, self.grads)
        for link in network.links:
            link.add_gradients(self.grads)
        for parameter, gradient in self.grads.items():
            parameter.grad = gradient
        return torch.stack(losses).sum()

    def logits(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "_ d_vocab_out"]:
        """Logits for some or all inputs of the task."""
        return self.network.logits(self.index if rows is None else self.index[rows.to(self.index.device)])

    def _loss_backward(self, pre: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a chunk, and the gradient of its first pre-activations, in their memory."""
        loss, g = self.objective.loss_and_gradient(self.network.forward(pre), labels, self.total)
        for link in reversed(self.network.links):
            g = link.backward(g)
        return loss, g
