"""The training step of one-layer transformers by hand: the same gradients as autograd's, several times faster.

What depends on tokens alone is computed per token (`mechgrok.training.tables`). What is left for each input is a
weighted sum of a dozen table rows, the activation function, one product to the logits and the loss; forward
and backward run chunk by chunk, so that all of it stays in the cache.
"""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mechgrok.config import Activation
from mechgrok.models.transformer import HookedTransformer
from mechgrok.tasks import Task
from mechgrok.training.attention import LastPositionAttention
from mechgrok.training.bags import Bags, mix
from mechgrok.training.objectives import Objective
from mechgrok.training.readout import ReadOut
from mechgrok.training.tables import Pairs, TableGradients, Tables, TokenTables, fold_pays

CHUNK_BYTES = 3 * 2**20
"""Size of one activation buffer of a chunk, so that two or three fit into the caches of a few cores. Longer chunks
would save little: the calls themselves are cheap."""
TILE = 32
"""Tokens of the fastest-changing slot that go into one run of inputs, so that their table rows stay cached."""

_aten = torch.ops.aten
FORWARD: dict[Activation, Callable[..., Tensor]] = {
    "relu": lambda pre, out: torch.clamp(pre, min=0, out=out),
    "gelu": lambda pre, out: _aten.gelu.out(pre, out=out),
    "square": lambda pre, out: torch.mul(pre, pre, out=out),
}
BACKWARD: dict[Activation, Callable[[Tensor, Tensor], object]] = {
    "relu": lambda g, pre: _aten.threshold_backward.grad_input(g, pre, 0, grad_input=pre),
    "gelu": lambda g, pre: _aten.gelu_backward.grad_input(g, pre, grad_input=pre),
    "square": lambda g, pre: pre.mul_(g).mul_(2),
}
"""Gradient with respect to the pre-activations from that of the activations; replaces the former in place."""


