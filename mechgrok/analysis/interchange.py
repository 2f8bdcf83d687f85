"""Interchange interventions: what one input says in the key blocks, put in the place of what another one says."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.by_answer import means_by_answer
from mechgrok.analysis.formula import fit_formula
from mechgrok.analysis.key_losses import check_keys
from mechgrok.analysis.losses import centred, right_after_edit
from mechgrok.analysis.performance import Performance, at_site, logits_from, performance
from mechgrok.analysis.projections import product_part
from mechgrok.config import check_seed
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.readable import Readable

FAINT = 1e-6
"""A direction along which the means change by less than this fraction of all activations is rounding."""


@dataclass(frozen=True)
class Exchange(Readable):
    """What putting some keys of one input into another one does, against what the formula says that it does.

    Attributes:
        keys: the keys that were exchanged.
        r2: of the changes of the logits, less their mean over the classes, the fraction of the sum of squares that the
            formula predicts; 1 is exact, and 0 or less is no better than to predict that nothing changes.
        accuracy: share of pairs whose answer is the one that the formula predicts.
    """

    keys: tuple[Label, ...]
    r2: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Interchange(Drawable):
    """Some keys of source inputs put into base inputs, all together and each alone.

    Attributes:
        together: all keys at once.
        by_key: each key alone.
        moved: with all keys from the source, the answers compared with the right ones of the source. Seen from the
            source, everything outside of the keys was resampled.
        stayed: the same answers compared with the right ones of the base, the control.
        site, n_pairs: where, and of how many pairs of inputs.
    """

    together: Exchange
    by_key: dict[Label, Exchange]
    moved: Performance
    stayed: Performance
    site: str
    n_pairs: int

    @property
    def accuracy(self) -> float:
        """Share of pairs in which all keys of the source give the right answer of the source, 0..1."""
        return self.moved.accuracy

    @property
    def loss(self) -> float:
        """Mean cross-entropy of these answers with the right ones of the source, in nats."""
        return self.moved.loss

    @property
    def r2(self) -> float:
        """How much of the change of the logits the formula predicts, all keys together."""
        return self.together.r2

    @property
    def performances(self) -> tuple[Performance, ...]:
        """The answers, compared with those of the source and of the base."""
        return self.moved, self.stayed

    def __repr__(self) -> str:
        single = ", ".join(f"{key}: {exchange.r2:z.3f}" for key, exchange in self.by_key.items())
        return (
            f"Interchange(at {self.site}: {self.accuracy:z.1%} answer as the source, {self.stayed.accuracy:z.1%} as "
            f"the base; r2 {self.r2:z.3f}, by key {single})"
        )


@door
def interchange(
    source: Source, keys: Iterable[Label], site: str = "logits", *, n: int | None = 1000, seed: int = 0
) -> Interchange:
    """Put the key part of one input into another one, and compare the logits with what the formula predicts.

    The key part of an activation is its part in the few directions along which activations at that site change with
    a∘b through the key blocks: two directions for a frequency. It is taken from the activation of the source input
    itself, not from a mean, so that whatever else the network keeps there comes along. The prediction is that each
    exchanged term of the formula takes its value for the source, and the rest stays.

    Args:
        source: a network, or a grid. Of a grid of bare tensors "neurons" needs W_L.
        keys: labels of the key blocks.
        site: "logits"; "neurons", the last hidden layer; or the name of a hook, whose activation at the read-out
            position is exchanged.
        n: how many pairs of different inputs; None takes each input as a base once.
        seed: of the pairs.

    Raises:
        ConfigError: a key that the basis does not have; no pair.
        UndefinedMetricError: no keys; activations at the site do not depend on the answer at all.
        ActivationError: a site that the grid or the network does not have.

    Source: interchange interventions are those of Geiger et al. 2021; the prediction is ours.

    >>> import mechgrok as mg
    >>> found = interchange(mg.cosine_network(11, {3: 9.0, 5: 4.0}), [3, 5], site="neurons")
    >>> found.accuracy, found.stayed.accuracy < 0.1, round(found.r2, 6), round(found.by_key[5].r2, 6)
    (1.0, True, 1.0, 1.0)
    """
    grid = as_grid(source, names=None if site == "neurons" else [] if site == "logits" else [site])
    labels = check_keys(grid, keys)
    formula = fit_formula(grid, labels)
    base, other = _pairs(grid, n, check_seed(seed))
    x = at_site(grid, site)
    flat = x.flatten(1)
    means = means_by_answer(flat, grid.task.frame)
    scale = flat.norm().item() * (len(means) / len(flat)) ** 0.5
    predicted = {t.label: formula.part(t, other) - formula.part(t, base) for t in formula.terms}

    def exchanged(chosen: tuple[Label, ...]) -> tuple[Exchange, Tensor]:
        directions = _directions(product_part(means, grid.task.frame, chosen), scale)
        along = (flat[other] - flat[base]).double() @ directions @ directions.T
        edited = (flat[base].double() + along).to(flat)
        logits = logits_from(grid, site, edited.view(len(base), *x.shape[1:]), base).double()
        change = sum((predicted[key] for key in chosen), torch.zeros(1))
        return _compared(chosen, grid.logits[base].double(), logits, change, grid.logits), logits

    together, logits = exchanged(labels)
    return Interchange(
        together=together,
        by_key={key: exchanged((key,))[0] for key in labels}
        if len(labels) > 1
        else dict.fromkeys(labels, together),
        moved=performance("answers of the source", logits, grid.labels[other], grid.logits),
        stayed=performance("answers of the base", logits, grid.labels[base], grid.logits),
        site=site,
        n_pairs=len(base),
    )


def _pairs(
    grid: ActivationGrid, n: int | None, seed: int
) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """Base inputs, each once, and for each of them another input."""
    inside = grid.task.frame.covers(grid.task.n_inputs).nonzero().flatten()
    if n is not None and n < 1:
        raise ConfigError(
            f"n is the number of pairs, at least 1, or None for as many as there are inputs; got {n}"
        )
    dice = Generator().manual_seed(seed)
    base = torch.randperm(len(inside), generator=dice)[:n]
    step = torch.randint(1, max(len(inside), 2), base.shape, generator=dice)
    return inside[base], inside[(base + step) % len(inside)]


def _directions(part: Float[Tensor, "order features"], scale: float) -> Float[Tensor, "features directions"]:
    """Orthonormal directions along which the means by answer change through some blocks.

    Raises:
        UndefinedMetricError: there are none.
    """
    _, strength, right = torch.linalg.svd(part, full_matrices=False)
    found = right[strength > FAINT * scale].T
    if not found.shape[1]:
        raise UndefinedMetricError(
            "activations at this site do not change with the answer through these keys, so there is nothing to exchange"
        )
    return found


def _compared(
    keys: tuple[Label, ...], before: Tensor, after: Tensor, predicted: Tensor, logits: Tensor
) -> Exchange:
    """Actual logits after an exchange against predicted changes; the rounding of all logits makes some answers one."""
    change = after - before
    change, expected = centred(change), centred(predicted)
    missed = (change - expected).square().sum() / change.square().sum().clamp(min=1e-300)
    alike = right_after_edit(before + predicted, after.argmax(1), logits) > 0
    return Exchange(keys, 1 - missed.item(), alike.double().mean().item())
