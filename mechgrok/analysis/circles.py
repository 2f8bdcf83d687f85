"""One circle of the embedding in isolation: what the network computes from it, and which formula describes it."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import pi
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid, grid_from_tensors
from mechgrok.analysis.embeddings import check_circles, embedding_components, operand_embeddings
from mechgrok.analysis.logit_surface import answers_and_distances
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.models.readout import run_at_readout

By = Literal["pca", "fourier"]
Formula = Callable[[Tensor, Tensor, float], Tensor]
"""Logits as a function of the distance a-b, the gap a+b-c and the angle w = 2 pi k / n."""

BATCH = 1024
NOTHING = 1e-3
"""A wave below this fraction of the largest logit is too weak to have a fading."""
PURE = 0.8
"""Share of power in one frequency below which a principal component mixes several circles."""


def _clock(distance: Tensor, gap: Tensor, w: float) -> Tensor:
    return (w * gap).cos()


def _pizza_product(distance: Tensor, gap: Tensor, w: float) -> Tensor:
    return (w / 2 * distance).cos().abs() * (w * gap).cos()


def _pizza_two_term(distance: Tensor, gap: Tensor, w: float) -> Tensor:
    return (w / 2 * distance).cos().abs() * ((w / 2 * gap).cos().abs() - (w / 2 * gap).sin().abs())


def _accompanying(distance: Tensor, gap: Tensor, w: float) -> Tensor:
    return -(w * distance).cos() * (w * gap).cos()


FORMULAS: dict[str, Formula] = {
    "clock": _clock,
    "pizza_two_term": _pizza_two_term,
    "pizza_product": _pizza_product,
}
"""Ideal logits for the circle's frequency; half angles are real numbers, made unique by the absolute value."""


@dataclass(frozen=True, eq=False)
class IsolatedCircle(Drawable):
    """The output of a network given one circle of its embedding.

    Attributes:
        k: the frequency of the circle.
        by: how it was isolated.
        fve: fraction of the variance of all logits that each formula explains, after scaling both to mean 0 and
            variance 1: 1 for equality up to scale, 0 for a correlation of one half, negative below. "clock" is
            cos(w(a+b-c)); "pizza_product" |cos(w(a-b)/2)| cos(w(a+b-c)), in the paper's table;
            "pizza_two_term" |cos(w(a-b)/2)| (|cos(w(a+b-c)/2)| - |sin(w(a+b-c)/2)|), in its notebook;
            "accompanying" -cos(u(a-b)) cos(u(a+b-c)) with 2u = w, the pizza that complements another pizza of
            frequency `accompanies`; absent for even n.
        accompanies: the frequency k/2 whose pizza this circle can complement; None for even n.
        fading: how much of the wave cos(w(a+b-c)) fades with the distance of the operands; see `circle_fading`. 0
            for a clock, 1 for a pizza; None if the circle writes no such wave.
        accuracy: of the network with this circle alone, 0..1.
        grid: its logits, for `logit_surface` and all other analyses of logits.
    """

    k: int
    by: By
    fve: dict[str, float]
    accompanies: int | None
    fading: float | None
    accuracy: float
    grid: ActivationGrid

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {share:z.2%}" for name, share in self.fve.items())
        fading = "" if self.fading is None else f"fading {self.fading:z.2f}, "
        return f"IsolatedCircle(k={self.k} by {self.by}: {shares}; {fading}accuracy {self.accuracy:z.1%})"


@door
def isolate_circle(source: Source, k: int, *, by: By = "pca") -> IsolatedCircle:
    """Run the network with a single circle of the embedding, its mean added back, and compare with formulas.

    Args:
        source: a network, or the grid of one.
        k: frequency of the circle.
        by: "pca" keeps the two principal components of each operand's embedding that are waves of frequency k,
            as published; "fourier" keeps the part of frequency k itself, which also separates circles that
            the components mix.

    Raises:
        ConfigError: no such frequency; an unknown `by`.
        UndefinedMetricError: with "pca", if no two components are pure waves of this frequency; a group that is
            not cyclic; an answer that is not a sum or difference; logits that do not vary.

    Source: Zhong et al. 2023 (arXiv 2306.17844), circle isolation and accompanying pizzas.

    >>> from mechgrok.models.constructed import cosine_network
    >>> circle = isolate_circle(cosine_network(7, {2: 5.0, 3: 5.0}), 2, by="fourier")
    >>> round(circle.fve["clock"], 4), circle.fve["pizza_product"] < 0.9
    (1.0, True)
    """
    if by not in _ISOLATIONS:
        raise ConfigError(f"by must be one of {', '.join(_ISOLATIONS)}; got {by!r}")
    grid = as_grid(source, names=[])
    frame = grid.task.frame
    check_circles(frame.basis)
    frame.basis.block(k)
    answers_and_distances(frame)
    embeddings = torch.stack([_ISOLATIONS[by](grid, operand, k) for operand in (0, 1)])
    logits = _logits_from(grid, embeddings)
    alone = grid_from_tensors(grid.task, logits)
    inside = frame.covers(grid.task.n_inputs)
    right = (logits.argmax(1) == grid.labels)[inside].double().mean().item()
    fve, accompanies = circle_fve(alone, k)
    return IsolatedCircle(k, by, fve, accompanies, circle_fading(alone, k), right, alone)


