"""Interventions on a network whose outcome is said before they are made."""

from collections.abc import Callable
from dataclasses import dataclass

from mechgrok.activations import ActivationGrid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.ablation import ablate
from mechgrok.analysis.additive import additive_only
from mechgrok.analysis.interchange import interchange
from mechgrok.analysis.losses import accuracy
from mechgrok.analysis.perturbations import perturb_neurons
from mechgrok.analysis.scrubbing import scrub_with_control
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.readable import Readable

SLACK = 0.01
"""By how much an accuracy may miss its prediction."""
PREDICTED = 0.9
"""Share of the change of the logits that the formula must predict."""
FEW_PRODUCTS = 0.01
"""Share of products in the variance of the pre-activations below which a network is predicted not to need them."""

CLUSTERS_SCRUBBED = "each cluster of neurons from another input with the same answer"
"""The name of the intervention that `scrub` makes."""


@dataclass(frozen=True)
class Prediction(Readable):
    """One intervention: what should happen, and what did.

    Attributes:
        intervention: what is done to the network.
        predicted: what should follow, in words.
        value: what followed, an accuracy or a share, 0..1.
        control: the same number where the hypothesis says the contrary; None where there is no control.
        came_true: whether it did.
    """

    intervention: str
    predicted: str
    value: float
    control: float | None
    came_true: bool

    def __repr__(self) -> str:
        control = "" if self.control is None else f", control {self.control:z.4f}"
        came = "came true" if self.came_true else "did not come true"
        return f"Prediction({self.intervention}: {self.predicted}; {self.value:z.4f}{control}: {came})"


def try_predictions(
    grid: ActivationGrid, keys: tuple[Label, ...], seed: int = 0
) -> tuple[tuple[Prediction, ...], dict[str, str]]:
    """All interventions that can be made on a grid, and why others cannot.

    >>> import mechgrok as mg
    >>> made, left_out = try_predictions(mg.cache_grid(mg.cosine_network(11, {3: 9.0})), (3,))
    >>> [item.came_true for item in made], left_out
    ([True, True, True, True, True, True, True, True], {})
    """
    made: list[Prediction] = []
    left_out: dict[str, str] = {}
    for name, make in _INTERVENTIONS.items():
        try:
            made += make(grid, keys, seed)
        except (ActivationError, UndefinedMetricError) as error:
            left_out[name] = str(error)
    return tuple(made), left_out


def _without_keys(grid: ActivationGrid, keys: tuple[Label, ...], seed: int) -> list[Prediction]:
    guess = 1 / grid.task.n_classes
    value = ablate(grid, keys, site="logits").accuracy
    control = ablate(grid, keys, site="logits", keep=True).accuracy
    true = value <= guess + SLACK and control >= accuracy(grid) - SLACK
    predicted = f"answers are guesses at best, {guess:z.3f}; the keys alone answer as the network"
    return [Prediction("keys removed from the logits", predicted, value, control, true)]


def _exchanged(grid: ActivationGrid, keys: tuple[Label, ...], seed: int) -> list[Prediction]:
    site = "neurons" if _has_neurons(grid) else "logits"
    found, right = interchange(grid, keys, site, seed=seed), accuracy(grid)
    true = found.accuracy >= right - SLACK and found.stayed.accuracy < right / 2
    worst = min(found.by_key.values(), key=lambda exchange: exchange.r2)
    return [
        Prediction(
            f"all outside of the keys from another input, at the {site}",
            f"answers stay right, {right:z.3f}; they are not those of the other input",
            found.accuracy,
            found.stayed.accuracy,
            true,
        ),
        Prediction(
            f"one key from another input, at the {site}",
            f"logits change by what its term says, R² from {PREDICTED} on for each key",
            worst.r2,
            None,
            worst.r2 >= PREDICTED,
        ),
    ]


def _scrubbed(grid: ActivationGrid, keys: tuple[Label, ...], seed: int) -> list[Prediction]:
    before, scrubbed, control = scrub_with_control(grid, seed)
    kept = scrubbed.accuracy >= before.accuracy - SLACK
    return [
        Prediction(
            CLUSTERS_SCRUBBED,
            f"answers stay right, {before.accuracy:z.3f}; with the same difference instead they are guesses",
            scrubbed.accuracy,
            None if control is None else control.accuracy,
            kept and (control is None or control.accuracy < scrubbed.accuracy / 2),
        )
    ]


def _without_products(grid: ActivationGrid, keys: tuple[Label, ...], seed: int) -> list[Prediction]:
    found = additive_only(grid)
    few = found.products < FEW_PRODUCTS
    kept = found.accuracy >= found.before.accuracy - SLACK
    says = "answers stay right" if few else "the loss at least doubles"
    return [
        Prediction(
            "no products before the neurons",
            f"{says}, as they are {found.products:z.2%} of the variance there",
            found.accuracy,
            None,
            kept if few else found.loss >= 2 * found.before.loss,
        )
    ]


def _perturbed(grid: ActivationGrid, keys: tuple[Label, ...], seed: int) -> list[Prediction]:
    """Without the noise, whose outcome depends on its size."""
    return [
        Prediction(
            f"{name} before the neurons" if name.startswith(("both", "sign")) else name,
            row.predicted,
            row.accuracy,
            None if row.control is None else row.control.accuracy,
            row.came_true,
        )
        for name, row in perturb_neurons(grid, noise=0).rows.items()
    ]


def _has_neurons(grid: ActivationGrid) -> bool:
    try:
        return bool(grid.neurons.shape[-1]) and bool(grid.neuron_logit_map.shape[0])
    except ActivationError:
        return False


_INTERVENTIONS: dict[str, Callable[[ActivationGrid, tuple[Label, ...], int], list[Prediction]]] = {
    "keys removed": _without_keys,
    "keys exchanged": _exchanged,
    "clusters scrubbed": _scrubbed,
    "products removed": _without_products,
    "neurons perturbed": _perturbed,
}