class FastStep:
    """Loss and gradient of a one-layer `HookedTransformer` without LayerNorm, read at the last position.

    Works on the network's own parameters. Move the network to its device and precision first.

    Args:
        train_mask: [n_inputs], which inputs of the task are trained on.
        chunk_rows: inputs per chunk; None chooses.
        folded: multiply the unembedding into the weights before it; None chooses what costs less.
    """

    kind: ClassVar[Literal["fast", "autograd"]] = "fast"

    @staticmethod
    def supports(model: object) -> bool:
        """Whether the network is of that kind, on one device, all of it trained, and without hooks attached."""
        if not isinstance(model, HookedTransformer):
            return False
        cfg, parameters = model.cfg, list(model.parameters())
        return (
            cfg.n_layers == 1
            and cfg.normalization is None
            and parameters[0].dtype in (torch.float32, torch.float64)
            and len({(w.dtype, w.device) for w in parameters}) == 1
            and all(w.requires_grad for w in parameters)
            and not any(hook.fwd_hooks or hook.bwd_hooks for hook in model.hook_dict.values())
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
        self.model, self.cfg = model, model.cfg
        folded = fold_pays(model) if folded is None else folded
        like = model.embed.W_E
        self.pairs = Pairs.of(task.tokens.to(like.device))
        self.tables = TokenTables(model, self.pairs, folded=folded)
        self.grads: dict[nn.Parameter, Tensor] = {w: torch.zeros_like(w) for w in model.parameters()}

        rows = self._in_tiles(train_mask.to(like.device).nonzero().flatten())
        of_input, labels = self.pairs.of_input[rows], task.labels.to(like.device)[rows]
        self.attention = LastPositionAttention(
            self.pairs, of_input, self.cfg.attention_rate, for_gradient=True
        )
        self.read_out = ReadOut(model, objective, total=len(rows), folded=folded)
        self.weights = self._new_weights(len(rows))
        width = self.cfg.d_mlp + self.read_out.width
        self.chunk_rows = chunk_rows or max(CHUNK_BYTES // (width * like.element_size()), 1)
        n_weighted = self._n_terms if self.cfg.attention_rate > 0 else 0
        self.bags = [
            Bags(index, self._table_length, n_weighted)
            for index in self._term_index(of_input).split(self._chunk_length(len(rows)))
        ]
        self.labels = labels.split(self._chunk_length(len(rows)))
        self.active = like.new_empty(len(self.labels[0]), self.cfg.d_mlp)
        # Transposed, since it is summed up from products [width, rows] @ [rows, d_mlp], the faster order.
        self.g_out = like.new_empty(self.read_out.width, self.cfg.d_mlp)

    @torch.no_grad()
    def __call__(self) -> Float[Tensor, ""]:
        """Mean train loss in float64; every parameter's `.grad` is overwritten with a fresh gradient."""
        tables = self.tables.compute()
        pattern = self._attend(self.attention, tables, self.weights)
        for accumulated in (self.g_out, *self.read_out.gradients):
            accumulated.zero_()
        weights = self.weights.split(self._chunk_length(len(self.weights)))
        losses, g_weights, g_terms = [], [], []
        for bags, chunk_weights, labels in zip(self.bags, weights, self.labels, strict=True):
            u = bags.mix(tables.terms, chunk_weights)
            losses.append(self._loss_backward(u, tables, labels))
            g_terms.append(bags.table_gradient(u, chunk_weights))
            if pattern is not None:
                g_weights.append(bags.weight_gradient(u, tables.terms))
        g_scores = None
        if pattern is not None:
            g_mixed = torch.cat(g_weights).unflatten(1, (-1, self.cfg.n_heads))
            g_scores = self.attention.scores_gradient(pattern, g_mixed)
        gradients = TableGradients(_sum(g_terms), g_scores, self.g_out.T, self.read_out.gradients)
        self.tables.write_gradients(tables, gradients, self.grads)
        for parameter, gradient in self.grads.items():
            parameter.grad = gradient
        return torch.stack(losses).sum()

    @torch.no_grad()
    def logits(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "_ d_vocab_out"]:
        """Logits at the last position, for some inputs of the task or all."""
        of_input = (
            self.pairs.of_input if rows is None else self.pairs.of_input[rows.to(self.pairs.tokens.device)]
        )
        tables = self.tables.compute()
        logits = self.model.embed.W_E.new_empty(len(of_input), self.cfg.d_vocab_out)
        for part, out in zip(of_input.split(self.chunk_rows), logits.split(self.chunk_rows), strict=True):
            attention = LastPositionAttention(self.pairs, part, self.cfg.attention_rate, for_gradient=False)
            weights = self._new_weights(len(part))
            self._attend(attention, tables, weights)
            u = mix(self._term_index(part).int(), tables.terms, weights)
            _, passing = self._forward(u, tables, u.new_empty(len(part), self.cfg.d_mlp))
            self.read_out.write_logits(passing, out)
        return logits

    def _attend(self, attention: LastPositionAttention, tables: Tables, weights: Tensor) -> Tensor | None:
        """Write the attention weights of some inputs; returns the pattern that they came from."""
        pattern = None if tables.scores is None else attention.pattern(tables.scores)
        attention.write_weights(pattern, into=weights[:, :-1].unflatten(1, (-1, self.cfg.n_heads)))
        return pattern

    def _forward(self, u: Tensor, tables: Tables, active: Tensor) -> tuple[Tensor, Tensor]:
        """Pre-activations, and the columns that leave the block with the MLP's output added; parts of u."""
        pre, passing = u[:, : self.cfg.d_mlp], u[:, self.cfg.d_mlp :]
        if tables.out is not None:
            FORWARD[self.cfg.act_fn](pre, active)
            passing.addmm_(active, tables.out)
        return pre, passing

    def _loss_backward(self, u: Tensor, tables: Tables, labels: Tensor) -> Tensor:
        """The loss of a chunk; replaces u by its gradient."""
        active = self.active[: len(u)]
        pre, passing = self._forward(u, tables, active)
        loss = self.read_out.loss_backward(passing, labels)
        if tables.out is not None:
            self.g_out.addmm_(passing.T, active)
            g_active = torch.mm(passing, tables.out.T, out=active)
            BACKWARD[self.cfg.act_fn](g_active, pre)
        return loss

    def _term_index(self, of_input: Int[Tensor, "inputs slots"]) -> Int[Tensor, "inputs terms"]:
        """Table rows of each input: head by head within slot by slot, then that of the last token itself."""
        heads = torch.arange(self.cfg.n_heads, device=of_input.device) * len(self.pairs)
        own = self._n_heads_rows + of_input[:, -1:] - self.pairs.first_last
        mixed = of_input[:, : self.pairs.n_mixed, None]
        return torch.cat([(mixed + heads).flatten(1), own], dim=1)

    def _new_weights(self, n: int) -> Tensor:
        """[n, terms]; the last token's own row always has the weight 1."""
        return self.model.embed.W_E.new_ones(n, self._n_terms + 1)

    def _in_tiles(self, rows: Int[Tensor, " train"]) -> Int[Tensor, " train"]:
        """The inputs in an order in which a chunk needs few tokens of every slot."""
        of_input = self.pairs.of_input
        varying = [s for s in range(of_input.shape[1]) if of_input[:, s].min() < of_input[:, s].max()]
        if not varying:
            return rows
        return rows[(of_input[rows, varying[-1]] // TILE).argsort(stable=True)]

    def _chunk_length(self, n: int) -> int:
        """Rows per chunk for chunks of equal length."""
        return -(-n // -(-n // self.chunk_rows))

    @property
    def _n_terms(self) -> int:
        return self.pairs.n_mixed * self.cfg.n_heads

    @property
    def _n_heads_rows(self) -> int:
        return self.cfg.n_heads * len(self.pairs)

    @property
    def _table_length(self) -> int:
        return self._n_heads_rows + self.pairs.n_last


def _sum(parts: list[Tensor]) -> Tensor:
    """The sum, in the memory of the first."""
    for part in parts[1:]:
        parts[0] += part
    return parts[0]