def circle_fve(source: ActivationGrid, k: int) -> tuple[dict[str, float], int | None]:
    """Fraction of the logits' variance that each formula of frequency k explains; see `IsolatedCircle`.

    Raises:
        UndefinedMetricError: logits that do not vary.
    """
    frame = source.task.frame
    n = frame.order
    answer, distance = answers_and_distances(frame)
    logits = frame.square(source.logits.double())[..., frame.element_classes]
    gap = (answer[..., None] - torch.arange(n)).double()
    distance = distance[..., None].double()
    fve = {
        name: _explained(logits, formula(distance, gap, 2 * pi * k / n)) for name, formula in FORMULAS.items()
    }
    if n % 2 == 0:
        return fve, None
    half = k * pow(2, -1, n) % n
    fve["accompanying"] = _explained(logits, _accompanying(distance, gap, 2 * pi * half / n))
    return fve, min(half, n - half)


def circle_fading(source: ActivationGrid, k: int) -> float | None:
    """How much of the wave of frequency k in the logits fades between operands on opposite sides of its circle.

    The amplitude of cos(w(a+b-c)) in the logits, at each distance d of the operands, is fitted by
    A * (1 - fading + fading * |cos((w d - t)/2)|). A clock has the same amplitude at all distances: fading 0. A
    pizza's amplitude follows the cosine: fading 1. The angle t is the rotation between the circles of operands
    with separate embeddings, whose amplitude peaks at a distance other than 0; it is taken from the amplitude's
    own wave over d. Learned pizzas fade slightly more than the formula. Other content of the logits does not
    matter, whereas it distorts a fraction of variance.

    Returns:
        The fading; None if the logits have no such wave.

    Source: our own; the two formulas are from Zhong et al. 2023 (arXiv 2306.17844).

    >>> from mechgrok.activations import cache_grid
    >>> from mechgrok.models.constructed import cosine_network, pizza_network
    >>> clock, pizza = (cache_grid(f(59, {2: 5.0})) for f in (cosine_network, pizza_network))
    >>> abs(round(circle_fading(clock, 2), 3)), round(circle_fading(pizza, 2), 2)
    (0.0, 1.0)
    """
    frame = source.task.frame
    n = frame.order
    answer, distance = answers_and_distances(frame)
    logits = frame.square(source.logits.double())[..., frame.element_classes]
    gap = answer[..., None] - torch.arange(n)
    wave = (logits * (2 * pi * k / n * gap).cos()).mean(-1)
    # Every distance has n pairs of operands.
    amplitude = torch.zeros(n, dtype=wave.dtype).index_add_(0, distance.flatten(), wave.flatten() / n)
    places = 2 * pi * k / n * torch.arange(n)
    turn = (amplitude * torch.exp(1j * places)).sum().angle()
    shape = ((places - turn) / 2).cos().abs()
    constant, faded = torch.linalg.lstsq(torch.stack([torch.ones(n), shape], 1).to(wave), amplitude).solution
    strongest = (constant + faded).item()
    return faded.item() / strongest if abs(strongest) > NOTHING * logits.abs().max() else None


def _explained(y: Tensor, f: Tensor) -> float:
    """1 - Var(y - f) for y and f of variance 1, which is twice their correlation minus 1."""
    y, f = y - y.mean(), f - f.mean()
    scale = y.norm() * f.norm()
    if scale == 0:
        raise UndefinedMetricError("the logits do not vary, so there is no variance to explain")
    return (2 * (y * f).sum() / scale - 1).item()


def _by_components(grid: ActivationGrid, operand: int, k: int) -> Float[Tensor, "order d_model"]:
    parts = embedding_components(grid, 1 if operand else 0)
    waves = [i for i, frequency in enumerate(parts.frequency) if frequency == k][:2]
    if len(waves) < 2 or parts.purity[waves].min() < PURE:
        raise UndefinedMetricError(
            f"the embedding has no two principal components of frequency {k}: it has no such circle, or its "
            "components mix several; by='fourier' separates them"
        )
    return parts.mean + parts.scores[:, waves] @ parts.directions[waves]


def _by_frequency(grid: ActivationGrid, operand: int, k: int) -> Float[Tensor, "order d_model"]:
    embedding = operand_embeddings(grid)[operand].double()
    return embedding.mean(0) + grid.task.frame.basis.project(embedding, [k], dim=0)


_ISOLATIONS: dict[By, Callable[[ActivationGrid, int, int], Tensor]] = {
    "pca": _by_components,
    "fourier": _by_frequency,
}


def _logits_from(
    grid: ActivationGrid, embeddings: Float[Tensor, "2 order d_model"]
) -> Float[Tensor, "inputs classes"]:
    """Logits of the network on all inputs with these embeddings for its operands; other embeddings stay."""
    task = grid.operation
    element = torch.zeros(task.n_symbols, dtype=torch.long)
    element[task.frame.tokens] = torch.arange(task.frame.order)
    logits = []
    for tokens, operands in zip(task.tokens.split(BATCH), task.operands.split(BATCH), strict=True):
        seen = count()  # a user-defined network may embed one position after the other

        def replace(
            embedding: Tensor, hook: Any, elements: Tensor = element[operands], seen: Any = seen
        ) -> Tensor:
            changed = embedding.clone()
            here = {next(seen): place for place in range(changed.shape[1])}
            for operand, position in enumerate(task.operand_positions):
                if position in here:
                    changed[:, here[position]] = embeddings[operand, elements[:, operand]].to(changed)
            return changed

        logits.append(
            run_at_readout(grid.model, tokens, [("hook_embed", replace)]).cpu()[:, : task.n_classes]
        )
    return torch.cat(logits)
