"""Critical sizes: numbers of train inputs at which a network changes what it does, and how far several lie apart."""

from collections.abc import Sequence
from itertools import pairwise
from math import exp, log


def geometric(low: int | float, high: int | float, share: int | float) -> float:
    """The size at a share of the way between two sizes on a logarithmic scale.

    >>> round(geometric(100, 400, 0.5), 9)
    200.0
    """
    return exp(log(low) + share * (log(high) - log(low)))


def critical_size(accuracies: dict[int, float], level: int | float = 0.5) -> float | None:
    """The size at which accuracy comes to a level for good, between two sizes on a logarithmic scale.

    Args:
        accuracies: by size, in ascending order.

    Returns:
        None if it is above the level, or below it, everywhere.

    >>> critical_size({100: 0.0, 400: 1.0}), critical_size({100: 0.6, 400: 1.0})
    (200.0, None)
    """
    for (low, under), (high, above) in reversed(list(pairwise(accuracies.items()))):
        if under < level <= above:
            return round(geometric(low, high, (level - under) / (above - under)), 1)
    return None


def largest_over_smallest(sizes: Sequence[int | float | None]) -> float | None:
    """How far sizes lie apart; None if one of them is unknown.

    >>> largest_over_smallest([100.0, 150.0]), largest_over_smallest([100.0, None])
    (1.5, None)
    """
    known = [size for size in sizes if size is not None]
    return max(known) / min(known) if len(known) == len(sizes) else None
