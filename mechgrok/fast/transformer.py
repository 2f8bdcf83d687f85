"""Forward pass of a one-layer transformer at the last position from its tables, for any inputs."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from mechgrok.fast.kernels import FORWARD, rows_that_fit
from mechgrok.fast.row_sums import RowSums, mix
from mechgrok.fast.tables import Pairs, Tables, TokenTables, fold_pays
from mechgrok.models.protocol import is_plain
from mechgrok.models.transformer import HookedTransformer


class LastPositionAttention:
    """The attention weights of a fixed set of inputs, and the gradient of the scores.

    Args:
        of_input: [n_inputs, n_slots], the pairs of these inputs.
        rate: attention rate alpha: weights are alpha * pattern + (1 - alpha).
        for_gradient: whether gradients will be requested.
        member: [n_inputs], of several networks, whose scores follow each other, the one that runs each input.
    """

    def __init__(
        self,
        pairs: Pairs,
        of_input: Int[Tensor, "inputs slots"],
        rate: float,
        *,
        for_gradient: bool,
        member: Int[Tensor, " inputs"] | None = None,
    ) -> None:
        self.shape, self.rate = of_input.shape, rate
        last = of_input[:, -1:] - pairs.last_start
        n_scores = pairs.n_last * len(pairs)
        index = last * len(pairs) + of_input
        if member is not None:
            index += member[:, None] * n_scores
            n_scores *= int(member.max()) + 1
        self.index = index.flatten()
        self.sums = RowSums(self.index, n_scores) if for_gradient and rate > 0 else None

    def pattern(self, scores: Float[Tensor, "scores heads"]) -> Float[Tensor, "inputs slots heads"]:
        """Softmax of the scores over the slots."""
        return scores.index_select(0, self.index).view(*self.shape, -1).softmax(dim=1)

    def write_weights(
        self, pattern: Float[Tensor, "inputs slots heads"] | None, into: Float[Tensor, "inputs mixed heads"]
    ) -> None:
        """Write the attention weights of the first slots; without a pattern all are 1, as at attention rate 0."""
        if pattern is None:
            into.fill_(1.0)
        else:
            torch.mul(pattern[:, : into.shape[1]], self.rate, out=into).add_(1 - self.rate)

    def scores_gradient(
        self, pattern: Float[Tensor, "inputs slots heads"], gradient: Float[Tensor, "inputs mixed heads"]
    ) -> Float[Tensor, "scores heads"]:
        """Gradient of the scores, given the gradient of the attention weights of the first slots."""
        assert self.sums is not None, "built without gradients"
        left_out = pattern.shape[1] - gradient.shape[1]
        weighted = functional.pad(gradient, (0, 0, 0, left_out)).mul_(pattern)
        weighted -= pattern * weighted.sum(1, keepdim=True)
        return self.sums(weighted.mul_(self.rate).flatten(0, 1))


class TabledNetwork:
    """A one-layer transformer without LayerNorm, on the inputs of a task.

    Args:
        pairs: the task's inputs.
        folded: multiply the unembedding into the weights before it; None chooses the cheaper way.
        chunk_rows: maximum number of inputs at a time; None chooses.

    Attributes:
        width: number of columns that bypass the MLP and leave the block: logits if folded, else the residual
            stream.
        n_weighted: number of terms of an input that are weighted by attention.
        u, active: buffers for a chunk, [chunk_rows, d_mlp + width] and [chunk_rows, d_mlp].
    """

    @staticmethod
    def supports(model: object) -> bool:
        """Whether the network is one plain layer: no norm, no gate, one precision and device, and no hooks
        attached."""
        return (
            isinstance(model, HookedTransformer)
            and model.cfg.n_layers == 1
            and model.cfg.normalization is None
            and not model.cfg.gated_mlp
            and is_plain(model)
        )

    def __init__(
        self,
        model: HookedTransformer,
        pairs: Pairs,
        *,
        folded: bool | None = None,
        chunk_rows: int | None = None,
    ) -> None:
        self.model, self.cfg, self.pairs = model, model.cfg, pairs
        self.folded = fold_pays(model) if folded is None else folded
        self.tables = TokenTables(model, pairs, folded=self.folded)
        self.width = self.cfg.d_vocab_out if self.folded else self.cfg.d_model
        like, columns = model.embed.W_E, self.cfg.d_mlp + self.width
        self.chunk_rows = min(chunk_rows or rows_that_fit(columns, like), len(pairs.of_input))
        self.n_weighted = pairs.n_mixed * self.cfg.n_heads
        self.table_length = self.cfg.n_heads * len(pairs) + pairs.n_last
        self.u = like.new_empty(self.chunk_rows, columns)
        self.active = like.new_empty(self.chunk_rows, self.cfg.d_mlp)

    @torch.no_grad()
    def logits(
        self, of_input: Int[Tensor, "inputs slots"], neurons: Float[Tensor, "inputs d_mlp"] | None = None
    ) -> Float[Tensor, "inputs d_vocab_out"]:
        """Logits at the last position, for inputs given by their pairs.

        Args:
            neurons: where to also write the neurons.
        """
        tables = self.tables.compute()
        logits = self.u.new_empty(len(of_input), self.cfg.d_vocab_out)
        parts, outs = of_input.split(self.chunk_rows), logits.split(self.chunk_rows)
        actives = [self.active] * len(parts) if neurons is None else neurons.split(self.chunk_rows)
        for part, out, active in zip(parts, outs, actives, strict=True):
            attention = LastPositionAttention(self.pairs, part, self.cfg.attention_rate, for_gradient=False)
            weights = self.new_weights(len(part))
            self.attend(attention, tables, weights)
            u = mix(self.term_index(part), tables.terms, weights, out=self.u[: len(part)])
            _, passing = self.forward(u, tables, active[: len(part)])
            self.write_logits(passing, out)
        return logits

    def term_index(self, of_input: Int[Tensor, "inputs slots"]) -> Int[Tensor, "inputs terms"]:
        """Table rows of each input."""
        return term_index(self.pairs, of_input, self.cfg.n_heads)

    def new_weights(self, n: int) -> Float[Tensor, "n terms"]:
        """Buffer for the weights of the terms; the last token's own row always has weight 1."""
        return self.model.embed.W_E.new_ones(n, self.n_weighted + 1)

    def attend(
        self, attention: LastPositionAttention, tables: Tables, weights: Float[Tensor, "inputs terms"]
    ) -> Float[Tensor, "inputs slots heads"] | None:
        """Write the attention weights of some inputs; return the pattern that they came from."""
        pattern = None if tables.scores is None else attention.pattern(tables.scores)
        attention.write_weights(pattern, into=weights[:, :-1].unflatten(1, (-1, self.cfg.n_heads)))
        return pattern

    def forward(
        self, u: Float[Tensor, "rows columns"], tables: Tables, active: Float[Tensor, "rows d_mlp"]
    ) -> tuple[Float[Tensor, "rows d_mlp"], Float[Tensor, "rows width"]]:
        """Write the neurons; return their pre-activations and the output of the block: both parts of u."""
        pre, passing = u[:, : self.cfg.d_mlp], u[:, self.cfg.d_mlp :]
        if tables.out is not None:
            FORWARD[self.cfg.act_fn](pre, active)
            passing.addmm_(active, tables.out)
        return pre, passing

    def write_logits(
        self, passing: Float[Tensor, "rows width"], out: Float[Tensor, "rows classes"]
    ) -> Float[Tensor, "rows classes"]:
        """Write the logits from the output of the block."""
        if self.folded:
            return out.copy_(passing)
        unembed = self.model.unembed
        torch.mm(passing, unembed.W_U, out=out)
        return out if unembed.b_U is None else out.add_(unembed.b_U)


def term_index(
    pairs: Pairs, of_input: Int[Tensor, "inputs slots"], n_heads: int
) -> Int[Tensor, "inputs terms"]:
    """Table rows of inputs: head by head within slot by slot, then that of the last token itself."""
    heads = torch.arange(n_heads, device=of_input.device)
    own = len(pairs) * n_heads + of_input[:, -1:] - pairs.last_start
    mixed = of_input[:, : pairs.n_mixed, None] * n_heads
    return torch.cat([(mixed + heads).flatten(1), own], dim=1)
