"""How the right answer's logit depends on the distance between the operands, which tells a pizza from a clock."""

from dataclasses import dataclass
from math import gcd
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.algebra import FourierBasis
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.tasks import Frame

Which = Literal["correct", "largest_wrong"]

PIZZA_DISTANCE = 0.4
"""Distance irrelevance up to which a network resembles a pizza (Zhong et al. 2023)."""
CONSTANT = 1e-6
"""A spread below this fraction of the largest logit is rounding error: the logit counts as constant."""


@dataclass(frozen=True, eq=False)
class LogitSurface(Drawable):
    """One logit per input as a function of the distance a-b, in steps of delta, and the answer.

    Attributes:
        values: [order, order]; row i holds the inputs with a - b = i * delta, column s those with a + b = s. For
            even orders half of the cells have no input, and the other half show the mean of two.
        delta: the step; neighbours on the circle of frequency k differ by delta = 1/k.
        k: the frequency; None if delta was taken to be 1.
        which: which logit it is.
        distance, answer: the meaning of rows and columns, for axis titles.
    """

    values: Float[Tensor, "distance answer"]
    delta: int
    k: int | None
    which: Which
    distance: str
    answer: str


@door
def distance_irrelevance(source: Source, which: Which = "correct") -> float:
    """Spread of the logit over the answers at each distance, as a share of its total spread, 0..1.

    With L[s, d] the logit at a + b = s and a - b = d: the standard deviation over s, averaged over d, divided by
    the standard deviation of all L (population standard deviations). A pizza's logit follows the distance: 0 to
    0.4; a clock's does not: 0.4 to 1. A logit that is the same for all inputs, as in the ideal clock, does not
    depend on the distance at all: 1. For a - b the distance is a + b; for products both are taken in the group of
    units.

    Args:
        source: a network or a grid.
        which: the logit of the right answer, or the largest wrong one, which the published table of results lists
            under this name.

    Raises:
        UndefinedMetricError: the answer is neither a sum nor a difference in a commutative group.

    Source: Zhong et al. 2023 (arXiv 2306.17844), definition of distance irrelevance and released code.

    >>> from mechgrok.models.constructed import cosine_network
    >>> distance_irrelevance(cosine_network(7, {2: 5.0}))
    1.0
    """
    grid = as_grid(source)
    frame = grid.task.frame
    _, distance = answers_and_distances(frame)
    logit = frame.square(one_logit(grid, which))
    spread = logit.std(correction=0)
    if spread <= CONSTANT * logit.abs().max():
        return 1.0
    # Every distance has as many pairs as there are elements, so sorting arranges them in rows.
    by_distance = logit.flatten()[distance.flatten().argsort()].view(frame.order, frame.order)
    return (by_distance.std(dim=1, correction=0).mean() / spread).item()


@door
def logit_surface(source: Source, k: int | None = None, *, which: Which = "correct") -> LogitSurface:
    """One logit as a function of (a-b)/delta and a+b, where delta is the step between neighbours on a circle.

    Args:
        source: a network or a grid.
        k: a frequency; neighbours on its circle differ by delta = 1/k in the group. None means delta = 1.
        which: as in `distance_irrelevance`.

    Raises:
        ConfigError: k shares a factor with the order of the group, so that its circle has fewer points.
        UndefinedMetricError: as in `distance_irrelevance`; a group that is not cyclic.

    Source: Zhong et al. 2023, figures of the isolated circles.

    >>> from mechgrok.models.constructed import cosine_network
    >>> surface = logit_surface(cosine_network(7, {2: 5.0}), k=2)
    >>> surface.delta, surface.values.shape, (surface.values - 5).abs().max().item() < 1e-9
    (4, torch.Size([7, 7]), True)
    """
    grid = as_grid(source)
    frame = grid.task.frame
    answer, distance = answers_and_distances(frame)
    n = frame.order
    if not isinstance(frame.basis, FourierBasis):
        raise UndefinedMetricError(
            f"a surface over steps around a circle needs a cyclic group, not {frame.basis}"
        )
    if k is not None and gcd(k, n) != 1:
        raise ConfigError(
            f"k={k} shares a factor with {n}, so there is no step 1/k; take k=None for steps of 1"
        )
    delta = 1 if k is None else pow(k, -1, n)
    # Distance d lies in row d / delta = d * k.
    cell = (distance * (k or 1) % n) * n + answer
    logit = frame.square(one_logit(grid, which))
    sums = torch.zeros(n * n, dtype=logit.dtype).index_add_(0, cell.flatten(), logit.flatten())
    counts = torch.bincount(cell.flatten(), minlength=n * n)
    values = (sums / counts).view(n, n)
    return LogitSurface(values, delta, k, which, _other(frame.answer), frame.answer)


def answers_and_distances(frame: Frame) -> tuple[Int[Tensor, "order order"], Int[Tensor, "order order"]]:
    """The answer and the distance of each pair x, y of group elements: x + y and x - y, or the reverse.

    Raises:
        UndefinedMetricError: the answer is neither of these in a commutative group.
    """
    table, inverses = frame.basis.group.table, frame.basis.group.inverses
    sums, differences = table, table[:, inverses]
    if torch.equal(table, table.T):
        if torch.equal(frame.results, sums):
            return sums, differences
        if torch.equal(frame.results, differences):
            return differences, sums
    raise UndefinedMetricError(
        f"the distance of the operands has a meaning for sums and differences in a commutative group; "
        f"{frame.answer!r} in {frame.basis} is neither"
    )


def one_logit(grid: ActivationGrid, which: Which) -> Float[Tensor, " inputs"]:
    """The logit of the right answer, or the largest wrong one, of each input, in float64.

    Raises:
        ConfigError: `which` is neither.
    """
    logits, right = grid.logits.double(), grid.labels[:, None]
    if which == "correct":
        return logits.gather(1, right).squeeze(1)
    if which == "largest_wrong":
        return logits.scatter(1, right, -torch.inf).amax(1)
    raise ConfigError(f"which must be correct or largest_wrong; got {which!r}")


def _other(answer: str) -> str:
    return {"a+b": "a-b", "a-b": "a+b", "a*b": "a/b", "a/b": "a*b"}.get(answer, "distance")
