"""Attention patterns over all positions, averaged over inputs."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source
from mechgrok.activations.attention import patterns
from mechgrok.activations.sources import as_network
from mechgrok.analysis.probe_sequences import sequences_for
from mechgrok.config import check_seed
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.tasks import Task


@dataclass(frozen=True, eq=False)
class MeanAttention(Drawable):
    """From where to where each head of a network attends, on average.

    Attributes:
        patterns: [layers, heads, query, key].
        sequences: over which inputs the mean was taken, in words.
    """

    patterns: Float[Tensor, "layers heads query key"]
    sequences: str

    def records(self) -> list[dict[str, Any]]:
        """One row per head and query: the key that it attends to most, and how much."""
        most, key = self.patterns.max(3)
        return [
            {"layer": i, "head": j, "query": q, "key": int(key[i, j, q]), "attention": most[i, j, q].item()}
            for i, j, q in torch.cartesian_prod(*map(torch.arange, self.patterns.shape[:3])).tolist()
        ]

    def __repr__(self) -> str:
        layers, heads, n, _ = self.patterns.shape
        return f"MeanAttention({layers} layers, {heads} heads, {n} positions; {self.sequences})"


@door
def mean_attention(source: Source, task: Task | None = None, seed: int = 0) -> MeanAttention:
    """The mean attention pattern of each head.

    Args:
        source: a network with attention; the run, name or file of one; or its grid.
        task: the mean is over its inputs, of more than 1000 over as many chosen at random; None takes the task of the
            network. Where none is known, random tokens that come twice, as in `head_scores`.
        seed: of what is drawn at random.

    Raises:
        ActivationError: the network has no attention.
        UndefinedMetricError: inputs are features; without a task, the network reads fewer than 6 tokens.
        TaskError: the task does not fit the network.

    >>> import mechgrok as mg
    >>> looks_back = mean_attention(mg.induction_network(d_vocab=20, n_ctx=24)).patterns[0, 0].diagonal(-1)
    >>> round(looks_back.min().item(), 6)
    1.0
    """
    given = source if isinstance(source, ActivationGrid) else as_network(source)
    model = given.model if isinstance(given, ActivationGrid) else given
    tokens, sequences = sequences_for(model, task or getattr(given, "task", None), check_seed(seed))
    total = sum(pattern.sum(1) for _, pattern in patterns(model, tokens))
    assert isinstance(total, Tensor), "there is at least one sequence"
    return MeanAttention(total / len(tokens), sequences)
