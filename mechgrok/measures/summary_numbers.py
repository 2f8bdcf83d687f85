"""The numbers of a summary: losses, what the keys do, ablations, sparsity; each where the network has it."""

from collections.abc import Callable
from typing import Any, TypeVar

from mechgrok.activations import ActivationGrid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.ablation import Ablation, Site, ablate
from mechgrok.analysis.explained import LogitFVE, logit_fve
from mechgrok.analysis.explanation import Explanation
from mechgrok.analysis.key_losses import excluded_loss, restricted_loss
from mechgrok.analysis.losses import full_loss, task_score
from mechgrok.analysis.spectrum import (
    fourier_coefficient_ratio,
    fourier_frequency_density,
    frequency_norms,
    gini,
    sum_squared_weights,
)
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.measures.registry import MEASURES
from mechgrok.tasks import Split

T = TypeVar("T")

VARIANTS = {
    "restricted_loss_all": "restricted_loss",
    "restricted_loss_all_without_mean": "restricted_loss",
    "restricted_loss_all_character_space": "restricted_loss",
    "excluded_loss_train": "excluded_loss",
    "excluded_loss_train_per_key": "excluded_loss_per_key",
    "excluded_loss_train_character_space": "excluded_loss",
    "excluded_loss_all": "excluded_loss",
    "excluded_loss_all_per_key": "excluded_loss_per_key",
    "excluded_loss_all_character_space": "excluded_loss",
    "logit_fve_class_centred": "logit_fve",
    "logit_fve_double_centred": "logit_fve",
    "accuracy_per_position": "accuracy_all",
}
"""Numbers of a summary whose names say over which inputs, or in which form, a measure was taken; and the measure."""
COUNTS = {"n_classes": "answers", "neurons": "neurons", "neurons_decided": "neurons"}
"""Numbers of a summary that count something, with what they count."""
OF_EXPLANATION = {
    "explained_share": "fraction",
    "explained_share_control": "fraction",
    "formula_accuracy": "fraction",
    "formula_agreement": "fraction",
    "formula_kl": "nats",
    "phase_alignment": "resultant length",
}
"""Numbers of an explanation with their units."""
ABLATED_SITES: tuple[Site, ...] = ("embed", "neurons", "logits")


def unit_of(name: str) -> str:
    """The unit of a number of a summary, as of the measure that it is; "" for what is not a number.

    >>> unit_of("restricted_loss_all_without_mean"), unit_of("gini_W_E"), unit_of("neurons_decided"), unit_of("task")
    ('nats', 'fraction', 'neurons', '')
    """
    measure = VARIANTS.get(name, name)
    return (
        COUNTS.get(name)
        or OF_EXPLANATION.get(name)
        or (MEASURES[measure].unit if measure in MEASURES else "")
    )


def losses(grid: ActivationGrid, split: Split | None) -> dict[str, float]:
    """Loss and accuracy, or r2, over all inputs, and over the train and the test inputs."""
    masks = {"all": None} | ({"train": split.train, "test": split.test} if split else {})
    masks = {name: mask for name, mask in masks.items() if mask is None or mask.any()}
    return {f"{grid.task.score}_{name}": task_score(grid, mask) for name, mask in masks.items()} | {
        f"loss_{name}": full_loss(grid, mask) for name, mask in masks.items()
    }


def of_keys(
    grid: ActivationGrid, split: Split | None, keys: tuple[Label, ...], fve: LogitFVE
) -> dict[str, Any]:
    """What the keys do together, and each by itself."""
    where, train = ("train", split.train) if split else ("all", None)
    return {
        "restricted_loss_all": restricted_loss(grid, keys),
        "restricted_loss_all_without_mean": restricted_loss(grid, keys, keep_mean=False),
        "restricted_loss_all_character_space": restricted_loss(grid, keys, space="character"),
        f"excluded_loss_{where}": excluded_loss(grid, keys, train),
        f"excluded_loss_{where}_per_key": {k: excluded_loss(grid, [k], train) for k in keys},
        f"excluded_loss_{where}_character_space": excluded_loss(grid, keys, train, space="character"),
        "logit_fve_class_centred": fve.fraction,
        "logit_fve_double_centred": logit_fve(grid, keys, centre="double").fraction,
        "logit_fve_per_key": fve.per_key,
    }


def of_explanation(explanation: Explanation | None) -> dict[str, float]:
    """How much of the network the formula accounts for, with the control."""
    if explanation is None or explanation.reason:
        return {}
    measured = {
        "explained_share": explanation.explained_share,
        "explained_share_control": explanation.control_share,
        "formula_accuracy": explanation.accuracy,
        "formula_agreement": explanation.agreement,
        "formula_kl": explanation.kl,
        "phase_alignment": explanation.phase_alignment,
    }
    return {name: value for name, value in measured.items() if value is not None}


def ablations(grid: ActivationGrid, keys: tuple[Label, ...]) -> tuple[Ablation, ...]:
    """All keys removed from each site, and kept there alone."""
    done = [
        or_none(lambda site=site, keep=keep: ablate(grid, keys, site=site, keep=keep))
        for site in ABLATED_SITES
        for keep in (False, True)
    ]
    return tuple(ablation for ablation in done if ablation is not None)


def of_weights(grid: ActivationGrid) -> dict[str, float]:
    """Sparsity and size of the weights."""
    measures = {
        "gini_W_E": lambda: gini(frequency_norms(grid)),
        "gini_W_L": lambda: gini(frequency_norms(grid, matrix="W_L")),
        "fourier_frequency_density_W_E": lambda: fourier_frequency_density(grid),
        "fourier_coefficient_ratio_W_E": lambda: fourier_coefficient_ratio(grid),
        "sum_squared_weights": lambda: sum_squared_weights(grid),
    }
    values = {name: or_none(measure) for name, measure in measures.items()}
    return {name: value for name, value in values.items() if value is not None}


def or_none(measure: Callable[[], T]) -> T | None:
    """The value of a measure, or None where this network has none (no neurons, no keys, no spectrum)."""
    try:
        return measure()
    except (ActivationError, UndefinedMetricError):
        return None
