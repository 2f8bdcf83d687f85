"""The training step of feed-forward networks on two operands by hand: autograd's gradients, several times faster.

Before the first activation function stands a sum of two table rows, one for the token of each operand; the
tables are products over the tokens instead of the inputs. From there a chain of products leads to the logits. It
is run to the loss and back chunk by chunk, so that all of it stays in the cache.
"""

from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mechgrok.models.mlp import OPERANDS, HookedMLP
from mechgrok.models.protocol import is_plain
from mechgrok.tasks import Task
from mechgrok.training.bags import Bags, mix
from mechgrok.training.chunks import chunk_length, rows_that_fit
from mechgrok.training.links import Gradients, links_of
from mechgrok.training.objectives import Objective


class FastMLPStep:
    """Loss and gradient of a `HookedMLP`.

    Works on the network's own parameters. Move the network to its device and precision first.

    Args:
        train_mask: [n_inputs], which inputs of the task are trained on.
        chunk_rows: inputs per chunk; None chooses.
        folded: multiply the two matrices of a factored or tied read-out with each other before the inputs come;
            None chooses what costs less.
    """

    kind: ClassVar[Literal["fast", "autograd"]] = "fast"

    @staticmethod
    def supports(model: object) -> bool:
        """Whether the network is of that kind, on one device, all of it trained, and without hooks attached."""
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
        self.model, self.objective = model, objective
        self.table = OperandTable(model)
        self.index = self.table.rows_of(task.tokens.to(like.device))
        self.grads: dict[nn.Parameter, Tensor] = {w: torch.zeros_like(w) for w in model.parameters()}

        # In the order of the inputs, in which a chunk needs few tokens of the first operand.
        rows = train_mask.to(like.device).nonzero().flatten()
        self.total = len(rows)
        widest = max(model.cfg.d_mlp, model.cfg.d_vocab_out)
        self.length = chunk_length(self.total, chunk_rows or rows_that_fit(widest, like))
        self.links = links_of(model, self.length, folded=folded)
        self.labels = task.labels.to(like.device)[rows].split(self.length)
        self.bags = [
            Bags(part, like.new_ones(part.shape), len(self.table))
            for part in self.index[rows].split(self.length)
        ]
        self.pre = like.new_empty(self.length, model.cfg.d_mlp)
        self.g_table = like.new_empty(len(self.table), model.cfg.d_mlp)

    @torch.no_grad()
    def __call__(self) -> Float[Tensor, ""]:
        """Mean train loss in float64; every parameter's `.grad` is overwritten with a fresh gradient."""
        table = self._take_weights()
        for summed in (self.g_table, *self.grads.values()):
            summed.zero_()
        losses = []
        for bags, labels in zip(self.bags, self.labels, strict=True):
            pre = bags.mix(table, out=self.pre[: len(labels)])
            loss, gradient = self._loss_backward(pre, labels)
            bags.add_table_gradient(gradient, into=self.g_table)
            losses.append(loss)
        self.table.add_gradients(self.g_table, self.grads)
        for link in self.links:
            link.add_gradients(self.grads)
        for parameter, gradient in self.grads.items():
            parameter.grad = gradient
        return torch.stack(losses).sum()

    @torch.no_grad()
    def logits(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "_ d_vocab_out"]:
        """Logits for some inputs of the task or all."""
        index = self.index if rows is None else self.index[rows.to(self.index.device)]
        table = self._take_weights()
        logits = table.new_empty(len(index), self.model.cfg.d_vocab_out)
        for part, out in zip(index.split(self.length), logits.split(self.length), strict=True):
            pre = mix(part, table, table.new_ones(part.shape), out=self.pre[: len(part)])
            out.copy_(self._forward(pre))
        return logits

    def _take_weights(self) -> Tensor:
        for link in self.links:
            link.refresh()
        return self.table.compute()

    def _forward(self, x: Tensor) -> Tensor:
        for link in self.links:
            x = link.forward(x)
        return x

    def _loss_backward(self, pre: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a chunk, and the gradient of its first pre-activations, in their memory."""
        loss, g = self.objective.loss_and_gradient(self._forward(pre), labels, self.total)
        for link in reversed(self.links):
            g = link.backward(g)
        return loss, g


class OperandTable:
    """What each operand's token adds to the first hidden layer, and the gradients of the weights behind it.

    One row for each token, or one for each token of each operand where the operands are treated differently. Each
    operand carries one half of the bias.
    """

    def __init__(self, model: HookedMLP) -> None:
        cfg, first = model.cfg, model.layers[0]
        self.W_in, self.b_in = first.W_in, first.b_in
        self.bias_share = first.biases / OPERANDS
        self.alike = cfg.embeddings == "shared" and cfg.combine == "sum"
        self.embeddings = [model.embed.W_E]
        if not self.alike:
            self.embeddings.append(model.embed_b.W_E if cfg.embeddings == "separate" else model.embed.W_E)
        self.side_by_side, self.d_vocab = cfg.combine == "concat", cfg.d_vocab

    def __len__(self) -> int:
        return len(self.embeddings) * self.d_vocab

    def rows_of(self, tokens: Int[Tensor, "inputs operand"]) -> Int[Tensor, "inputs operand"]:
        """The rows that are added up for each input."""
        offsets = torch.arange(OPERANDS, device=tokens.device) * (0 if self.alike else self.d_vocab)
        return tokens + offsets

    def compute(self) -> Float[Tensor, "rows d_mlp"]:
        """The rows for the present weights, summed in float64 and rounded once, as those of the fast step are."""
        parts = [embedding.detach().double() for embedding in self.embeddings]
        if self.W_in is not None:
            parts = [
                part @ matrix.double()
                for part, matrix in zip(parts, self._by_operand(self.W_in), strict=True)
            ]
        table = torch.cat(parts)
        if self.b_in is not None:
            table.add_(self.b_in, alpha=self.bias_share)
        return table.to(self.embeddings[0].dtype)

    def add_gradients(self, g_table: Float[Tensor, "rows d_mlp"], grads: Gradients) -> None:
        """Turn the gradient of the table into those of the weights, and add them to `grads`."""
        if self.b_in is not None:
            grads[self.b_in].add_(g_table.sum(0), alpha=self.bias_share)
        parts = g_table.split(self.d_vocab)
        if self.W_in is None:
            for embedding, g in zip(self.embeddings, parts, strict=True):
                grads[embedding].add_(g)
            return
        matrices, g_matrices = self._by_operand(self.W_in), self._by_operand(grads[self.W_in])
        for embedding, g, W, g_W in zip(self.embeddings, parts, matrices, g_matrices, strict=True):
            g_W.addmm_(embedding.T, g)
            grads[embedding].addmm_(g, W.T)

    def _by_operand(self, W_in: Tensor) -> list[Tensor]:
        """The part of the matrix, or of its gradient, that each embedding meets; views."""
        W_in = W_in.detach()
        return list(W_in.chunk(OPERANDS)) if self.side_by_side else [W_in] * len(self.embeddings)
