"""Measures of attention heads, and of what a network takes from the context."""

from mechgrok.analysis.heads import HeadScoreName, HeadScores, head_scores
from mechgrok.analysis.in_context import compared
from mechgrok.measures.invariances import CONFIDENCE, all_but
from mechgrok.measures.losses import positions_of_test
from mechgrok.measures.registry import measure
from mechgrok.measures.snapshot import Snapshot

OLSSON = "Olsson et al. 2022 (arXiv 2209.11895)"
PARTS = 4
"""The positions that the in-context score compares are the first and the last of so many parts."""


@measure("fraction", direction="up", needs=["heads"], citation=OLSSON, invariances=all_but())
def induction_score(snapshot: Snapshot) -> float:
    """Attention to what followed earlier occurrences of the present token, of the head with most (prefix matching)."""
    return _strongest(snapshot, "induction")


@measure("fraction", direction="up", needs=["heads"], citation=OLSSON, invariances=all_but())
def previous_token_score(snapshot: Snapshot) -> float:
    """Attention to the previous token, of the head with most."""
    return _strongest(snapshot, "previous_token")


@measure("fraction", needs=["heads"], citation=OLSSON, invariances=all_but())
def duplicate_token_score(snapshot: Snapshot) -> float:
    """Attention to earlier occurrences of the present token, of the head with most."""
    return _strongest(snapshot, "duplicate_token")


@measure(
    "fraction",
    direction="up",
    needs=["heads"],
    citation=OLSSON,
    invariances=all_but("shift of logits", "shifted operands"),
)
def copying_score(snapshot: Snapshot) -> float:
    """Sum of the OV circuit's eigenvalues over the sum of their absolute values, of the head with most."""
    return _strongest(snapshot, "copying")


@measure(
    "fraction",
    direction="up",
    needs=["heads"],
    citation=OLSSON,
    title="Induction score of each head",
    invariances=all_but("order of neurons"),
)
def induction_score_per_head(snapshot: Snapshot) -> dict[str, float]:
    """Attention to what followed earlier occurrences of the present token, of each head."""
    return _per_head(snapshot, "induction")


@measure(
    "fraction",
    direction="up",
    needs=["heads"],
    citation=OLSSON,
    title="Previous-token score of each head",
    invariances=all_but("order of neurons"),
)
def previous_token_score_per_head(snapshot: Snapshot) -> dict[str, float]:
    """Attention to the previous token, of each head."""
    return _per_head(snapshot, "previous_token")


@measure(
    "nats",
    direction="down",
    needs=["split", "positions"],
    citation=OLSSON,
    title="In-context score",
    invariances=CONFIDENCE,
    default=False,
)
def in_context_score(snapshot: Snapshot) -> float:
    """Test loss over the last quarter of the scored positions less that over the first quarter."""
    losses = snapshot.once(positions_of_test)
    numbers = range(len(losses.labels))
    length = max(len(numbers) // PARTS, 1)
    return compared(losses, numbers[:length], numbers[-length:]).score


def _scores(snapshot: Snapshot) -> HeadScores:
    return head_scores(snapshot.model, snapshot.task)


def _strongest(snapshot: Snapshot, name: HeadScoreName) -> float:
    return snapshot.once(_scores)[name].max().item()


def _per_head(snapshot: Snapshot, name: HeadScoreName) -> dict[str, float]:
    scores = snapshot.once(_scores)
    return dict(zip([row.name for row in scores], scores[name].flatten().tolist(), strict=True))
