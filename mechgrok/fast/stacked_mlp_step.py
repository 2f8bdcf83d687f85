"""The training step of several feed-forward networks on two operands at once, by hand.

Their operand tables follow each other as one long table, of which every input reads the rows of its own network; the
products with weights are batched ones. All of it is the step of one network (`mlp_step.py`) with an axis more.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.fast.kernels import rows_that_fit
from mechgrok.fast.mlp import Gradients, MLPByTables
from mechgrok.fast.mlp_step import FastMLPStep
from mechgrok.fast.objective import Objective
from mechgrok.fast.row_sums import Bags, mix
from mechgrok.fast.stacks import WrittenStackedStep, labels_side_by_side, side_by_side, some_of
from mechgrok.models.mlp import HookedMLP
from mechgrok.tasks import Task


class StackedMLPStep(WrittenStackedStep):
    """Gradients of stacked `HookedMLP`s, each on its own train inputs.

    Args:
        stack: a network whose weights are those of several, [members, ...] under their usual names.
        tasks: of each member; their inputs are the same.
        train_masks: [n_inputs] for each member, which inputs it is trained on.
    """

    @staticmethod
    def supports(model: object) -> bool:
        """Whether a network is of the kind that `FastMLPStep` takes alone."""
        return FastMLPStep.supports(model)

    def __init__(
        self,
        stack: HookedMLP,
        tasks: Sequence[Task],
        train_masks: Sequence[Bool[Tensor, " inputs"]],
        objective: Objective,
    ) -> None:
        super().__init__(stack)
        like = stack.embed.W_E
        self.stack, self.objective = stack, objective
        self.tokens = tasks[0].tokens.to(like.device)
        rows, self.share = side_by_side(train_masks, like)
        self.labels = labels_side_by_side(tasks, rows)
        self.parts = [
            (own, _Members(some_of(stack, own), self.tokens[rows[own]], self._gradients_of(own)))
            for own in _parts_that_fit(stack, rows.shape[1])
        ]

    def _gradients_of(self, own: slice) -> list[Tensor]:
        """Views of the gradients of some members, parameter by parameter."""
        return [gradient[own] for gradient in self.grads.values()]

    def write_gradients(self) -> None:
        """Part by part, each of which stays in the cache."""
        for own, part in self.parts:
            logits = part.forward()
            flat = logits.flatten(0, 1)
            _, gradient = self.objective.loss_and_gradient(flat, self.labels[own].flatten(), logits.shape[1])
            gradient = gradient.view_as(logits)
            part.backward(gradient if self.share is None else gradient.mul_(self.share[own]))

    def all_logits(self) -> Float[Tensor, "members inputs d_vocab_out"]:
        """Part by part too."""
        return torch.cat([part.forward().clone() for part in self.everything])

    @cached_property
    def everything(self) -> list["_Members"]:
        """All inputs of the task for each network; made when logits are first asked for."""
        return [
            _Members(some_of(self.stack, own), self.tokens.expand(own.stop - own.start, -1, -1))
            for own in _parts_that_fit(self.stack, len(self.tokens))
        ]


class _Members:
    """Some networks side by side, as many as stay in the cache.

    Args:
        stack: these networks alone.
        tokens: [members, n, operand], the inputs of each.
        grads: of its parameters, in their order, to be overwritten; None where no gradient is asked for.
    """

    def __init__(
        self,
        stack: HookedMLP,
        tokens: Int[Tensor, "members n operand"],
        grads: Sequence[Tensor] | None = None,
    ) -> None:
        like, (count, n, _) = stack.embed.W_E, tokens.shape
        self.network = MLPByTables(stack, chunk_rows=n)
        length = len(self.network.table)
        starts = length * torch.arange(count, device=like.device)
        self.index = (self.network.table.rows_of(tokens) + starts[:, None, None]).flatten(0, 1)
        self.weights = like.new_ones(self.index.shape)
        self.g_table = like.new_empty(count, length, stack.cfg.d_mlp)
        self.grads: Gradients = {}
        self.bags: Bags | None = None
        if grads is not None:
            self.grads = dict(zip(stack.parameters(), grads, strict=True))
            self.bags = Bags(self.index, self.weights, count * length, members=count)

    def forward(self) -> Float[Tensor, "members n d_vocab_out"]:
        """Logits with the present weights, in a buffer."""
        table, pre = self.network.take_weights().flatten(0, 1), self.network.pre
        if self.bags is None:
            mix(self.index, table, self.weights, out=pre.flatten(0, 1))
        else:
            self.bags.mix(table, out=pre.flatten(0, 1))
        return self.network.forward(pre)

    def backward(self, g: Float[Tensor, "members n d_vocab_out"]) -> None:
        """Overwrite the gradients of the weights, given that of the logits of the last `forward`."""
        assert self.bags is not None, "built without gradients"
        for summed in (self.g_table, *self.grads.values()):
            summed.zero_()
        for link in reversed(self.network.links):
            g = link.backward(g)
        self.bags.add_table_gradient(g.flatten(0, 1), into=self.g_table.flatten(0, 1))
        self.network.table.add_gradients(self.g_table, self.grads)
        for link in self.network.links:
            link.add_gradients(self.grads)


def _parts_that_fit(stack: HookedMLP, n: int) -> list[slice]:
    """Members in parts, of which the buffers for n inputs each stay in the cache."""
    like, cfg = stack.embed.W_E, stack.cfg
    several = max(rows_that_fit(max(cfg.d_mlp, cfg.d_vocab_out), like) // n, 1)
    return [slice(start, min(start + several, len(like))) for start in range(0, len(like), several)]
