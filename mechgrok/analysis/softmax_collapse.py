"""Softmax collapse: answers so sure that the arithmetic of a training sees no loss, or no gradient, in them."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.activations import Source, as_grid
from mechgrok.door import door
from mechgrok.errors import UndefinedMetricError
from mechgrok.readable import Readable

PRECISIONS = (torch.float16, torch.float32, torch.float64)
ROWS = 2**20
"""Logits at a time in float64."""


@dataclass(frozen=True)
class SoftmaxCollapse(Readable):
    """Shares of answers whose cross-entropy, or its gradient, would be exactly 0, by precision of the arithmetic.

    Attributes:
        no_loss: by name of a precision, the share of answers whose loss is 0.
        no_gradient: the share whose gradient with respect to all logits is 0. It is never larger.
    """

    no_loss: dict[str, float]
    no_gradient: dict[str, float]


@door
def softmax_collapse(source: Source, mask: Bool[Tensor, " inputs"] | None = None) -> SoftmaxCollapse:
    """For which share of answers would the loss, or its gradient, be exactly 0 in float16, float32 and float64?

    With s the sum over the wrong classes of exp(their logit - the right logit), the cross-entropy is ln(1 + s). It is
    exactly 0 where 1 + s rounds to 1, that is, where s is at most half of the precision's step at 1: such answers teach
    a network nothing more about the right class. Their gradient with respect to the logits is exactly 0 where, besides,
    every exp rounds to 0. Subnormal numbers count as numbers, and the logits are taken as the network gives them.

    Args:
        source: a network or a grid.
        mask: inputs, such as `split.train`; None takes all. Each scored position is an answer.

    Raises:
        UndefinedMetricError: the mask selects nothing; answers are values.

    Source: Prieto et al. 2025 (arXiv 2501.04697), who count the losses that are 0 in the precision of the training.

    >>> import mechgrok as mg
    >>> sure = softmax_collapse(mg.cosine_network(5, {1: 20.0, 2: 10.0}))
    >>> sure.no_loss
    {'float16': 1.0, 'float32': 1.0, 'float64': 0.0}
    >>> sure.no_gradient
    {'float16': 1.0, 'float32': 0.0, 'float64': 0.0}
    """
    grid = as_grid(source, names=[])
    chosen = grid.selection(mask)
    if grid.labels.is_floating_point():
        raise UndefinedMetricError(f"the answers of {grid.task.name} are values, without a softmax over them")
    logits, labels = grid.logits[chosen].flatten(0, -2), grid.labels[chosen].flatten()
    rows = max(ROWS // logits.shape[1], 1)
    parts = [_wrong(x.double(), y) for x, y in zip(logits.split(rows), labels.split(rows), strict=True)]
    total, largest = (torch.cat(column) for column in zip(*parts, strict=True))
    no_loss, no_gradient = {}, {}
    for precision in PRECISIONS:
        kind, name = torch.finfo(precision), str(precision).removeprefix("torch.")
        zero = total <= kind.eps / 2
        # Half of the least number that there is rounds to 0, as the tie to an even digit does.
        vanishes = zero & (largest <= kind.smallest_normal * kind.eps / 2)
        no_loss[name], no_gradient[name] = (x.double().mean().item() for x in (zero, vanishes))
    return SoftmaxCollapse(no_loss, no_gradient)


def _wrong(
    logits: Float[Tensor, "rows classes"], labels: Tensor
) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]:
    """Sum and largest of exp(wrong logit - right logit) over the wrong classes."""
    right = logits.gather(1, labels[:, None])
    ratios = (logits - right).exp().scatter_(1, labels[:, None], 0)
    return ratios.sum(1), ratios.amax(1)
