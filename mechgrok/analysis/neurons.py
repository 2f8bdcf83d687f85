"""Which frequency each neuron is tuned to, and how purely."""

from collections import Counter
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.activations import Source, as_grid
from mechgrok.algebra import FourierBasis
from mechgrok.algebra.bases import Basis, Label
from mechgrok.door import Share, door
from mechgrok.drawable import Drawable
from mechgrok.fast.row_sums import mix
from mechgrok.tasks import Frame

PURITY = 0.85
"""Explained share of variance from which a neuron belongs to its frequency (Nanda et al. 2023)."""
VARIES = 1e-10
"""Variance of a neuron, as a fraction of its mean square, from which it is alive. Rounding in the network gives a
constant neuron about 1e-14."""
NEURONS_AT_A_TIME = 64


@dataclass(frozen=True, eq=False)
class NeuronFrequencies(Drawable):
    """The frequency of each neuron of the last hidden layer.

    Attributes:
        frequency: [d_mlp], number of the best block, whose label is `labels[frequency - 1]`; meaningful only
            where `alive`. On Z_p it is the frequency k itself.
        fve: [d_mlp], the fraction of the neuron's variance over the inputs that this block explains, 0..1;
            0 for a dead neuron.
        alive: [d_mlp], false for a neuron whose activation does not vary over the inputs.
        decided: [d_mlp], alive and fve >= threshold.
        power: [d_mlp, blocks], variance in each non-trivial block, in the order of `labels`.
    """

    frequency: Int[Tensor, " d_mlp"]
    fve: Float[Tensor, " d_mlp"]
    alive: Bool[Tensor, " d_mlp"]
    decided: Bool[Tensor, " d_mlp"]
    power: Float[Tensor, "d_mlp blocks"]
    labels: tuple[Label, ...]
    threshold: float

    @property
    def clusters(self) -> dict[Label, int]:
        """Number of decided neurons in each block, largest cluster first; empty blocks are left out."""
        counts = Counter(self.labels[i] for i in (self.frequency[self.decided] - 1).tolist())
        return dict(counts.most_common())

    def __repr__(self) -> str:
        sizes = ", ".join(f"{label}: {n}" for label, n in self.clusters.items())
        return f"NeuronFrequencies({int(self.decided.sum())} of {len(self.fve)} decided; {sizes})"


@door
def neuron_frequencies(source: Source, *, threshold: Share = PURITY) -> NeuronFrequencies:
    """Assign each neuron of the last hidden layer to the block that explains most of its variance.

    For frequency k this is the part in the span of {1, cos w_k a, sin w_k a} x {1, cos w_k b, sin w_k b}
    without the constant: 8 of the p^2 directions.

    Args:
        source: a network or a grid with the neurons cached.
        threshold: fraction of variance from which a neuron is `decided`, in 0..1. This is a description, not a
            test of use: neurons of several frequencies fall below it, yet the network uses them.

    Source: Nanda et al. 2023, section 4.2 and released notebook.

    >>> from mechgrok.models.constructed import cosine_network
    >>> neuron_frequencies(cosine_network(11, {3: 1.0}), threshold=0.75).clusters
    {3: 25}
    """
    grid = as_grid(source)
    frame = grid.task.frame
    # A few at a time in float64, reusing the same memory.
    chunks = grid.neurons.split(NEURONS_AT_A_TIME, dim=1)
    room = torch.empty(chunks[0].numel(), dtype=torch.float64)
    power_of = CyclicPower(frame) if _is_cyclic(frame) else GroupPower(frame)
    parts = [power_of(room[: part.numel()].view(part.shape).copy_(part)) for part in chunks]
    power, variance, squares = (torch.cat(values) for values in zip(*parts, strict=True))
    return tuned_to(power, variance, squares, frame.basis.labels, threshold)


