"""Whether neurons detect the coset of a subgroup in which an operand lies."""

from collections import Counter
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.activations import Source, as_grid, cache_grid
from mechgrok.algebra.subgroups import Side, Subgroup, all_subgroups
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError
from mechgrok.models.protocol import neuron_hook
from mechgrok.tasks import Task

CONCENTRATED = 0.95
"""Share of variance between cosets from which a neuron counts as constant on them."""


@dataclass(frozen=True, eq=False)
class CosetNeurons(Drawable):
    """The largest subgroup on whose cosets each neuron is constant, for each of the two operands.

    Attributes:
        subgroups: all subgroups, the smallest first.
        first, second: [features], index in `subgroups` for functions of the first operand (right cosets Hx)
            and of the second (left cosets xH); 0, the trivial subgroup, if there is no other.
        first_concentration, second_concentration: [features], share of the variance over the operand that
            lies between these cosets, 0..1.
        alive: [features], false if the neuron does not vary with one of the operands.
    """

    subgroups: tuple[Subgroup, ...]
    first: Int[Tensor, " features"]
    second: Int[Tensor, " features"]
    first_concentration: Float[Tensor, " features"]
    second_concentration: Float[Tensor, " features"]
    alive: Bool[Tensor, " features"]
    threshold: float

    @property
    def decided(self) -> Bool[Tensor, " features"]:
        """Neurons that are constant on the cosets of a subgroup of two or more elements, in both operands."""
        return self.alive & (self.first > 0) & (self.second > 0)

    @property
    def agree(self) -> Bool[Tensor, " features"]:
        """Decided neurons whose two subgroups are conjugate, as the double cosets of Stander et al. need."""
        families = torch.tensor([subgroup.family for subgroup in self.subgroups])
        return self.decided & (families[self.first] == families[self.second])

    @property
    def orders(self) -> dict[int, int]:
        """How many decided neurons have a subgroup of each order for the first operand, most frequent first."""
        counts = Counter(self.subgroups[i].order for i in self.first[self.decided].tolist())
        return dict(counts.most_common())

    def __repr__(self) -> str:
        sizes = ", ".join(f"order {order}: {count}" for order, count in self.orders.items())
        return f"CosetNeurons({int(self.decided.sum())} of {len(self.first)} decided; {sizes or 'none'})"


@door
def coset_neurons(
    source: Source, *, site: str | None = None, threshold: float = CONCENTRATED
) -> CosetNeurons:
    """Find, for each neuron, the largest subgroup on whose cosets its pre-activation is constant.

    The pre-activation is split into a function of the first operand and a function of the second, by averaging
    over the other operand; if it is the sum of the two, as in an MLP on two embeddings, nothing is lost.

    Args:
        site: name of the hook; by default, the pre-activations of the last hidden layer.
        threshold: share of the variance that must lie between cosets, in (0, 1].

    Raises:
        ConfigError: a threshold outside (0, 1].
        ActivationError: a grid of bare tensors and no site.
        TaskError: the group is too large for its subgroups to be listed.

    Source: Stander et al. 2023 (arXiv 2312.06581); they divide the variance within cosets by the total, and this
    is 1 minus their quotient.

    >>> from mechgrok.models.constructed import cosine_network
    >>> coset_neurons(cosine_network(12, {4: 1.0}))  # cos(2 pi 4 a / 12) is constant on {0, 3, 6, 9}
    CosetNeurons(25 of 25 decided; order 4: 25)
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold is a share of variance and must lie in (0, 1], got {threshold}")
    task, activations = _activations(source, site)
    square = task.frame.square(activations.double())
    subgroups = all_subgroups(task.frame.basis.group)
    first, second = square.mean(dim=1), square.mean(dim=0)
    scale = square.square().mean(dim=(0, 1)).clamp(min=1e-300)
    alive = (_variance(first) > 1e-10 * scale) & (_variance(second) > 1e-10 * scale)
    of_first, first_share = _largest(_concentrations(first, subgroups, "right"), threshold)
    of_second, second_share = _largest(_concentrations(second, subgroups, "left"), threshold)
    return CosetNeurons(subgroups, of_first, of_second, first_share, second_share, alive, threshold)


def coset_concentration(
    f: Float[Tensor, "order features"], subgroup: Subgroup, side: Side
) -> Float[Tensor, " features"]:
    """Share of the variance of functions on a group that lies between the cosets of a subgroup, 0..1.

    1 for a function that is constant on the cosets; 0 for one that does not vary at all.
    """
    members = subgroup.cosets(side).unique(return_inverse=True)[1]
    sums = f.new_zeros(int(members.max()) + 1, f.shape[1]).index_add_(0, members, f)
    return _variance(sums / subgroup.order) / _variance(f).clamp(min=1e-300)


def _activations(source: Source, site: str | None) -> tuple[Task, Tensor]:
    grid = as_grid(source, names=[] if site is None else [site])
    if site is not None:
        return grid.task, grid[site]
    name = neuron_hook(grid.model).replace("hook_post", "hook_pre")
    return grid.task, cache_grid(grid.model, grid.task, [name])[name]


def _concentrations(
    f: Float[Tensor, "order features"], subgroups: tuple[Subgroup, ...], side: Side
) -> Float[Tensor, "subgroups features"]:
    return torch.stack([coset_concentration(f, subgroup, side) for subgroup in subgroups])


def _largest(
    concentrations: Float[Tensor, "subgroups features"], threshold: float
) -> tuple[Int[Tensor, " features"], Float[Tensor, " features"]]:
    """The last, and thus largest, subgroup that reaches the threshold. The first, trivial one always does."""
    reached = (concentrations >= threshold - 1e-9).long()  # rounding misses 1 itself
    reached[0] = 1
    place = len(reached) - 1 - reached.flip(0).argmax(dim=0)
    return place, concentrations.gather(0, place[None]).squeeze(0)


def _variance(f: Float[Tensor, "order features"]) -> Float[Tensor, " features"]:
    return f.var(dim=0, correction=0)
