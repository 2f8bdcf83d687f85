"""Hand-written passes of feed-forward networks on two operands: tables of the operands, then products.

The weights may have one more leading axis, for several networks of one architecture side by side; tables, buffers and
logits then have it too, and nothing else differs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mechgrok.config import Activation
from mechgrok.fast.kernels import BACKWARD, FORWARD, add_product, chunk_length, rows_that_fit
from mechgrok.fast.row_sums import mix
from mechgrok.models.mlp import OPERANDS, HookedMLP

Gradients = Mapping[nn.Parameter, Tensor]
"""Accumulators for the gradient of each parameter."""


@dataclass(frozen=True)
class Factor:
    """A weight as a matrix [inputs, outputs]: the parameter or, for a tied unembedding, its transpose."""

    parameter: nn.Parameter
    transposed: bool = False

    def matrix(self) -> Float[Tensor, "*several d_in d_out"]:
        """The current weights."""
        return self._view(self.parameter.detach())

    def add(self, gradient: Float[Tensor, "*several d_in d_out"], grads: Gradients) -> None:
        """Add to the gradient of the parameter."""
        self._view(grads[self.parameter]).add_(gradient)

    def _view(self, tensor: Tensor) -> Tensor:
        return tensor.mT if self.transposed else tensor


class Link:
    """activation(x) @ weight + bias, on chunks of inputs, with buffers that every chunk and every step reuses.

    Call `refresh` once for each state of the weights, `forward` and `backward` for each chunk, `add_gradients` at
    the end.

    Args:
        factors: one matrix, or two that are multiplied together before any input is processed.
        bias: [d_out], or None.
        activation: applied to the input; None leaves it as it is.
        length: maximum number of inputs in a chunk.

    """

    def __init__(
        self,
        factors: tuple[Factor, ...],
        bias: nn.Parameter | None,
        activation: Activation | None,
        length: int,
    ) -> None:
        self.factors, self.bias = factors, bias
        self.activation: Activation | None = activation
        first, last = factors[0].matrix(), factors[-1].matrix()
        self.x = self.x_active = self.weight = first.new_empty(0)
        *several, d_in = first.shape[:-1]
        d_out = last.shape[-1]
        self.active = first.new_empty(*several, length, d_in) if activation else None
        self.result = first.new_empty(*several, length, d_out)
        # Transposed, since it is accumulated from products [d_out, rows] @ [rows, d_in], the faster order.
        self.g_weight = first.new_zeros(*several, d_out, d_in)
        self.g_bias = first.new_zeros(*several, d_out)

    def refresh(self) -> None:
        """Read the current weights, and reset the accumulated gradients."""
        matrices = [factor.matrix() for factor in self.factors]
        # A product of weights is summed in float64 and rounded once, like the tables of the fast step.
        self.weight = matrices[0]
        for matrix in matrices[1:]:
            self.weight = (self.weight.double() @ matrix.double()).to(matrix.dtype)
        self.g_weight.zero_()
        self.g_bias.zero_()

    def forward(self, x: Float[Tensor, "*several rows d_in"]) -> Float[Tensor, "*several rows d_out"]:
        """The result, in a buffer; x is kept for the backward pass."""
        self.x = self.x_active = x
        rows = x.shape[-2]
        if self.activation and self.active is not None:
            self.x_active = self.active[..., :rows, :]
            FORWARD[self.activation](x, self.x_active)
        out = self.result[..., :rows, :]
        if self.bias is None:
            return torch.matmul(self.x_active, self.weight, out=out)
        return add_product(self.bias.unsqueeze(-2), self.x_active, self.weight, out=out)

    def backward(self, g: Float[Tensor, "*several rows d_out"]) -> Float[Tensor, "*several rows d_in"]:
        """Gradient of the x of the last `forward`, in the memory of that x; accumulates those of weight and bias."""
        add_product(self.g_weight, g.mT, self.x_active, out=self.g_weight)
        if self.bias is not None:
            self.g_bias.add_(g.sum(-2))
        g_active = torch.matmul(g, self.weight.mT, out=self.x_active)
        if self.activation:
            BACKWARD[self.activation](g_active, self.x)
        return self.x

    def add_gradients(self, grads: Gradients) -> None:
        """Add the accumulated gradients to those of the parameters."""
        if self.bias is not None:
            grads[self.bias].add_(self.g_bias)
        g = self.g_weight.mT
        if len(self.factors) == 1:
            self.factors[0].add(g, grads)
            return
        left, right = self.factors
        left.add(g @ right.matrix().mT, grads)
        right.add(left.matrix().mT @ g, grads)


def links_of(model: HookedMLP, length: int, *, folded: bool | None) -> list[Link]:
    """The products from the first pre-activations to the logits.

    Args:
        length: maximum number of inputs in a chunk.
        folded: multiply the two matrices of a factored or tied read-out; None chooses the cheaper way.
    """
    act_fn, unembed = model.cfg.act_fn, model.unembed
    hidden = [
        Link((Factor(layer.W_in),), layer.b_in, act_fn, length)
        for layer in model.layers[1:]
        if layer.W_in is not None
    ]
    W_U = Factor(model.embed.W_E, transposed=True) if unembed.W_U is None else Factor(unembed.W_U)
    factors = (W_U,) if unembed.W_out is None else (Factor(unembed.W_out), W_U)
    if folded is None:
        folded = _fold_pays([factor.matrix() for factor in factors])
    if folded or len(factors) == 1:
        return [*hidden, Link(factors, unembed.b_U, act_fn, length)]
    left, right = factors
    return [*hidden, Link((left,), None, act_fn, length), Link((right,), unembed.b_U, None, length)]


def _fold_pays(matrices: list[Tensor]) -> bool:
    """Whether the product has fewer elements, so that an input takes fewer multiplications, than its factors."""
    d_in, d_out = matrices[0].shape[-2], matrices[-1].shape[-1]
    return d_in * d_out <= sum(prod(matrix.shape[-2:]) for matrix in matrices)


class MLPByTables:
    """The forward pass of a `HookedMLP`, chunk by chunk.

    Args:
        total: upper bound on the number of inputs; None leaves it open.
        chunk_rows, folded: as in `FastMLPStep`.

    Attributes:
        length: maximum number of inputs in a chunk.
        pre: buffer for the first pre-activations of a chunk, [*several, length, d_mlp].
    """

    def __init__(
        self,
        model: HookedMLP,
        total: int | None = None,
        *,
        chunk_rows: int | None = None,
        folded: bool | None = None,
    ) -> None:
        like, cfg = model.embed.W_E, model.cfg
        most = chunk_rows or rows_that_fit(max(cfg.d_mlp, cfg.d_vocab_out), like)
        self.length = most if total is None else chunk_length(total, most)
        self.cfg, self.table = cfg, OperandTable(model)
        self.links = links_of(model, self.length, folded=folded)
        self.pre = like.new_empty(*like.shape[:-2], self.length, cfg.d_mlp)

    def take_weights(self) -> Float[Tensor, "*several rows d_mlp"]:
        """Compute the table for the current weights, and refresh the links."""
        for link in self.links:
            link.refresh()
        return self.table.compute()

    def forward(self, x: Float[Tensor, "*several rows d_mlp"]) -> Float[Tensor, "*several rows d_vocab_out"]:
        """From the first pre-activations to the logits, in a buffer."""
        for link in self.links:
            x = link.forward(x)
        return x

    @torch.no_grad()
    def logits(
        self,
        index: Int[Tensor, "inputs operand"],
        neurons: Float[Tensor, "inputs d_mlp"] | None = None,
        pre: Float[Tensor, "inputs d_mlp"] | None = None,
    ) -> Float[Tensor, "inputs d_vocab_out"]:
        """Logits of inputs given by their rows of the table.

        Args:
            neurons, pre: where to also write the neurons of the last hidden layer, and their pre-activations.
        """
        table, last = self.take_weights(), [link for link in self.links if link.activation][-1]
        logits = table.new_empty(len(index), self.cfg.d_vocab_out)
        for start in range(0, len(index), self.length):
            part, rows = index[start : start + self.length], slice(start, start + self.length)
            first = mix(part, table, table.new_ones(part.shape), out=self.pre[: len(part)])
            logits[rows] = self.forward(first)
            if neurons is not None:
                neurons[rows] = last.x_active
            if pre is not None:
                pre[rows] = last.x
        return logits


class OperandTable:
    """Contribution of each operand's token to the first hidden layer, and the gradients of the weights behind it.

    There is one row for each token, or for each token of each operand if the operands are treated differently.
    Each operand carries one half of the bias.
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

    def rows_of(
        self, tokens: Int[Tensor, "*several inputs operand"]
    ) -> Int[Tensor, "*several inputs operand"]:
        """The rows that are added up for each input."""
        offsets = torch.arange(OPERANDS, device=tokens.device) * (0 if self.alike else self.d_vocab)
        return tokens + offsets

    def compute(self) -> Float[Tensor, "*several rows d_mlp"]:
        """The rows for the current weights, summed in float64 and rounded once, like those of the fast step."""
        parts = [embedding.detach().double() for embedding in self.embeddings]
        if self.W_in is not None:
            parts = [
                part @ matrix.double()
                for part, matrix in zip(parts, self._by_operand(self.W_in), strict=True)
            ]
        table = torch.cat(parts, dim=-2)
        if self.b_in is not None:
            table.add_(self.b_in.unsqueeze(-2), alpha=self.bias_share)
        return table.to(self.embeddings[0].dtype)

    def add_gradients(self, g_table: Float[Tensor, "*several rows d_mlp"], grads: Gradients) -> None:
        """Convert the gradient of the table to gradients of the weights, and add them to `grads`."""
        if self.b_in is not None:
            grads[self.b_in].add_(g_table.sum(-2), alpha=self.bias_share)
        parts = g_table.split(self.d_vocab, dim=-2)
        if self.W_in is None:
            for embedding, g in zip(self.embeddings, parts, strict=True):
                grads[embedding].add_(g)
            return
        matrices, g_matrices = self._by_operand(self.W_in), self._by_operand(grads[self.W_in])
        for embedding, g, W, g_W in zip(self.embeddings, parts, matrices, g_matrices, strict=True):
            g_E = grads[embedding]
            add_product(g_W, embedding.detach().mT, g, out=g_W)
            add_product(g_E, g, W.mT, out=g_E)

    def _by_operand(self, W_in: Tensor) -> list[Tensor]:
        """The part of the matrix, or of its gradient, that multiplies each embedding, as views."""
        W_in = W_in.detach()
        return list(W_in.chunk(OPERANDS, dim=-2)) if self.side_by_side else [W_in] * len(self.embeddings)
