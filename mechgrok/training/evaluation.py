"""What a row of the history says: loss and score of the train and of the test inputs."""

from collections.abc import Mapping

from torch import Tensor

from mechgrok.analysis.losses import explained_variance
from mechgrok.fast.objective import Objective
from mechgrok.registries import CROSS_ENTROPY
from mechgrok.runs import HistoryRow
from mechgrok.signature import Signature, Values
from mechgrok.tasks import Batch


def evaluate(
    outputs: Tensor,
    examples: Batch,
    parts: Mapping[str, Tensor],
    signature: Signature,
    objective: Objective,
    name: str = CROSS_ENTROPY,
) -> HistoryRow:
    """The objective's own loss of each part of the examples, and how many answers are right.

    Every scored position of an input counts as an answer of its own.

    Args:
        outputs: of all examples, [n, d_out] or [n, scored, d_out]; columns beyond the answers are left out.
        parts: masks of the examples; what a part without any would have, is None.
        name: of the objective. Losses other than cross-entropies are given under that name too, so that tables of
            several runs do not mix them.

    Returns:
        `loss_PART`, then `accuracy_PART` of classes or `r2_PART` of values.
    """
    outputs = outputs[..., : signature.d_out].flatten(0, -2)
    targets, scored = examples.flat_targets, examples.targets.shape[1]
    losses = objective.losses(outputs, targets)
    masks = {part: mask.repeat_interleave(scored) for part, mask in parts.items()}
    row: HistoryRow = {f"loss_{part}": _mean(losses, mask) for part, mask in masks.items()}
    if isinstance(signature.outputs, Values):
        row |= {f"r2_{part}": _r2(outputs[mask], targets[mask]) for part, mask in masks.items()}
    else:
        right = (outputs.argmax(1) == targets).double()
        row |= {f"accuracy_{part}": _mean(right, mask) for part, mask in masks.items()}
    if name != CROSS_ENTROPY:
        row |= {f"{name}_{part}": row[f"loss_{part}"] for part in parts}
    return row


def _mean(values: Tensor, mask: Tensor) -> float | None:
    return values[mask].mean().item() if mask.any() else None


def _r2(outputs: Tensor, values: Tensor) -> float | None:
    return explained_variance(outputs, values) if len(values) else None
