"""The training step of several one-layer transformers at once, by hand: many small networks in few calls.

A small network spends most of a step on the cost of calls. Here the tables of all networks follow each other as one
long table, of which every input reads the rows of its own network; so sums of rows, attention, activation function and
loss are the calls of a single network, and only the products with weights are batched ones.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.fast.kernels import BACKWARD, FORWARD, rows_that_fit
from mechgrok.fast.objective import Objective
from mechgrok.fast.row_sums import Bags, mix
from mechgrok.fast.stacks import WrittenStackedStep, labels_side_by_side, side_by_side
from mechgrok.fast.tables import Pairs, TableGradients, Tables, TokenTables
from mechgrok.fast.transformer import LastPositionAttention, term_index
from mechgrok.fast.transformer_step import FastStep
from mechgrok.models.transformer import HookedTransformer
from mechgrok.tasks import Task


class StackedTransformerStep(WrittenStackedStep):
    """Gradients of stacked one-layer transformers without norms, each on its own train inputs.

    The unembedding is multiplied into the weights before it.

    Args:
        stack: a network whose weights are those of several, [members, ...] under their usual names.
        tasks: of each member; their inputs are the same.
        train_masks: [n_inputs] for each member, which inputs it is trained on.
    """

    @staticmethod
    def supports(model: object) -> bool:
        """Whether a network is of the kind that `FastStep` takes alone."""
        return FastStep.supports(model)

    def __init__(
        self,
        stack: HookedTransformer,
        tasks: Sequence[Task],
        train_masks: Sequence[Bool[Tensor, " inputs"]],
        objective: Objective,
    ) -> None:
        super().__init__(stack)
        like = stack.embed.W_E
        self.cfg, self.objective = stack.cfg, objective
        self.pairs = Pairs.of(tasks[0].tokens.to(like.device))
        self.tables = TokenTables(stack, self.pairs, folded=True)
        rows, self.share = side_by_side(train_masks, like)
        columns = self.tables.terms.shape[-1]
        several = max(rows_that_fit(columns, like) // rows.shape[1], 1)
        labels = labels_side_by_side(tasks, rows).split(several)
        self.parts = [
            _Members(self.tables, self.pairs.of_input[own], of_own)
            for own, of_own in zip(rows.split(several), labels, strict=True)
        ]
        d_mlp, width = stack.cfg.d_mlp, stack.cfg.d_vocab_out
        self.g_terms = torch.empty_like(self.tables.terms)
        self.g_out = None if self.tables.mlp is None else like.new_empty(len(rows), d_mlp, width)

    def write_gradients(self) -> None:
        """Part by part, each of which stays in the cache."""
        tables = self.tables.compute()
        self.g_terms.zero_()
        g_scores = []
        for part, own in zip(self.parts, _slices(self.parts), strict=True):
            g_out = None if self.g_out is None else self.g_out[own]
            g_scores.append(part.backward(_some(tables, own), self, own, self.g_terms[own], g_out))
        scores = torch.cat(g_scores) if tables.scores is not None else None
        self.tables.write_gradients(tables, TableGradients(self.g_terms, scores, self.g_out, ()), self.grads)

    def all_logits(self) -> Float[Tensor, "members inputs d_vocab_out"]:
        """Part by part too."""
        tables = self.tables.compute()
        parts = zip(self.everything, _slices(self.everything), strict=True)
        return torch.cat([part.forward(_some(tables, own)).clone() for part, own in parts])

    @cached_property
    def everything(self) -> list["_Members"]:
        """All inputs of the task for each network; made when logits are first asked for."""
        of_input, n = self.pairs.of_input, len(self.tables.terms)
        several = max(rows_that_fit(self.tables.terms.shape[-1], self.tables.terms) // len(of_input), 1)
        return [_Members(self.tables, part) for part in of_input.expand(n, -1, -1).split(several)]


class _Members:
    """Some networks side by side, as many as stay in the cache.

    Args:
        of_input: [members, n, slots], the pairs of the inputs of each.
        labels: [members, n]; None where no gradient is asked for.
    """

    def __init__(
        self,
        tables: TokenTables,
        of_input: Int[Tensor, "members n slots"],
        labels: Int[Tensor, "members n"] | None = None,
    ) -> None:
        cfg, pairs, like = tables.model.cfg, tables.pairs, tables.terms
        self.cfg, self.count, self.n = cfg, of_input.shape[0], of_input.shape[1]
        self.labels = None if labels is None else labels.flatten()
        flat = of_input.flatten(0, 1)
        member = torch.arange(self.count, device=flat.device).repeat_interleave(self.n)
        self.attention = LastPositionAttention(
            pairs, flat, cfg.attention_rate, for_gradient=labels is not None, member=member
        )
        length = like.shape[-2]
        self.index = term_index(pairs, flat, cfg.n_heads) + member[:, None] * length
        n_weighted = self.index.shape[1] - 1
        self.weights = like.new_ones(self.index.shape)
        attends = cfg.attention_rate > 0
        if labels is not None:
            weighted = n_weighted if attends else 0
            self.bags = Bags(self.index, self.weights, self.count * length, weighted, self.count)
        self.u = like.new_empty(len(flat), like.shape[-1])
        self.active = like.new_empty(len(flat), cfg.d_mlp)
        self.pattern: Tensor | None = None

    def forward(self, tables: Tables) -> Float[Tensor, "members n classes"]:
        """Write the pre-activations and the neurons; gives the logits."""
        self.pattern = None if tables.scores is None else self.attention.pattern(tables.scores.flatten(0, -2))
        self.attention.write_weights(
            self.pattern, into=self.weights[:, :-1].unflatten(1, (-1, self.cfg.n_heads))
        )
        terms = tables.terms.flatten(0, -2)
        if self.labels is None:
            mix(self.index, terms, self.weights, out=self.u)
        else:
            self.bags.mix(terms, out=self.u)
        logits = self._of_members(self.u)[..., self.cfg.d_mlp :]
        if tables.out is not None:
            FORWARD[self.cfg.act_fn](self.u[:, : self.cfg.d_mlp], self.active)
            logits.baddbmm_(self._of_members(self.active), tables.out)
        return logits

    def backward(
        self,
        tables: Tables,
        step: StackedTransformerStep,
        own: slice,
        g_terms: Float[Tensor, "members rows columns"],
        g_out: Float[Tensor, "members d_mlp classes"] | None,
    ) -> Float[Tensor, "members last_pairs heads"] | None:
        """Write the gradients of the tables of these members; gives that of the scores."""
        assert self.labels is not None, "built without labels"
        logits = self.forward(tables)
        flat = self.u[:, self.cfg.d_mlp :]
        _, gradient = step.objective.loss_and_gradient(flat, self.labels, self.n)
        if gradient is not flat:
            flat.copy_(gradient)
        if step.share is not None:
            logits *= step.share[own]
        if tables.out is not None and g_out is not None:
            active = self._of_members(self.active)
            torch.bmm(active.mT, logits, out=g_out)
            torch.bmm(logits, tables.out.mT, out=active)
            BACKWARD[self.cfg.act_fn](self.active, self.u[:, : self.cfg.d_mlp])
        self.bags.add_table_gradient(self.u, into=g_terms.flatten(0, 1))
        if self.pattern is None:
            return None
        g_weights = self.bags.weight_gradient(self.u, tables.terms.flatten(0, -2))
        g_scores = self.attention.scores_gradient(
            self.pattern, g_weights.unflatten(1, (-1, self.cfg.n_heads))
        )
        return g_scores.unflatten(0, (self.count, -1))

    def _of_members(self, rows: Float[Tensor, "rows columns"]) -> Float[Tensor, "members n columns"]:
        return rows.unflatten(0, (self.count, self.n))


def _slices(parts: Sequence[_Members]) -> list[slice]:
    """Which of all networks each part has."""
    ends = list(accumulate(part.count for part in parts))
    return [slice(end - part.count, end) for part, end in zip(parts, ends, strict=True)]


def _some(tables: Tables, own: slice) -> Tables:
    """The tables of some members."""
    tensors: dict[str, Any] = {name: t if t is None else t[own] for name, t in vars(tables).items()}
    return Tables(**tensors)
