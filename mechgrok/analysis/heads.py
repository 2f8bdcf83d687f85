"""What each attention head does: looks at the previous token, at the same token, or at what followed it; and copies."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source
from mechgrok.activations.attention import patterns
from mechgrok.activations.sources import as_network
from mechgrok.analysis.probe_sequences import sequences_for
from mechgrok.config import check_seed
from mechgrok.door import Share, door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, UndefinedMetricError, shown
from mechgrok.models.protocol import HookedModel
from mechgrok.readable import Readable
from mechgrok.tasks import Task

HeadScoreName = Literal["previous_token", "duplicate_token", "induction", "copying"]
NAMES: tuple[HeadScoreName, ...] = get_args(HeadScoreName)
FOUND = 0.5
"""How far a head that counts as one of a kind is on the way from even attention to a perfect head."""
NOTHING = 1e-9
"""Eigenvalues whose sum is this fraction of the size of a matrix, or less, are rounding."""


@dataclass(frozen=True)
class HeadScore(Readable):
    """One head; a score that is undefined for the network or its inputs is None.

    Attributes:
        layer, head: numbered from 0.
        previous_token: attention to the position before, 0..1.
        duplicate_token: attention to earlier positions with the same token, where there are some, 0..1.
        induction: attention to the positions right after these (prefix matching), 0..1.
        copying: sum of the eigenvalues of the full OV circuit over the sum of their absolute values, -1..1: 1 raises
            the logit of every token that is attended to, -1 lowers it, and 0 does neither.
    """

    layer: int
    head: int
    previous_token: float | None
    duplicate_token: float | None
    induction: float | None
    copying: float | None

    @property
    def name(self) -> str:
        """Such as "L1H3"."""
        return f"L{self.layer}H{self.head}"


@dataclass(frozen=True, eq=False)
class HeadScores(Drawable):
    """All heads of a network, the first layer first. `scores["induction"]` is one score as [layers, heads].

    Attributes:
        heads: one row for each.
        chance: by name of a score, what a head has that attends evenly to all that it may see.
        undefined: by name of a score that the network or its inputs do not have, why.
        sequences: what was looked at, in words.
    """

    heads: tuple[HeadScore, ...]
    chance: dict[str, float]
    undefined: dict[str, str]
    sequences: str

    def __iter__(self) -> Iterator[HeadScore]:
        return iter(self.heads)

    def __len__(self) -> int:
        return len(self.heads)

    @property
    def defined(self) -> tuple[HeadScoreName, ...]:
        """Names of the scores that there are."""
        return tuple(name for name in NAMES if name not in self.undefined)

    def __getitem__(self, name: str) -> Float[Tensor, "layers heads"]:
        """One score of all heads.

        Raises:
            ConfigError: there is no score of this name.
            UndefinedMetricError: this network, or its inputs, do not have it.
        """
        if name not in NAMES:
            raise ConfigError(f"the scores of a head are {', '.join(NAMES)}; got {shown(name)}")
        if name in self.undefined:
            raise UndefinedMetricError(self.undefined[name])
        n_layers = 1 + max(row.layer for row in self.heads)
        return torch.tensor([getattr(row, name) for row in self.heads], dtype=torch.float64).view(
            n_layers, -1
        )

    def strongest(self, name: HeadScoreName) -> HeadScore:
        """The head with the highest score of a name.

        Raises:
            UndefinedMetricError: the score is undefined.
        """
        return self.heads[int(self[name].argmax())]

    def found(self, name: HeadScoreName, at_least: Share = FOUND) -> tuple[HeadScore, ...]:
        """The heads of a kind, the strongest first; none where the score is undefined.

        Args:
            at_least: how far they must be on the way from even attention (of copying, from 0) to a perfect head.
        """
        even = self.chance.get(name, 0.0)
        bound = even + at_least * (1 - even)
        rows = [(getattr(row, name), row) for row in self.heads if getattr(row, name) is not None]
        return tuple(row for score, row in sorted(rows, key=lambda pair: -pair[0]) if score >= bound > even)

    def records(self) -> list[dict[str, Any]]:
        """One row per head."""
        return [asdict(row) for row in self.heads]

    def __repr__(self) -> str:
        best = [(name, self.strongest(name)) for name in self.defined]
        scores = ", ".join(f"{name} {row.name} {getattr(row, name):z.2f}" for name, row in best)
        return f"HeadScores({len(self)} heads on {self.sequences}; strongest: {scores})"


@door
def head_scores(source: Source, task: Task | None = None, seed: int = 0) -> HeadScores:
    """Which heads are previous-token, duplicate-token and induction heads, and which copy.

    The first three are read off the attention patterns. Each is the mean share of the attention to the right positions,
    over the queries that have one. So a perfect head has 1; TransformerLens's `detect_head`, which finds the same
    positions, divides by all queries, those without such a position among them. Copying is a property of the weights
    alone.

    Args:
        source: a network with attention; the run, name or file of one; or its grid.
        task: its inputs are looked at, of more than 1000 as many chosen at random; None takes the task of the network.
            Where none is known, up to 50 random tokens that come twice in the same order, 64 times.
        seed: of what is drawn at random.

    Raises:
        ActivationError: the network has no attention.
        UndefinedMetricError: inputs are features; without a task, the network reads fewer than 6 tokens.
        TaskError: the task does not fit the network.

    Source: Olsson et al. 2022 (arXiv 2209.11895), prefix matching and copying; the positions are those of
    TransformerLens's detection patterns. Norms are left out of the OV circuit, W_E W_V W_O W_U.

    >>> import mechgrok as mg
    >>> scores = head_scores(mg.induction_network(d_vocab=20, n_ctx=24))
    >>> [row.name for row in scores.found("previous_token")], [row.name for row in scores.found("induction")]
    (['L0H0'], ['L1H1'])
    >>> round(scores.found("induction")[0].copying, 6)
    1.0
    """
    given = source if isinstance(source, ActivationGrid) else as_network(source)
    model: HookedModel = given.model if isinstance(given, ActivationGrid) else given
    tokens, sequences = sequences_for(model, task or getattr(given, "task", None), check_seed(seed))
    scores, chance, undefined = _attention_scores(model, tokens)
    try:
        scores["copying"] = _copying(model)
    except UndefinedMetricError as reason:
        undefined["copying"] = str(reason)
    layers, heads = next(iter(scores.values())).shape
    rows = [
        HeadScore(layer, head, **{name: _at(scores.get(name), layer, head) for name in NAMES})
        for layer in range(layers)
        for head in range(heads)
    ]
    return HeadScores(tuple(rows), chance, undefined, sequences)


def _at(scores: Float[Tensor, "layers heads"] | None, layer: int, head: int) -> float | None:
    return None if scores is None else scores[layer, head].item()


def _attention_scores(
    model: HookedModel, tokens: Int[Tensor, "batch pos"]
) -> tuple[dict[str, Float[Tensor, "layers heads"]], dict[str, float], dict[str, str]]:
    """Scores that are read off the patterns, with their values for even attention, and why some are undefined."""
    seen = _seen(model, tokens.shape[1])
    sums: dict[str, Tensor] = {}
    even: dict[str, float] = defaultdict(float)
    queries: Counter[str] = Counter()
    for rows, pattern in patterns(model, tokens):
        # With an attention rate below 1 what a query gives away is more than 1.
        share = pattern / pattern.sum(4, keepdim=True)
        for name, mask in attended_positions(tokens[rows]).items():
            sums[name] = sums.get(name, 0) + (share * mask[:, None]).sum((1, 3, 4))
            even[name] += (mask.sum(2) / seen).sum().item()
            queries[name] += int(mask.any(2).sum())
    known = [name for name in sums if queries[name]]
    undefined = {name: "no token comes again in these sequences" for name in sums if not queries[name]}
    return (
        {name: sums[name] / queries[name] for name in known},
        {name: even[name] / queries[name] for name in known},
        undefined,
    )


def _seen(model: HookedModel, n: int) -> Float[Tensor, " query"]:
    """To how many positions each one may attend."""
    if getattr(model.cfg, "attention_dir", "causal") == "bidirectional":
        return torch.full((n,), n, dtype=torch.float64)
    return torch.arange(1, n + 1, dtype=torch.float64)


def attended_positions(tokens: Int[Tensor, "batch pos"]) -> dict[str, Bool[Tensor, "batch query key"]]:
    """Where a head of each kind attends to from each position: what TransformerLens calls detection patterns.

    >>> attended_positions(torch.tensor([[5, 6, 5]]))["induction"][0].int().tolist()
    [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    """
    n = tokens.shape[1]
    earlier = torch.ones(n, n, dtype=torch.bool).tril(-1)
    duplicate = (tokens[:, :, None] == tokens[:, None, :]) & earlier
    induction = duplicate.roll(1, 2)
    induction[:, :, 0] = False
    previous = torch.eye(n, dtype=torch.bool).roll(-1, 1) & earlier
    return {
        "previous_token": previous.expand(len(tokens), -1, -1),
        "duplicate_token": duplicate,
        "induction": induction,
    }


def _copying(model: HookedModel) -> Float[Tensor, "layers heads"]:
    """The eigenvalue score of each head's OV circuit.

    W_E W_V W_O W_U has the eigenvalues of W_O W_U W_E W_V, which is no larger than a head, but for zeros.

    Raises:
        UndefinedMetricError: a matrix is missing; tokens and logits are not the same.
    """
    weights = [getattr(model, name, None) for name in ("W_E", "W_V", "W_O", "W_U")]
    if not all(isinstance(weight, Tensor) for weight in weights):
        raise UndefinedMetricError(
            "the network lacks one of W_E, W_V, W_O and W_U, from which copying is computed"
        )
    W_E, W_V, W_O, W_U = (weight.detach().double().cpu() for weight in weights if weight is not None)
    if W_V.shape[:2] != W_O.shape[:2]:
        raise UndefinedMetricError("heads share their values, and have no OV circuits of their own")
    if W_E.shape[0] != W_U.shape[1]:
        raise UndefinedMetricError(
            f"the network reads {W_E.shape[0]} tokens and has {W_U.shape[1]} logits: which of these stand for the same "
            "is not known, and so not what is copied"
        )
    direct = W_U @ W_E
    eigenvalues = torch.linalg.eigvals(W_O @ direct @ W_V)
    total = eigenvalues.abs().sum(-1)
    sizes = W_O.flatten(2).norm(dim=2) * direct.norm() * W_V.flatten(2).norm(dim=2)
    return torch.where(total > NOTHING * sizes, eigenvalues.real.sum(-1) / total, 0.0)
