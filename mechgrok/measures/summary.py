"""Everything that the toolkit reports about one network, with the verdict in plain words."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.ablation import Ablation, Site
from mechgrok.analysis.algorithms import EXPLAINED, GENERALISED
from mechgrok.analysis.explained import LogitFVE, logit_fve
from mechgrok.analysis.frequencies import KeyFrequencies, keys_if_any
from mechgrok.analysis.logit_surface import PIZZA_DISTANCE, distance_irrelevance
from mechgrok.analysis.neurons import NeuronFrequencies, neuron_frequencies
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, shown
from mechgrok.measures.references import GUESSING
from mechgrok.measures.summary_numbers import ablations, losses, of_keys, of_weights, or_none
from mechgrok.measures.summary_sequences import NOTHING, SequenceView, view_sequences
from mechgrok.memory import analysis_bytes, check_memory
from mechgrok.models.protocol import HookedModel
from mechgrok.opening import run_if_any
from mechgrok.tasks import Split


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
        sequence: losses of the scored positions, if there are several; heads and mean attention patterns, where the
            inputs are sequences in no group.
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
    sequence: SequenceView = NOTHING

    def records(self) -> list[dict[str, Any]]:
        """All numbers, one per row."""
        return [{"name": name, "value": value} for name, value in self.values.items()]

    def to_json(self) -> str:
        """All numbers by name, what the file was taken for, and the verdict.

        >>> import json
        >>> from mechgrok.models.constructed import cosine_network
        >>> json.loads(summarize(cosine_network(7, {2: 9.0})).to_json())["key_frequencies"]
        [2]
        """
        return json.dumps({**self.values, "layout": self.layout, "verdict": self.verdict}, indent=2)

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

    Raises:
        ConfigError: there is too little memory.

    >>> from mechgrok.models.constructed import cosine_network
    >>> summary = summarize(cosine_network(11, {3: 9.0, 5: 9.0}))
    >>> summary.keys.frequencies, round(summary.values["accuracy_all"], 2)
    ((3, 5), 1.0)
    """
    if split is not None and not isinstance(split, Split):
        raise ConfigError(f"split is a Split, as task.split(0.3) gives one; got {shown(split)}")
    source = run_if_any(source)
    grid = as_grid(source)
    _check_memory(grid)
    own: Any = getattr(source, "split", None)  # of a run
    split = own if split is None and isinstance(own, Split) else split
    found = keys if isinstance(keys, KeyFrequencies) else keys_if_any(grid)
    labels = found.frequencies if keys is None else tuple(keys)
    values: dict[str, Any] = {"task": grid.task.name}
    values |= {"n_classes": grid.task.n_classes} if grid.task.score == "accuracy" else {}
    values |= losses(grid, split)
    neurons = or_none(lambda: neuron_frequencies(grid))
    fve = logit_fve(grid, labels) if labels else None
    values["key_frequencies"] = list(labels)
    values |= of_keys(grid, split, labels, fve) if fve else {}
    distance = or_none(lambda: distance_irrelevance(grid))
    values |= {} if distance is None else {"distance_irrelevance": distance}
    values |= of_weights(grid)
    if neurons is not None:
        values["neurons"] = len(neurons.fve)
        values["neurons_decided"] = int(neurons.decided.sum())
        values["neuron_clusters"] = neurons.clusters
    sequence = view_sequences(grid)
    return Summary(
        task=grid.task.name,
        answer=grid.task.answer if found.no_group else grid.task.frame.answer,
        what=found.what,
        logarithmic=not found.no_group and grid.task.frame.is_logarithmic,
        layout="logits without a network" if grid.source is None else _layout(grid.source),
        keys=found,
        neurons=neurons,
        fve=fve,
        ablations=ablations(grid, labels),
        values=values | sequence.values,
        sequence=sequence,
    )


def _check_memory(grid: ActivationGrid) -> None:
    held = (grid.logits, *grid.activations.values())
    there = sum(x.numel() * x.element_size() for x in held)
    needed = analysis_bytes(grid.logits.numel(), sum(x.numel() for x in grid.activations.values())) - there
    check_memory(f"the analysis of {grid.task.name}", needed)


def _layout(model: HookedModel) -> str:
    return getattr(model, "layout", type(model).__name__)


def _verdict(summary: Summary) -> str:
    values, seen = summary.values, " ".join(summary.sequence.sentences())
    if not summary.generalised:
        left = seen or "Its algorithm is undetermined."
        return f"The network has not {_fully(summary)}learned {summary.answer}: {_how_far(summary)}. {left}"
    if summary.keys.no_group:
        left = seen or f"How it does so is left open: {summary.keys.no_group}."
        return f"The network computes {summary.answer} with {_how_well(summary)}{_untested(summary)}. {left}"
    if not _used(summary):
        return (
            f"The network computes {summary.answer} with {values['accuracy_all']:z.2%} accuracy{_untested(summary)}, "
            f"but {_no_keys(summary)}. Its algorithm is undetermined."
        )
    return " ".join([_what(summary), *_clock(summary), _evidence(summary), *_killed(summary)])


def _fully(summary: Summary) -> str:
    """Of several answers to an input, some may be known and others not."""
    positions = summary.sequence.positions
    return "fully " if positions is not None and positions.accuracy >= 0.5 else ""


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
    """Effect of removing the keys at each site: one sentence for sites where it kills the network, one for the
    others."""
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
