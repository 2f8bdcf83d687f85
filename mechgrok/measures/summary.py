"""Everything that the toolkit reports about one network, with the verdict in plain words."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.ablation import Ablation, Site, ablate
from mechgrok.analysis.algorithms import EXPLAINED, GENERALISED
from mechgrok.analysis.explained import LogitFVE, logit_fve
from mechgrok.analysis.frequencies import KeyFrequencies, keys_if_any
from mechgrok.analysis.key_losses import excluded_loss, restricted_loss
from mechgrok.analysis.logit_surface import PIZZA_DISTANCE, distance_irrelevance
from mechgrok.analysis.losses import full_loss, task_score
from mechgrok.analysis.neurons import NeuronFrequencies, neuron_frequencies
from mechgrok.analysis.spectrum import (
    fourier_coefficient_ratio,
    fourier_frequency_density,
    frequency_norms,
    gini,
    sum_squared_weights,
)
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ActivationError, ConfigError, UndefinedMetricError, shown
from mechgrok.measures.references import GUESSING
from mechgrok.measures.registry import MEASURES
from mechgrok.models.protocol import HookedModel
from mechgrok.opening import run_if_any
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
}
"""Numbers of a summary whose names add the inputs or the variant of a measure, with the measure."""
COUNTS = {"n_classes": "answers", "neurons": "neurons", "neurons_decided": "neurons"}
"""Numbers of a summary that are counts, with the things counted."""
ABLATED_SITES: tuple[Site, ...] = ("embed", "neurons", "logits")


@dataclass(frozen=True, eq=False)
class Summary(Drawable):
    """Everything about one network on one task; `values` for programs, `verdict` for readers.

    Attributes:
        task, answer: what it computes, such as "add113" and "a+b".
        what: what a key is, "frequency" or "irrep".
        logarithmic: whether frequencies are those of the discrete logarithm.
        layout: what its file was recognised as.
        keys, neurons, fve: the results behind the numbers; None if there are no keys or no neurons. For a task
            without a group `keys` is empty, and its `reason` explains why.
        ablations: ablations of all keys together, both components, at each site; removed, then kept.
        values: all numbers by name. Losses in nats; `_train` and `_test` only with a split. A number that is
            undefined for this network is absent.
    """

    task: str
    answer: str
    what: str
    logarithmic: bool
    layout: str
    keys: KeyFrequencies
    neurons: NeuronFrequencies | None
    fve: LogitFVE | None
    ablations: tuple[Ablation, ...]
    values: dict[str, Any]

    def records(self) -> list[dict[str, Any]]:
        """All numbers, one per row."""
        return [{"name": name, "value": value} for name, value in self.values.items()]

    def __repr__(self) -> str:
        return f"Summary({self.task}: {self.verdict})"

    @property
    def generalised(self) -> bool:
        """Whether the network is right on almost all inputs."""
        return self.values[f"{self.score}_all"] >= GENERALISED

    @property
    def score(self) -> str:
        """How answers are scored: "accuracy" for classes, "r2" for values."""
        return "accuracy" if "accuracy_all" in self.values else "r2"

    @property
    def verdict(self) -> str:
        """What the network does, in a few sentences."""
        return _verdict(self)


@door
def summarize(
    source: Source,
    split: Split | None = None,
    keys: Iterable[Label] | KeyFrequencies | None = None,
) -> Summary:
    """Run all analyses of a network and collect the results.

    Args:
        source: a network or a grid with the neurons cached; a run, or the name or folder of one.
        split: the inputs it was trained on, for the train and test losses; the excluded loss is then computed
            over the train inputs, otherwise over all. None uses the split of a run.
        keys: the key blocks; None finds them.

    >>> from mechgrok.models.constructed import cosine_network
    >>> summary = summarize(cosine_network(11, {3: 9.0, 5: 9.0}))
    >>> summary.keys.frequencies, round(summary.values["accuracy_all"], 2)
    ((3, 5), 1.0)
    """
    if split is not None and not isinstance(split, Split):
        raise ConfigError(f"split is a Split, as task.split(0.3) gives one; got {shown(split)}")
    source = run_if_any(source)
    grid = as_grid(source)
    own: Any = getattr(source, "split", None)  # of a run
    split = own if split is None and isinstance(own, Split) else split
    found = keys if isinstance(keys, KeyFrequencies) else keys_if_any(grid)
    labels = found.frequencies if keys is None else tuple(keys)
    values: dict[str, Any] = {"task": grid.task.name}
    values |= {"n_classes": grid.task.n_classes} if grid.task.score == "accuracy" else {}
    values |= _losses(grid, split)
    neurons = _or_none(lambda: neuron_frequencies(grid))
    fve = logit_fve(grid, labels) if labels else None
    values["key_frequencies"] = list(labels)
    values |= _of_keys(grid, split, labels, fve) if fve else {}
    distance = _or_none(lambda: distance_irrelevance(grid))
    values |= {} if distance is None else {"distance_irrelevance": distance}
    values |= _of_weights(grid)
    if neurons is not None:
        values["neurons"] = len(neurons.fve)
        values["neurons_decided"] = int(neurons.decided.sum())
        values["neuron_clusters"] = neurons.clusters
    return Summary(
        task=grid.task.name,
        answer=grid.task.answer if found.no_group else grid.task.frame.answer,
        what=found.what,
        logarithmic=not found.no_group and grid.task.frame.is_logarithmic,
        layout="logits without a network" if grid.source is None else _layout(grid.source),
        keys=found,
        neurons=neurons,
        fve=fve,
        ablations=_ablations(grid, labels),
        values=values,
    )


def unit_of(name: str) -> str:
    """The unit of a number of a summary, taken from its measure; "" for entries that are not numbers.

    >>> unit_of("restricted_loss_all_without_mean"), unit_of("gini_W_E"), unit_of("neurons_decided"), unit_of("task")
    ('nats', 'fraction', 'neurons', '')
    """
    measure = VARIANTS.get(name, name)
    return COUNTS.get(name) or (MEASURES[measure].unit if measure in MEASURES else "")


def _layout(model: HookedModel) -> str:
    return getattr(model, "layout", type(model).__name__)


def _losses(grid: ActivationGrid, split: Split | None) -> dict[str, float]:
    masks = {"all": None} | ({"train": split.train, "test": split.test} if split else {})
    masks = {name: mask for name, mask in masks.items() if mask is None or mask.any()}
    return {f"{grid.task.score}_{name}": task_score(grid, mask) for name, mask in masks.items()} | {
        f"loss_{name}": full_loss(grid, mask) for name, mask in masks.items()
    }


def _of_keys(
    grid: ActivationGrid, split: Split | None, keys: tuple[Label, ...], fve: LogitFVE
) -> dict[str, Any]:
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


def _ablations(grid: ActivationGrid, keys: tuple[Label, ...]) -> tuple[Ablation, ...]:
    done = [
        _or_none(lambda site=site, keep=keep: ablate(grid, keys, site=site, keep=keep))
        for site in ABLATED_SITES
        for keep in (False, True)
    ]
    return tuple(ablation for ablation in done if ablation is not None)


def _of_weights(grid: ActivationGrid) -> dict[str, float]:
    measures = {
        "gini_W_E": lambda: gini(frequency_norms(grid)),
        "gini_W_L": lambda: gini(frequency_norms(grid, matrix="W_L")),
        "fourier_frequency_density_W_E": lambda: fourier_frequency_density(grid),
        "fourier_coefficient_ratio_W_E": lambda: fourier_coefficient_ratio(grid),
        "sum_squared_weights": lambda: sum_squared_weights(grid),
    }
    values = {name: _or_none(measure) for name, measure in measures.items()}
    return {name: value for name, value in values.items() if value is not None}


def _or_none(measure: Callable[[], T]) -> T | None:
    """The value of a measure, or None if this network has none (no neurons, no keys, no spectrum)."""
    try:
        return measure()
    except (ActivationError, UndefinedMetricError):
        return None


def _verdict(summary: Summary) -> str:
    values = summary.values
    if not summary.generalised:
        return f"The network has not learned {summary.answer}: {_how_far(summary)}. Its algorithm is undetermined."
    if summary.keys.no_group:
        return (
            f"The network computes {summary.answer} with {_how_well(summary)}{_untested(summary)}. "
            f"How it does so is left open: {summary.keys.no_group}."
        )
    if not _used(summary):
        return (
            f"The network computes {summary.answer} with {values['accuracy_all']:z.2%} accuracy{_untested(summary)}, "
            f"but {_no_keys(summary)}. Its algorithm is undetermined."
        )
    return " ".join([_what(summary), *_clock(summary), _evidence(summary), *_killed(summary)])


def _how_far(summary: Summary) -> str:
    value = summary.values[f"{summary.score}_all"]
    if summary.score == "r2":
        return f"over all inputs its r2 is {value:z.3f}"
    return f"it answers {value:z.1%} of all inputs correctly"


def _how_well(summary: Summary) -> str:
    value = summary.values[f"{summary.score}_all"]
    return f"an r2 of {value:z.4f}" if summary.score == "r2" else f"{value:z.2%} accuracy"


def _no_keys(summary: Summary) -> str:
    return "no key was given" if summary.keys.frequencies else f"has {summary.keys}"


def _untested(summary: Summary) -> str:
    """Caveat about the accuracy over all inputs when all of them were trained on."""
    trained_on_all = "accuracy_train" in summary.values and "accuracy_test" not in summary.values
    return (
        " on the inputs that it was trained on (nothing was held back to test it)" if trained_on_all else ""
    )


def _what(summary: Summary) -> str:
    keys, values = ", ".join(map(str, _used(summary))), summary.values
    return (
        f"The network computes {summary.answer} with {values['accuracy_all']:z.2%} accuracy{_untested(summary)}, "
        f"by the {_key_word(summary)} {keys}, which {_plural(summary, 'explain', 'explains')} "
        f"{values['logit_fve_class_centred']:z.1%} of its logits."
    )


def _clock(summary: Summary) -> list[str]:
    """What a multiplying network does after taking the logarithm; the bounds are from Zhong et al. 2023."""
    distance = summary.values.get("distance_irrelevance")
    if not summary.logarithmic or distance is None or summary.values["logit_fve_class_centred"] < EXPLAINED:
        return []
    algorithm = "clock" if distance > PIZZA_DISTANCE else "pizza"
    return [
        f"It is a {algorithm} in discrete-log space: it adds logarithms as angles, and the right logit has a "
        f"distance irrelevance of {distance:z.2f} (a pizza's is {PIZZA_DISTANCE} or less)."
    ]


def _evidence(summary: Summary) -> str:
    values = summary.values
    where = "train" if "excluded_loss_train" in values else "all"
    inputs = {"train": "the train inputs", "all": "all inputs"}[where]
    return (
        f"The {_key_word(summary)} alone {_plural(summary, 'have', 'has')} a loss of "
        f"{values['restricted_loss_all']:z.2g} nats over all inputs (the whole network: {values['loss_all']:z.2g}); "
        f"without {_plural(summary, 'them', 'it')}, the loss on {inputs} is {values[f'excluded_loss_{where}']:z.3g} "
        f"(guessing: {GUESSING.at(values['n_classes']):z.2f})."
    )


def _killed(summary: Summary) -> list[str]:
    """Effect of removing the keys: one sentence for sites where it kills the network, one for the others."""
    removed = [ablation for ablation in summary.ablations if not ablation.keep]
    killing = [ablation for ablation in removed if ablation.accuracy < ablation.accuracy_before / 2]
    harmless = [ablation for ablation in removed if ablation not in killing]
    effects = (("kills the network", killing), ("does not kill the network", harmless))
    return [_removal(summary, effect, ablations) for effect, ablations in effects if ablations]


def _removal(summary: Summary, effect: str, ablations: list[Ablation]) -> str:
    sites = _either([f"the {_PLACES[ablation.site]}" for ablation in ablations])
    accuracies = _either([f"{ablation.accuracy:z.2%}" for ablation in ablations])
    return (
        f"Removing {_plural(summary, 'them', 'it')} from {sites} {effect}: accuracy goes from "
        f"{ablations[0].accuracy_before:z.2%} to {accuracies}."
    )


def _either(items: list[str]) -> str:
    return " or ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def _key_word(summary: Summary) -> str:
    return f"key {_plural(summary, _PLURALS[summary.what], summary.what)}"


def _plural(summary: Summary, many: str, one: str) -> str:
    return many if len(_used(summary)) > 1 else one


def _used(summary: Summary) -> list[Label]:
    """The keys that the numbers refer to: given or found."""
    return summary.values["key_frequencies"]


_PLURALS = {"frequency": "frequencies", "irrep": "irreps", "subset": "subsets"}
_PLACES: dict[Site, str] = {"embed": "embedding", "neurons": "neurons", "logits": "logits"}
