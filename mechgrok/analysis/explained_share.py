"""The explained share: on which inputs the formula's margin is too large for the rest of the network to overturn."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.formula import Formula, direction_of, fit_formula
from mechgrok.analysis.losses import centred, margins
from mechgrok.door import door
from mechgrok.errors import UndefinedMetricError

ALIKE = 0.05
"""Spread of the coefficients of all blocks, as a share of the largest, up to which they are those of a lookup table."""
AT_A_TIME = 2**18
"""Logits that are compared at a time, in float64, so that they stay in the cache."""


@door
def explained_share(
    source: Source, keys: Iterable[Label], mask: Bool[Tensor, " inputs"] | None = None
) -> float:
    """Share of inputs whose margin in the formula exceeds twice the largest deviation of the network from it, 0..1.

    The formula is the one of `explain` with the given keys. These inputs are right because of it: whatever else the
    network does is too small to change the answer. Of a lookup table, in which every block has the same coefficient,
    it is 0.

    Args:
        source: a network or a grid.
        keys: labels of the key blocks.
        mask: inputs to evaluate on; None takes all. Inputs without a place in the task's frame are left out.

    Raises:
        ConfigError: a key that the basis does not have.
        UndefinedMetricError: no keys; the mask leaves nothing.

    Source: after the bounds of Wu et al. 2024 (arXiv 2410.07476).

    >>> import mechgrok as mg
    >>> network = mg.cosine_network(11, {3: 9.0, 5: 4.0})
    >>> explained_share(network, [3, 5]), explained_share(network, [3])
    (1.0, 0.0)
    """
    grid = as_grid(source, names=[])
    formula = fit_formula(grid, keys)
    chosen = grid.selection(mask)[formula.rows]
    if not chosen.any():
        raise UndefinedMetricError("no input of the mask has a place in the frame of the task")
    if is_lookup_table(formula):
        return 0.0
    found = []
    for rows in formula.rows[chosen].split(rows_at_a_time(grid)):
        ideal = formula.logits(rows)
        deviation = centred(grid.logits[rows].double() - ideal).abs().amax(1)
        found.append(is_explained(margins(ideal, grid.labels[rows]), deviation))
    return torch.cat(found).double().mean().item()


def is_explained(margin: Float[Tensor, " rows"], deviation: Float[Tensor, " rows"]) -> Bool[Tensor, " rows"]:
    """Whether no logits that deviate so little from the formula's can have another answer."""
    return margin > 2 * deviation


def rows_at_a_time(grid: ActivationGrid) -> int:
    """How many inputs are compared at a time."""
    return max(AT_A_TIME // grid.task.n_classes, 1)


def is_lookup_table(formula: Formula) -> bool:
    """Whether every block is there, with the same coefficient up to a few per cent, as in a table of the answers."""
    sizes = [abs(term.amplitude + term.fading) / _size(formula, term.label) for term in formula.terms]
    everything = len(sizes) == len(formula.task.frame.basis.labels) > 1
    return everything and max(sizes) - min(sizes) <= ALIKE * max(sizes)


def _size(formula: Formula, label: Label) -> float:
    """The coefficient that a lookup table of height 1 has in a block."""
    if not formula.task.frame.is_operation:
        return 1.0
    direction = direction_of(formula.task.frame, label)[0]
    return (direction[0] / direction.square().sum()).item()
