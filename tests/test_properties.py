"""Changes that must not affect a result, or must affect it in a known way: every metric under every property."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from planted import NEURONS, cosine_logits, wave_neurons
from torch import Tensor

import mechgrok as mg

P = 23
TASK = mg.modular_task("add", P)
KEYS = (2, 7, 11)
WAVES = [(2, 0.3, 1.0), (7, 2.0, 0.5), (7, 0.1, 0.2), (11, 1.0, 4.0), (2, 0.0, 2.5)]

Grid = mg.ActivationGrid
Metric = Callable[[Grid, tuple[int, ...], Tensor], Tensor]


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _indicator(frequencies: tuple) -> Tensor:
    return _number([float(k in frequencies) for k in TASK.frame.basis.labels])


METRICS: dict[str, Metric] = {
    "full_loss": lambda grid, keys, mask: _number(mg.full_loss(grid, mask)),
    "accuracy": lambda grid, keys, mask: _number(mg.accuracy(grid, mask)),
    "restricted_loss": lambda grid, keys, mask: _number(mg.restricted_loss(grid, keys)),
    "restricted_loss, character": lambda grid, keys, mask: _number(
        mg.restricted_loss(grid, keys, space="character")
    ),
    "excluded_loss": lambda grid, keys, mask: _number(mg.excluded_loss(grid, keys, mask)),
    "excluded_loss, character": lambda grid, keys, mask: _number(
        mg.excluded_loss(grid, keys, mask, space="character")
    ),
    "key frequencies": lambda grid, keys, mask: _indicator(mg.find_key_frequencies(grid).frequencies),
    "key shares": lambda grid, keys, mask: mg.find_key_frequencies(grid).power,
    "key frequencies by neurons": lambda grid, keys, mask: _indicator(
        mg.find_key_frequencies(grid, "neurons").frequencies
    ),
    "neuron clusters": lambda grid, keys, mask: _number(
        [mg.neuron_frequencies(grid, threshold=0.7).clusters.get(k, 0) for k in TASK.frame.basis.labels]
    ),
    "neuron fve": lambda grid, keys, mask: mg.neuron_frequencies(grid).fve.sort().values,
}
LOSSES = {name for name in METRICS if "loss" in name}
PER_FREQUENCY = {"key frequencies", "key shares", "key frequencies by neurons", "neuron clusters"}


@cache
def base() -> Grid:
    """Planted waves under noise, so that no metric sits at an extreme value; the grid is not symmetric."""
    noise = torch.Generator().manual_seed(0)
    logits = cosine_logits(TASK, dict(zip(KEYS, (1.5, 1.0, 0.7), strict=True)))
    logits = logits + 0.7 * torch.randn(logits.shape, generator=noise, dtype=torch.float64)
    neurons = wave_neurons(TASK, WAVES)
    neurons = neurons + 0.1 * torch.randn(neurons.shape, generator=noise, dtype=torch.float64)
    return mg.grid_from_tensors(TASK, logits, {NEURONS: neurons})


MASK = TASK.split(0.4, seed=1).train


@dataclass(frozen=True)
class Property:
    """A change of the grid, and how the metrics follow it.

    rows: new row of each input, classes: new column of each class; both are permutations.
    frequency: k -> the frequency it becomes. exempt: metrics that do change, and rightly so.
    """

    rows: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = lambda a, b: (a, b)
    classes: Callable[[Tensor], Tensor] = lambda c: c
    logits: Callable[[Tensor], Tensor] = lambda x: x
    neurons: Callable[[Tensor], Tensor] = lambda x: x
    frequency: Callable[[int], int] = lambda k: k
    exempt: frozenset[str] = frozenset()
    tolerance: float = 1e-9

    def apply(self, grid: Grid) -> Grid:
        order = self._order()
        columns = self.classes(torch.arange(P)) % P
        return mg.grid_from_tensors(
            TASK, self.logits(grid.logits[order][:, columns]), {NEURONS: self.neurons(grid.neurons[order])}
        )

    def mask(self) -> Tensor:
        return MASK[self._order()]

    def keys(self) -> tuple[int, ...]:
        return tuple(self.fold(self.frequency(k)) for k in KEYS)

    def expected(self, name: str, value: Tensor) -> Tensor:
        if name not in PER_FREQUENCY:
            return value
        moved = torch.zeros_like(value)
        for k in TASK.frame.basis.labels:
            moved[self.fold(self.frequency(k)) - 1] = value[k - 1]
        return moved

    def _order(self) -> Tensor:
        """The row of the old grid that stands at each row of the new one."""
        a, b = self.rows(*TASK.operands.T)
        return a % P * P + b % P

    @staticmethod
    def fold(k: int) -> int:
        return min(k % P, -k % P)


def _multiplied(u: int) -> Property:
    """Tokens and answers renamed x -> u^-1 x, so that input x now holds what u x held: k becomes u k."""
    return Property(rows=lambda a, b: (u * a, u * b), classes=lambda c: u * c, frequency=lambda k: u * k)


PROPERTIES = {
    "logits scaled up": Property(logits=lambda x: 3 * x, exempt=frozenset(LOSSES)),
    "logits scaled down": Property(logits=lambda x: 1e-3 * x, exempt=frozenset(LOSSES)),
    "constant added to the logits of each input": Property(logits=lambda x: x + torch.arange(P * P)[:, None]),
    "neurons permuted": Property(neurons=lambda x: x[:, torch.tensor([3, 1, 4, 0, 2])]),
    "neurons scaled and shifted": Property(
        neurons=lambda x: 5 * x - 2, exempt=frozenset({"key frequencies by neurons"})
    ),
    "operands swapped": Property(rows=lambda a, b: (b, a)),
    "tokens negated, k -> p-k": _multiplied(-1),
    "tokens multiplied by 5": _multiplied(5),
    "first operand shifted, answers too": Property(rows=lambda a, b: (a + 4, b), classes=lambda c: c + 4),
    "float32": Property(logits=lambda x: x.float(), neurons=lambda x: x.float(), tolerance=1e-5),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", PROPERTIES)
def test_metric_follows_property(name, metric):
    change = PROPERTIES[name]
    before = METRICS[metric](base(), KEYS, MASK)
    after = METRICS[metric](change.apply(base()), change.keys(), change.mask())
    assert before.isfinite().all()
    if metric in change.exempt:
        assert metric not in LOSSES or not torch.allclose(after, before, rtol=1e-3)
        return
    torch.testing.assert_close(
        after, change.expected(metric, before), atol=change.tolerance, rtol=change.tolerance
    )


def test_the_base_is_no_special_case():
    """Every metric is away from the values that a symmetric or perfect grid would give it."""
    values = {name: metric(base(), KEYS, MASK) for name, metric in METRICS.items()}
    assert 0.3 < values["accuracy"] < 0.99
    losses = [values[name].item() for name in LOSSES]
    assert len({round(x, 4) for x in losses}) == len(losses)
    assert mg.find_key_frequencies(base()).frequencies == KEYS
    assert values["neuron clusters"].sum() == len(WAVES)
    assert 0.7 < values["neuron fve"].min() < values["neuron fve"].max() < 0.85


def test_a_wrong_change_is_noticed():
    """The table can fail: renamed tokens without renamed keys give another excluded loss."""
    changed = PROPERTIES["tokens multiplied by 5"].apply(base())
    assert mg.excluded_loss(changed, KEYS) != pytest.approx(mg.excluded_loss(base(), KEYS), rel=1e-3)
    swapped = PROPERTIES["operands swapped"].apply(base())
    assert not torch.equal(swapped.logits, base().logits)
