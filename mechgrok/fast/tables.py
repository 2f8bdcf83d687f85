"""The part of a one-layer transformer that depends only on tokens, not on inputs, with its gradient.

Read at the last position and without LayerNorm, the network is

    u(x) = sum over slots s, heads h of A[x, s, h] * T[h, s, token s of x]  +  T[last token of x]

where u is the input of the MLP together with what bypasses it, and A the attention from the last position. All
rows T and all attention scores belong to a (slot, token) pair, of which there are about 2p instead of p^2.

If all inputs end in the same token, a "=", a third of the terms drops out: the attention weights of a head add up
to a constant c, so that sum_s A_s T_s = sum_{s < last} A_s (T_s - T_last) + c T_last.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mechgrok.fast.kernels import product
from mechgrok.models.transformer import HookedTransformer


@dataclass(frozen=True)
class Pairs:
    """The distinct (slot, token) pairs of a set of inputs, slot by slot.

    Attributes:
        tokens, slots: [pairs].
        of_input: [n_inputs, n_slots], the pair that each input has in each slot.
        last_start: index of the first pair of the last slot; all pairs from there on belong to the last slot.
    """

    tokens: Int[Tensor, " pairs"]
    slots: Int[Tensor, " pairs"]
    of_input: Int[Tensor, "inputs slots"]
    last_start: int

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def n_last(self) -> int:
        """Number of tokens in the last slot: one for a "=", p for an operand."""
        return len(self) - self.last_start

    @property
    def n_mixed(self) -> int:
        """Number of slots mixed by the attention weights: excludes a last slot whose token never changes."""
        return self.of_input.shape[1] - (self.n_last == 1)

    @staticmethod
    def of(tokens: Int[Tensor, "inputs slots"]) -> "Pairs":
        """The pairs of these inputs."""
        found = [column.unique(return_inverse=True) for column in tokens.T]
        lengths = torch.tensor([len(distinct) for distinct, _ in found])
        starts = (lengths.cumsum(0) - lengths).tolist()
        return Pairs(
            tokens=torch.cat([distinct for distinct, _ in found]),
            slots=torch.arange(len(found)).repeat_interleave(lengths).to(tokens.device),
            of_input=torch.stack(
                [inverse + start for (_, inverse), start in zip(found, starts, strict=True)], dim=1
            ),
            last_start=starts[-1],
        )


@dataclass(frozen=True)
class Tables:
    """The tables for one state of the weights.

    If the last slot has one token, the heads' rows are relative to the row of this token, which is 0, and its
    contribution is part of its own row.

    Attributes:
        terms: [pairs * n_heads + n_last, d_mlp + width], the rows T, with the rows of the heads first, pair by
            pair: an input needs all heads of a pair, which thus share the cache. The first d_mlp columns enter
            the MLP; the others bypass it: to the logits if the read-out is folded, to the residual stream otherwise.
        scores: [n_last * pairs, n_heads] attention scores, row last * pairs + pair; None without attention.
        out: [d_mlp, width], from the neurons to those columns; None without MLP.
        sought: [n_heads, n_last, d_model], the direction of the residual stream that a head's scores measure.
    """

    terms: Float[Tensor, "*several rows columns"]
    scores: Float[Tensor, "*several last_pairs heads"] | None
    out: Float[Tensor, "*several d_mlp width"] | None
    embedded: Tensor
    queries: Tensor | None
    sought: Tensor | None
    values: Tensor
    read: Tensor
    head_read: Tensor
    last: Tensor
    last_values: Tensor | None

    def to(self, dtype: torch.dtype) -> "Tables":
        """Convert to another precision."""
        tensors: dict[str, Any] = {n: t if t is None else t.to(dtype) for n, t in vars(self).items()}
        return Tables(**tensors)


@dataclass(frozen=True)
class TableGradients:
    """Gradients of the tables, and of W_U and b_U, if they exist and are not folded in."""

    terms: Float[Tensor, "*several rows columns"]
    scores: Float[Tensor, "*several last_pairs heads"] | None
    out: Float[Tensor, "*several d_mlp width"] | None
    unembed: tuple[Tensor, ...]


class TokenTables:
    """Computes the tables of a network from its weights, and the weights' gradients from the tables'.

    The weights may have a first axis more, for several networks of one architecture on the same inputs; the tables
    then have it too, and nothing else is different.

    Args:
        model: the network, or what has the weights of several under the names of one.
        folded: multiply the unembedding into the tables, which saves a d_model-wide product per input. Pays off
            if there are few classes, see `fold_pays`.
    """

    def __init__(self, model: HookedTransformer, pairs: Pairs, *, folded: bool) -> None:
        cfg = model.cfg
        self.model, self.pairs, self.folded = model, pairs, folded
        block: Any = model.blocks[0]
        self.attn, self.mlp = block.attn, block.mlp
        self.d_mlp, self.d_model = cfg.d_mlp, cfg.d_model
        self.attends = cfg.attention_rate > 0
        n_slots = pairs.of_input.shape[1]
        self.weight_sum = cfg.attention_rate + (1 - cfg.attention_rate) * n_slots
        self.relative = pairs.n_mixed < n_slots
        self.score_scale = cfg.d_head**-0.5
        columns = cfg.d_mlp + (cfg.d_vocab_out if folded else cfg.d_model)
        heads, like = cfg.n_heads, self.attn.W_O
        several = like.shape[:-3]
        self.of_heads = like.new_empty(*several, heads, len(pairs), columns, dtype=torch.float64)
        self.terms = like.new_empty(*several, len(pairs) * heads + pairs.n_last, columns)

    def compute(self) -> Tables:
        """The tables of the current weights, summed in float64 and rounded once; valid until the next call.

        Multiplied out in float32, the logits of a network that has memorised, about 30, would be off by some
        1e-5, as would its loss and gradient; the tables are small enough to afford float64.
        """
        attn, last_start = self.attn, self.pairs.last_start
        x = self.model.embed.W_E.index_select(-2, self.pairs.tokens).double()
        if self.model.cfg.positions == "learned":
            x += self.model.pos_embed.W_pos.index_select(-2, self.pairs.slots)
        last = x[..., last_start:, :]
        last = last if attn.b_O is None else last + attn.b_O.unsqueeze(-2)
        queries = sought = scores = None
        if self.attends:
            # Without the keys' bias, which shifts the scores of all slots equally.
            queries = _heads(x[..., last_start:, :], attn.W_Q, attn.b_Q)
            sought = queries @ attn.W_K.double().mT * self.score_scale
            # As dense rows: the inputs' rows are picked from it.
            scores = (sought @ x.unsqueeze(-3).mT).movedim(-3, -1).flatten(-3, -2).contiguous()
        values, last_values = _heads(x, attn.W_V, attn.b_V), None
        if self.relative:
            last_values = values[..., -1:, :]
            last = last + self.weight_sum * (last_values @ attn.W_O.double()).sum(-3)
            values = values - last_values
        read = self._read()
        head_read = (attn.W_O.flatten(-3, -2).double() @ read).unflatten(-2, attn.W_O.shape[-3:-1])
        by_pair = torch.matmul(values, head_read, out=self.of_heads).transpose(-3, -2)
        n_last = self.pairs.n_last
        self.terms[..., :-n_last, :].unflatten(-2, by_pair.shape[-3:-1]).copy_(by_pair)
        self.terms[..., -n_last:, :] = self._constant().unsqueeze(-2) + last @ read
        exact = Tables(
            self.terms, scores, self._out(), x, queries, sought, values, read, head_read, last, last_values
        )
        return exact.to(attn.W_O.dtype)

    def _read(self) -> Tensor:
        """[d_model, columns], the contribution of a residual stream vector before the MLP."""
        unembed = self.model.unembed.W_U
        passing = unembed if self.folded else torch.eye(self.d_model, device=unembed.device)
        passing = passing.expand(*unembed.shape[:-2], *passing.shape[-2:])
        into_mlp = [] if self.mlp is None else [self.mlp.W_in.double()]
        return torch.cat([*into_mlp, passing.double()], dim=-1)

    def _out(self) -> Tensor | None:
        if self.mlp is None or not self.folded:
            return None if self.mlp is None else self.mlp.W_out
        return self.mlp.W_out.double() @ self.model.unembed.W_U.double()

    def _constant(self) -> Tensor:
        """[columns], the contribution of the biases of MLP and unembedding."""
        unembed, mlp = self.model.unembed, self.mlp
        width = unembed.W_U.shape[-1] if self.folded else self.d_model
        several = unembed.W_U.shape[:-2]
        constant = unembed.W_U.new_zeros(*several, self.d_mlp + width, dtype=torch.float64)
        into_mlp, passing = constant[..., : self.d_mlp], constant[..., self.d_mlp :]
        if mlp is not None and mlp.b_in is not None:
            into_mlp += mlp.b_in
            passing += _row(mlp.b_out.double(), unembed.W_U.double()) if self.folded else mlp.b_out
        if self.folded and unembed.b_U is not None:
            passing += unembed.b_U
        return constant

    def write_gradients(self, tables: Tables, g: TableGradients, grads: dict[nn.Parameter, Tensor]) -> None:
        """Convert gradients of the tables to gradients of the weights, overwriting `grads`."""
        attn, last_start = self.attn, self.pairs.last_start
        n_last = self.pairs.n_last
        n_heads = tables.values.shape[-3]
        by_pair, g_last = g.terms[..., :-n_last, :].unflatten(-2, (-1, n_heads)), g.terms[..., -n_last:, :]
        g_heads = by_pair.transpose(-3, -2)
        g_head_read = (tables.values.mT @ g_heads).flatten(-3, -2)
        torch.matmul(g_head_read, tables.read.mT, out=grads[attn.W_O].flatten(-3, -2))
        g_read = attn.W_O.flatten(-3, -2).mT @ g_head_read
        g_read += tables.last.mT @ g_last
        g_values, g_residual = g_heads @ tables.head_read.mT, g_last @ tables.read.mT
        if tables.last_values is not None:
            shared = (self.weight_sum * g_residual).unsqueeze(-3)
            g_values[..., -1:, :] = shared @ attn.W_O.mT - g_values.sum(-2, keepdim=True)
            grads[attn.W_O] += tables.last_values.mT @ shared
        g_x = _heads_backward(g_values, tables.embedded, attn.W_V, attn.b_V, grads)
        g_x[..., last_start:, :] += g_residual
        if attn.b_O is not None:
            torch.sum(g_residual, -2, out=grads[attn.b_O])
        self._write_attention(tables, g.scores, g_x, grads)
        self._write_read_out(g, g_read, g_last.sum(-2), grads)
        self._write_embeddings(g_x, grads)

    def _write_attention(
        self, tables: Tables, g_scores: Tensor | None, g_x: Tensor, grads: dict[nn.Parameter, Tensor]
    ) -> None:
        attn, last_start = self.attn, self.pairs.last_start
        if g_scores is None or tables.queries is None or tables.sought is None:
            for unused in (attn.W_Q, attn.W_K, attn.b_Q, attn.b_K):
                if unused is not None:
                    grads[unused].zero_()
            return
        g_products = g_scores.unflatten(-2, (self.pairs.n_last, len(self.pairs))).movedim(-1, -3)
        x = tables.embedded
        g_sought = product(g_products, x.unsqueeze(-3)) * self.score_scale
        g_x += (g_products.mT @ tables.sought).sum(-3)
        torch.matmul(g_sought.mT, tables.queries, out=grads[attn.W_K])
        if attn.b_K is not None:
            # The sum here is pure rounding error, which an optimiser that normalises by size, like Adam, would
            # take for a direction.
            grads[attn.b_K].zero_()
        g_queries = product(g_sought, attn.W_K)
        g_x[..., last_start:, :] += _heads_backward(
            g_queries, x[..., last_start:, :], attn.W_Q, attn.b_Q, grads
        )

    def _write_read_out(
        self, g: TableGradients, g_read: Tensor, g_constant: Tensor, grads: dict[nn.Parameter, Tensor]
    ) -> None:
        unembed, mlp = self.model.unembed, self.mlp
        g_passing = g_constant[..., self.d_mlp :]
        own = (g_read[..., self.d_mlp :], g_passing) if self.folded else g.unembed
        assert own, "a read-out that is not folded has gradients of its own"
        g_unembed = grads[unembed.W_U].copy_(own[0])
        if unembed.b_U is not None:
            grads[unembed.b_U].copy_(own[1])
        if mlp is None or g.out is None:
            return
        grads[mlp.W_in].copy_(g_read[..., : self.d_mlp])
        if self.folded:
            torch.matmul(g.out, unembed.W_U.mT, out=grads[mlp.W_out])
            g_unembed += mlp.W_out.mT @ g.out
        else:
            grads[mlp.W_out].copy_(g.out)
        if mlp.b_in is not None:
            grads[mlp.b_in].copy_(g_constant[..., : self.d_mlp])
            grads[mlp.b_out].copy_(_row(g_passing, unembed.W_U.mT) if self.folded else g_passing)
            if self.folded:
                g_unembed += mlp.b_out.unsqueeze(-1) * g_passing.unsqueeze(-2)

    def _write_embeddings(self, g_x: Tensor, grads: dict[nn.Parameter, Tensor]) -> None:
        grads[self.model.embed.W_E].zero_().index_add_(-2, self.pairs.tokens, g_x)
        if self.model.cfg.positions == "learned":
            grads[self.model.pos_embed.W_pos].zero_().index_add_(-2, self.pairs.slots, g_x)


def fold_pays(model: HookedTransformer) -> bool:
    """Whether d_mlp x classes multiplications per input are fewer than going through the residual stream."""
    cfg = model.cfg
    return cfg.d_mlp * cfg.d_vocab_out <= cfg.d_model * (cfg.d_mlp + cfg.d_vocab_out)


def _heads(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """[pairs, d_model] -> [head, pairs, d_head]."""
    out = x.unsqueeze(-3) @ weight.to(x.dtype)
    return out if bias is None else out + bias.unsqueeze(-2)


def _row(vector: Tensor, matrix: Tensor) -> Tensor:
    """vector @ matrix, where both may have an axis more."""
    return (vector.unsqueeze(-2) @ matrix).squeeze(-2)


def _heads_backward(
    g: Tensor, x: Tensor, weight: nn.Parameter, bias: nn.Parameter | None, grads: dict[nn.Parameter, Tensor]
) -> Tensor:
    """Write the gradients of weight and bias of `_heads`; return the gradient of x."""
    torch.matmul(x.unsqueeze(-3).mT, g, out=grads[weight])
    if bias is not None:
        torch.sum(g, -2, out=grads[bias])
    return (g @ weight.mT).sum(-3)
