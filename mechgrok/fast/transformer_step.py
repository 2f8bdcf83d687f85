"""Hand-written training step of one-layer transformers: the same gradients as autograd, several times faster.

Everything that depends only on tokens is computed per token (`mechgrok.fast.tables`). What remains for each input
is a weighted sum of a few table rows, the activation function, one product to the logits, and the loss; forward
and backward run chunk by chunk, so that everything stays in the cache.
"""

from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mechgrok.fast.kernels import BACKWARD, chunk_length
from mechgrok.fast.objective import Objective
from mechgrok.fast.row_sums import Bags
from mechgrok.fast.tables import Pairs, TableGradients, Tables
from mechgrok.fast.transformer import LastPositionAttention, TabledNetwork
from mechgrok.models.transformer import HookedTransformer
from mechgrok.tasks import Task

TILE = 32
"""Tokens of the fastest-changing slot in one run of inputs, so that their table rows stay cached."""


class FastStep:
    """Loss and gradient of a one-layer `HookedTransformer` without LayerNorm, read at the last position.

    Works on the network's own parameters. Move the network to its device and precision first.

    Args:
        train_mask: [n_inputs], which inputs of the task are trained on.
        chunk_rows: inputs per chunk; None chooses.
        folded: multiply the unembedding into the weights before it; None chooses the cheaper way.
    """

    kind: ClassVar[Literal["fast", "autograd"]] = "fast"

    @staticmethod
    def supports(model: object) -> bool:
        """Whether the network is of that kind and fully trainable."""
        return (
            isinstance(model, HookedTransformer)
            and TabledNetwork.supports(model)
            and all(w.requires_grad for w in model.parameters())
        )

    def __init__(
        self,
        model: HookedTransformer,
        task: Task,
        train_mask: Bool[Tensor, " inputs"],
        objective: Objective,
        *,
        chunk_rows: int | None = None,
        folded: bool | None = None,
    ) -> None:
        like = model.embed.W_E
        self.pairs = Pairs.of(task.tokens.to(like.device))
        self.network = network = TabledNetwork(model, self.pairs, folded=folded, chunk_rows=chunk_rows)
        self.grads: dict[nn.Parameter, Tensor] = {w: torch.zeros_like(w) for w in model.parameters()}

        rows = _in_tiles(self.pairs, train_mask.to(like.device).nonzero().flatten())
        of_input, labels = self.pairs.of_input[rows], task.labels.to(like.device)[rows]
        rate, attends = model.cfg.attention_rate, model.cfg.attention_rate > 0
        self.attention = LastPositionAttention(self.pairs, of_input, rate, for_gradient=True)
        self.read_out = ReadOut(network, objective, total=len(rows))
        self.weights = network.new_weights(len(rows))
        self.length = chunk_length(len(rows), network.chunk_rows)
        self.bags = [
            Bags(index, weights, network.table_length, network.n_weighted if attends else 0)
            for index, weights in zip(
                network.term_index(of_input).split(self.length), self.weights.split(self.length), strict=True
            )
        ]
        self.labels = labels.split(self.length)
        self.g_terms = torch.empty_like(network.tables.terms)
        # Transposed, since it is accumulated from products [width, rows] @ [rows, d_mlp], the faster order.
        self.g_out = like.new_empty(network.width, model.cfg.d_mlp)

    @torch.no_grad()
    def __call__(self, update: int = 0) -> Float[Tensor, ""]:
        """Mean train loss in float64; every parameter's `.grad` is overwritten with a fresh gradient."""
        tables = self.network.tables.compute()
        pattern = self.network.attend(self.attention, tables, self.weights)
        for accumulated in (self.g_terms, self.g_out, *self.read_out.gradients):
            accumulated.zero_()
        losses, g_weights = [], []
        for bags, labels in zip(self.bags, self.labels, strict=True):
            u = bags.mix(tables.terms, out=self.network.u[: len(labels)])
            losses.append(self._loss_backward(u, tables, labels))
            bags.add_table_gradient(u, into=self.g_terms)
            if pattern is not None:
                g_weights.append(bags.weight_gradient(u, tables.terms))
        g_scores = None
        if pattern is not None:
            g_mixed = torch.cat(g_weights).unflatten(1, (-1, pattern.shape[2]))
            g_scores = self.attention.scores_gradient(pattern, g_mixed)
        gradients = TableGradients(self.g_terms, g_scores, self.g_out.T, self.read_out.gradients)
        self.network.tables.write_gradients(tables, gradients, self.grads)
        for parameter, gradient in self.grads.items():
            parameter.grad = gradient
        return torch.stack(losses).sum()

    def logits(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "_ d_vocab_out"]:
        """Logits at the last position, for some or all inputs of the task."""
        of_input = self.pairs.of_input
        return self.network.logits(of_input if rows is None else of_input[rows.to(of_input.device)])

    def _loss_backward(self, u: Tensor, tables: Tables, labels: Tensor) -> Tensor:
        """The loss of a chunk; replaces u with its gradient."""
        active = self.network.active[: len(u)]
        pre, passing = self.network.forward(u, tables, active)
        loss = self.read_out.loss_backward(passing, labels)
        if tables.out is not None:
            self.g_out.addmm_(passing.T, active)
            g_active = torch.mm(passing, tables.out.T, out=active)
            BACKWARD[self.network.cfg.act_fn](g_active, pre)
        return loss


class ReadOut:
    """Loss and gradient from the columns that leave the block.

    If folded, these columns are already the logits. Otherwise they are the residual stream, and the gradients of
    the unembedding are accumulated here.

    Args:
        total: number of inputs that the loss is averaged over.

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
        """This chunk's share of the loss; replaces the columns with their gradient."""
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


def _in_tiles(pairs: Pairs, rows: Int[Tensor, " train"]) -> Int[Tensor, " train"]:
    """The inputs ordered so that a chunk needs few tokens of every slot."""
    of_input = pairs.of_input
    varying = [s for s in range(of_input.shape[1]) if of_input[:, s].min() < of_input[:, s].max()]
    if not varying:
        return rows
    return rows[(of_input[rows, varying[-1]] // TILE).argsort(stable=True)]
