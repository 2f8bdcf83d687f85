"""The QK and OV circuits of attention heads: which tokens a head attends to, and what it writes of them."""

from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source
from mechgrok.activations.sources import as_network
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ActivationError, ConfigError, NoGroupError, UndefinedMetricError, shown
from mechgrok.models.protocol import HookedModel
from mechgrok.tasks import Task
from mechgrok.wording import in_words


@dataclass(frozen=True, eq=False)
class HeadCircuits(Drawable):
    """The QK and OV circuits of all heads, as products of two small matrices that `qk` and `ov` multiply out.

    Attributes:
        queries, keys: [layers, heads, d_vocab, d_head], whose product is the QK circuit, in float64.
        values: [layers, heads, d_vocab, d_head], the left factor of the OV circuit.
        outputs: [layers, heads, d_head, outputs], its right factor.
        writes: what the outputs are, "neurons" of the head's own block or "logits".
        query: the token at the position where the answer is read, if it is always the same; otherwise None.
        tokens: the tokens that stand for elements, in the order of the group; all of them for a task without a group.
        cyclic: whether the group is cyclic, so that a circuit may be made of waves over `tokens`.
    """

    queries: Float[Tensor, "layers heads d_vocab d_head"]
    keys: Float[Tensor, "layers heads d_vocab d_head"]
    values: Float[Tensor, "layers heads d_vocab d_head"]
    outputs: Float[Tensor, "layers heads d_head outputs"]
    writes: Literal["neurons", "logits"]
    query: int | None
    tokens: Int[Tensor, " shown"]
    cyclic: bool

    @property
    def n_layers(self) -> int:
        """The number of blocks with attention."""
        return self.queries.shape[0]

    @property
    def n_heads(self) -> int:
        """The number of heads in each block."""
        return self.queries.shape[1]

    def qk(self, layer: int, head: int) -> Float[Tensor, "d_vocab d_vocab"]:
        """What a query token (row) and a key token (column) add to the attention score before the softmax."""
        return self._of(self.queries, layer, head) @ self._of(self.keys, layer, head).T

    def ov(self, layer: int, head: int) -> Float[Tensor, "d_vocab outputs"]:
        """What a head writes to each output (column) if it attends to a token (row) alone."""
        return self._of(self.values, layer, head) @ self._of(self.outputs, layer, head)

    def _of(self, factor: Tensor, layer: int, head: int) -> Tensor:
        for index, size, word in ((layer, self.n_layers, "layer"), (head, self.n_heads, "head")):
            if not isinstance(index, int) or not -size <= index < size:
                raise ActivationError(
                    f"the network has {in_words(size, word)}, there is no {word} {shown(index)}"
                )
        return factor[layer, head]

    def scores(self, layer: int, head: int) -> Float[Tensor, "queries shown"]:
        """The rows of the QK circuit that are used, over `tokens`: the one of `query`, or of each of them."""
        rows = self.tokens if self.query is None else torch.tensor([self.query])
        keys = self._of(self.keys, layer, head)[self.tokens]
        return self._of(self.queries, layer, head)[rows] @ keys.T

    def records(self) -> list[dict[str, Any]]:
        """One row per head: how far attention scores differ between tokens, and how far what is written does.

        Both are root mean squares of the circuit over `tokens` less its mean over them.
        """
        return [
            {
                "layer": layer,
                "head": head,
                "qk_spread": _spread(self.scores(layer, head).T),
                "ov_spread": _spread(
                    self._of(self.values, layer, head)[self.tokens] @ self.outputs[layer, head]
                ),
            }
            for layer in range(self.n_layers)
            for head in range(self.n_heads)
        ]

    def __repr__(self) -> str:
        return (
            f"HeadCircuits({in_words(self.n_layers, 'layer')} of {in_words(self.n_heads, 'head')}; "
            f"{len(self.tokens)} tokens, written to {self.outputs.shape[3]} {self.writes})"
        )


@door
def head_circuits(source: Source, into: Literal["neurons", "logits"] | None = None) -> HeadCircuits:
    """The full QK circuit W_E W_Q W_K^T W_E^T / sqrt(d_head) and the full OV circuit W_E W_V W_O W_U of each head.

    Both are the direct path from the tokens: in later layers, what earlier blocks wrote is left out, and everywhere
    are positions, norms and biases. A grokked network does its work in neurons, which the direct path to the logits
    passes by: where a head's own block has an MLP, its OV circuit ends there, as W_E W_V W_O W_in.

    Args:
        source: a network with attention; the run, name or file of one; or its grid.
        into: where OV circuits end; None takes the neurons if there are some, and the logits otherwise.

    Raises:
        ConfigError: an unknown end.
        ActivationError: the network lacks the weights, or its blocks lack neurons.
        UndefinedMetricError: several heads share their keys and values.

    Source: Elhage et al. 2021 (A mathematical framework for transformer circuits); the map to the neurons, Nanda et al.
    2023, section 4.

    >>> import mechgrok as mg
    >>> circuits = head_circuits(mg.induction_network(d_vocab=20, n_ctx=24))
    >>> copied = circuits.ov(1, 1)
    >>> bool((copied.argmax(1) == torch.arange(20)).all())
    True
    """
    if into not in ("neurons", "logits", None):
        raise ConfigError(
            f"an OV circuit ends in 'neurons' or 'logits', or in None to choose; got {shown(into)}"
        )
    given = source if isinstance(source, ActivationGrid) else as_network(source)
    model: HookedModel = given.model if isinstance(given, ActivationGrid) else given
    W_E, W_Q, W_K, W_V, W_O = (_weight(model, name) for name in ("W_E", "W_Q", "W_K", "W_V", "W_O"))
    if W_K.shape != W_Q.shape or W_V.shape[:2] != W_O.shape[:2]:
        raise UndefinedMetricError("heads share their keys and values, and have no circuits of their own")
    writes = into or ("neurons" if isinstance(getattr(model, "W_in", None), Tensor) else "logits")
    end = _weight(model, "W_in")[:, None] if writes == "neurons" else _weight(model, "W_U")
    query, tokens, cyclic = _shown(getattr(given, "task", None), len(W_E))
    return HeadCircuits(
        W_E @ W_Q / _scale(model), W_E @ W_K, W_E @ W_V, W_O @ end, writes, query, tokens, cyclic
    )


def _spread(values: Float[Tensor, "tokens *rest"]) -> float:
    return (values - values.mean(0)).square().mean().sqrt().item()


def _weight(model: HookedModel, name: str) -> Tensor:
    weight = getattr(model, name, None)
    if not isinstance(weight, Tensor):
        raise ActivationError(f"the network has no {name}, from which the circuits of its heads are computed")
    return weight.detach().double().cpu()


def _scale(model: HookedModel) -> float:
    """By what scores are divided: the root of d_head, if a network of TransformerLens does not say otherwise."""
    if getattr(model.cfg, "use_attn_scale", True) is False:
        return 1.0
    return getattr(model.cfg, "attn_scale", None) or sqrt(model.cfg.d_head)


def _shown(task: Task | None, d_vocab: int) -> tuple[int | None, Tensor, bool]:
    """The token that asks for the answer, the tokens in order, and whether they stand in a circle."""
    if task is None or task.inputs.is_floating_point():
        return None, torch.arange(d_vocab), False
    last = task.inputs[:, -1]
    asks = int(last[0]) if task.signature.n_scored == 1 and bool((last == last[0]).all()) else None
    try:
        frame = task.frame
        return asks, frame.tokens, frame.basis.what == "frequency"
    except (NoGroupError, UndefinedMetricError):
        return asks, torch.arange(d_vocab), False