def tuned_to(
    power: Float[Tensor, "features blocks"],
    variance: Float[Tensor, " features"],
    squares: Float[Tensor, " features"],
    labels: tuple[Label, ...],
    threshold: float = PURITY,
) -> NeuronFrequencies:
    """The best block of each neuron, from its power in every block, in total, and including its mean."""
    alive = variance > VARIES * squares.clamp(min=1e-300)
    fve = torch.where(alive[:, None], power / variance.clamp(min=1e-300)[:, None], 0)
    best = fve.max(dim=1)
    return NeuronFrequencies(
        frequency=best.indices + 1,
        fve=best.values,
        alive=alive,
        decided=alive & (best.values >= threshold),
        power=power,
        labels=labels,
        threshold=threshold,
    )


Power = tuple[Float[Tensor, "features blocks"], Float[Tensor, " features"], Float[Tensor, " features"]]
"""Squared norm of functions of the two operands within each block, in total without the constant, and in total."""


def _is_cyclic(frame: Frame) -> bool:
    return isinstance(frame.basis, FourierBasis) and frame.arity == 2


class GroupPower:
    """Compute the power in the blocks of any group, by a transform over each operand."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def __call__(self, x: Float[Tensor, "inputs features"]) -> Power:
        square, basis = self.frame.square(x), self.frame.basis
        if self.frame.arity == 1:
            power = basis.power(square - square.mean(0), dim=0)[1:]
            return power.T, power.sum(0), square.square().sum(0)
        power, variance = block_power(square, basis)
        return power, variance, square.square().sum(dim=(0, 1))


class CyclicPower:
    """Compute the power in the blocks of Z_n, without a transform over both operands.

    The products of the cosine and the sine of w_k a with those of w_k b span the same functions as the waves in
    a+b and in a-b. So the sums over the lines of equal a, b, a+b and a-b contain everything needed, and four
    short transforms replace one over both axes.
    """

    def __init__(self, frame: Frame) -> None:
        n, i, rows = frame.order, torch.arange(frame.order), frame.rows
        self.n, self.basis, self.rows = n, frame.basis, rows.flatten()
        # Row r of each lists the inputs on the line with value r.
        self.lines = torch.cat((rows, rows.T, rows[i, (i[:, None] - i) % n], rows[i, (i - i[:, None]) % n]))
        self.ones = torch.ones(self.lines.shape, dtype=torch.float64)

    def __call__(self, x: Float[Tensor, "inputs features"]) -> Power:
        """Compute the power; overwrites x."""
        n, inside = self.n, torch.zeros(len(x), dtype=x.dtype).index_fill_(0, self.rows, 1)
        mean = inside @ x / n**2
        x -= mean
        sums = mix(self.lines, x, self.ones, out=x.new_empty(len(self.lines), x.shape[1]))
        # The matrix is faster than a transform that first has to rearrange its axis.
        squares = (self.basis.matrix @ sums.unflatten(0, (4, n))).square_() / n
        if n % 2 == 0:
            squares[3, -1] = 0  # the alternating wave in a-b is the one in a+b
        power = sum_by_block(squares.sum(0), self.basis)[1:]
        variance = inside @ x.square_()
        return power.T, variance, variance + n**2 * mean.square()


def block_power(
    x: Float[Tensor, "order order features"], basis: Basis
) -> tuple[Float[Tensor, "features blocks"], Float[Tensor, " features"]]:
    """Squared norm of functions of two group elements within each block, and in total, without the constant.

    A block includes its functions of x alone, of y alone, and the products of the two.
    """
    first = basis.transform(basis.transform(x, 0), 1).square_()
    first[0, 0] = 0  # before summing: a large mean would swamp the variance
    rows, columns = sum_by_block(first[:, 0], basis), sum_by_block(first[0], basis)
    products = torch.zeros_like(rows)
    for i, block in enumerate(basis.blocks):
        products[i] = first[block.rows, block.rows].sum(dim=(0, 1))
    power = (rows + columns + products)[1:]
    return power.T, first.sum(dim=(0, 1))


def sum_by_block(
    squares: Float[Tensor, "order features"], basis: Basis
) -> Float[Tensor, "all_blocks features"]:
    """Sums over the rows of each block, the trivial one first."""
    block_of_row = torch.tensor([i for i, block in enumerate(basis.blocks) for _ in range(len(block))])
    sums = squares.new_zeros(len(basis.blocks), squares.shape[1])
    return sums.index_add_(0, block_of_row, squares)
