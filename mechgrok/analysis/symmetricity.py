"""Gradient symmetricity: whether a network treats its two operands alike, as a pizza must and a clock cannot."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.models.protocol import check_hook_names, device_of, evaluation_mode
from mechgrok.models.readout import at_scored, options_for

CHUNK_BYTES = 16 * 2**20
"""Approximate memory for the gradients of the widest layer at a time."""
PUBLISHED_SEED = 42
"""The released code shuffles the list of all (a, b, c) with this seed and takes the first 100."""


@dataclass(frozen=True)
class GradientSymmetricity(Drawable):
    """Mean cosine between the gradients of a logit with respect to both operands' embeddings.

    Attributes:
        value: in -1..1; also `float(result)`. It is 1 for every network that adds the embeddings before
            anything else happens to them, whatever it computes next.
        n_triples: number of triples (a, b, c) requested.
        exact: whether all triples were used instead of a sample.
        undefined: number of triples left out because a gradient is 0 and has no direction.
    """

    value: float
    n_triples: int
    exact: bool
    undefined: int

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        which = f"all {self.n_triples}" if self.exact else f"a sample of {self.n_triples}"
        left_out = f", {self.undefined} of them undefined" if self.undefined else ""
        return f"GradientSymmetricity({self.value:z.5f} over {which} triples{left_out})"


@door
def gradient_symmetricity(source: Source, triples: int | None = None) -> GradientSymmetricity:
    """Similarity of the gradients dQ_abc/dE_a and dQ_abc/dE_b, as a mean cosine over triples (a, b, c).

    Q_abc is one raw logit; c need not be the right answer. The gradients are taken with respect to the token
    embedding at the position of each operand, before positions are added, separately for each position even if a
    = b. Near 1 the network uses only E_a + E_b (pizza); a clock uses a product of the two and stays far below.

    Args:
        source: a network, or the grid of one.
        triples: None uses all, in chunks of bounded memory. A number n uses the first n after Python's
            `random.Random(42).shuffle` of the lexicographic list of all triples; 100 gives the published ones.

    Raises:
        ConfigError: fewer than 1 triple, or more than there are.
        UndefinedMetricError: no triple has two non-zero gradients.
        ActivationError: a grid without its network.

    Source: Zhong et al. 2023 (arXiv 2306.17844), definition of gradient symmetricity and released code.

    >>> from mechgrok.models.constructed import cosine_network
    >>> gradient_symmetricity(cosine_network(7, {2: 5.0}))
    GradientSymmetricity(0.00000 over all 343 triples)
    """
    grid = as_grid(source, names=[])
    check_hook_names(grid.model, ["hook_embed"])
    n_all = grid.task.n_inputs * grid.task.n_classes
    if triples is not None and not 1 <= triples <= n_all:
        raise ConfigError(f"triples must be None for all, or a number in 1..{n_all}; got {triples}")
    chunks = _of_all(grid) if triples is None else _of_sample(grid, triples)
    total, defined = 0.0, 0
    for first, second in chunks:
        lengths = first.norm(dim=-1).double() * second.norm(dim=-1).double()
        cosines = torch.einsum("nbd,nbd->nb", first, second).double() / lengths
        usable = lengths > 0
        total += cosines[usable].sum().item()
        defined += int(usable.sum())
    n_triples = triples or n_all
    if not defined:
        raise UndefinedMetricError(
            f"the gradients of all {n_triples} logits are 0 for one operand or both, so they have no angle"
        )
    return GradientSymmetricity(total / defined, n_triples, triples is None, n_triples - defined)


def _of_all(grid: ActivationGrid) -> Iterator[tuple[Tensor, Tensor]]:
    """Gradients [class, batch, d_model] of every logit, chunk by chunk over the inputs."""
    n_classes = grid.task.n_classes
    for rows in torch.arange(grid.task.n_inputs).split(_chunk_length(grid, n_classes)):
        every_class = torch.eye(n_classes)[:, None].expand(n_classes, len(rows), n_classes)
        yield _gradients(grid, grid.task.tokens[rows], every_class)


def _of_sample(grid: ActivationGrid, n: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Gradients [1, batch, d_model] of one logit for each chosen triple."""
    n_classes = grid.task.n_classes
    chosen = torch.tensor(_published_order(grid.task.n_inputs * n_classes)[:n])
    for part in chosen.split(_chunk_length(grid, 1)):
        one_class = functional.one_hot(part % n_classes, n_classes)[None].float()
        yield _gradients(grid, grid.task.tokens[part // n_classes], one_class)


@lru_cache(maxsize=1)
def _published_order(n_all: int) -> list[int]:
    """The triples in the authors' shuffled order, by number: a shuffle depends only on the length."""
    order = list(range(n_all))
    random.Random(PUBLISHED_SEED).shuffle(order)
    return order


def _gradients(
    grid: ActivationGrid, tokens: Int[Tensor, "batch n_ctx"], weights: Float[Tensor, "n batch classes"]
) -> tuple[Float[Tensor, "n batch d_model"], Float[Tensor, "n batch d_model"]]:
    """Gradients of n weighted sums of the logits of each input, at the first and at the second operand."""
    model: Any = grid.model
    embedded: list[Tensor] = []

    def start_here(embedding: Tensor, hook: Any) -> Tensor:
        embedded.append(embedding.detach().requires_grad_())
        return embedded[-1]

    with torch.enable_grad(), evaluation_mode(model):
        outputs = model.run_with_hooks(
            tokens.to(device_of(model)), fwd_hooks=[("hook_embed", start_here)], **options_for(model)
        )
        logits = at_scored(outputs)[:, 0, : grid.task.n_classes]
        # A user-defined network may embed one operand after the other.
        parts = torch.autograd.grad(logits, embedded, weights.to(logits), is_grads_batched=True)
        gradients = torch.cat(parts, dim=2)
    first, second = grid.operation.operand_positions
    return gradients[:, :, first], gradients[:, :, second]


def _chunk_length(grid: ActivationGrid, gradients_each: int) -> int:
    cfg = grid.model.cfg
    width = max(
        getattr(cfg, "d_mlp", None) or 0, getattr(cfg, "d_model", 0) * grid.task.n_ctx, grid.task.n_classes
    )
    return max(1, CHUNK_BYTES // (4 * width * gradients_each))
