"""The content of a row of the history: loss and score on the train and test inputs."""

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
    """The objective's loss on each part of the examples, and the score of its answers.

    Every scored position of an input counts as a separate answer.

    Args:
        outputs: outputs for all examples, [n, d_out] or [n, scored, d_out]; columns beyond the answers are ignored.
        parts: masks of the examples; the values of an empty part are None.
        name: name of the objective. Losses other than cross-entropies are also given under this name, so that tables of
            several runs do not mix them.

    Returns:
        `loss_PART`, then `accuracy_PART` for classes or `r2_PART` for values.
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
