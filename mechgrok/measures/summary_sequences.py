"""What a summary says about positions and heads, where a task has several positions or sits in no group."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mechgrok.activations import ActivationGrid
from mechgrok.analysis.attention import MeanAttention, mean_attention
from mechgrok.analysis.heads import HeadScoreName, HeadScores, head_scores
from mechgrok.analysis.position_losses import PositionLosses, losses_by_position, position_losses
from mechgrok.analysis.probe_sequences import is_sequence
from mechgrok.measures.summary_numbers import or_none
from mechgrok.tasks import StreamTask
from mechgrok.wording import number, percent

MOST_ANSWERS, MOST_INPUTS = 120_000, 20_000
"""Answers to fresh inputs from which losses per position are taken, and inputs: enough for errors that are rare."""
MOST_LOGITS = 2**26
"""Their logits, a quarter of a gigabyte."""
KINDS: tuple[tuple[HeadScoreName, str, str], ...] = (
    ("induction", "induction", "what followed the present token before"),
    ("previous_token", "previous-token", "the token before"),
    ("duplicate_token", "duplicate-token", "the same token"),
)
"""Scores of heads, what heads of a kind are called, and what they attend to."""


@dataclass(frozen=True, eq=False)
class SequenceView:
    """Positions and heads of one network; None for what the task or the network does not have."""

    positions: PositionLosses | None
    heads: HeadScores | None
    attention: MeanAttention | None

    @property
    def values(self) -> dict[str, Any]:
        """Numbers by name."""
        found: dict[str, Any] = {}
        if self.positions is not None:
            rows = self.positions.records()
            for name in ("loss", "accuracy"):
                found[f"{name}_per_position"] = {row["position"]: row[name] for row in rows}
            found["exact_match"] = self.positions.exact_match
        if self.heads is not None:
            for name in self.heads.defined:
                found[f"{name}_score"] = getattr(self.heads.strongest(name), name)
            for name, _, _ in KINDS:
                found[f"{name}_heads"] = [row.name for row in self.heads.found(name)]
        return found

    def sentences(self) -> Iterator[str]:
        """The same for people."""
        if self.positions is not None:
            yield _of_positions(self.positions)
        if self.heads is not None:
            yield from _of_heads(self.heads)


NOTHING = SequenceView(None, None, None)
"""Of a task with one answer, in a group."""


def view_sequences(grid: ActivationGrid) -> SequenceView:
    """Losses of the scored positions, if there are several; heads, where inputs are sequences in no group.

    A task that draws its inputs is asked fresh ones.
    """
    positions = or_none(lambda: _positions(grid)) if grid.task.signature.n_scored > 1 else None
    heads = attention = None
    if grid.source is not None and is_sequence(grid.task):
        heads, attention = or_none(lambda: head_scores(grid)), or_none(lambda: mean_attention(grid))
    seen = SequenceView(positions, heads, attention)
    return seen if positions is not None or heads is not None else NOTHING


def _positions(grid: ActivationGrid) -> PositionLosses:
    task = grid.task
    if grid.source is None or not isinstance(task, StreamTask):
        outputs, targets = grid.logits, task.examples.targets
        return losses_by_position(outputs, targets, task)
    signature = task.signature
    answers = min(MOST_ANSWERS, MOST_LOGITS // signature.d_out)
    n = max(min(answers // signature.n_scored, MOST_INPUTS), 1)
    return position_losses(grid.source, task, n)


def _of_positions(found: PositionLosses) -> str:
    losses = dict(zip(found.labels, found.losses.tolist(), strict=True))
    low, high = min(losses, key=losses.__getitem__), max(losses, key=losses.__getitem__)
    return (
        f"Its loss per answer is {number(found.loss)} nats over {found.n_inputs:,} inputs, from "
        f"{number(losses[low])} ({low}) to {number(losses[high])} ({high}); it is right at all positions of "
        f"{percent(found.exact_match)} of them."
    )


def _of_heads(scores: HeadScores) -> Iterator[str]:
    found = [kind for kind in KINDS if scores.found(kind[0])]
    for name, kind, target in found:
        heads = scores.found(name)
        shares = ", ".join(f"{row.name} ({getattr(row, name):z.0%})" for row in heads)
        are, their = ("heads are", "their") if len(heads) > 1 else ("head is", "its")
        yield (
            f"Its {kind} {are} {shares}: that much of {their} attention goes to {target} (even attention: "
            f"{scores.chance[name]:z.0%})."
        )
    left = [kind for kind in KINDS if kind not in found and kind[0] not in scores.undefined]
    if left:
        nearest = ", ".join(
            f"{kind} {row.name} {getattr(row, name):z.0%} (even attention: {scores.chance[name]:z.0%})"
            for name, kind, _ in left
            for row in [scores.strongest(name)]
        )
        kinds = "other kinds" if found else "known kinds"
        yield f"No head is mainly of the {kinds}; the nearest are {nearest}."
