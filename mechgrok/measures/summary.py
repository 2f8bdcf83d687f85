"""Everything that the toolkit reports about one network, with the verdict in plain words."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.ablation import Ablation
from mechgrok.analysis.algorithms import GENERALISED
from mechgrok.analysis.explained import LogitFVE, logit_fve
from mechgrok.analysis.explanation import Explanation, explain_by
from mechgrok.analysis.frequencies import KeyFrequencies, keys_if_any
from mechgrok.analysis.logit_surface import distance_irrelevance
from mechgrok.analysis.neurons import NeuronFrequencies, neuron_frequencies
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, shown
from mechgrok.measures.summary_numbers import (
    ablations,
    losses,
    of_explanation,
    of_keys,
    of_weights,
    or_none,
)
from mechgrok.measures.summary_sequences import NOTHING, SequenceView, view_sequences
from mechgrok.measures.summary_verdict import verdict_of
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
        explanation: formula, explained share and interventions, as `explain` gives them for these keys; None for a task
            without a group, or whose answers are values.
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
    explanation: Explanation | None = None

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
        found = self.explanation
        stated = {} if found is None else {"formula": found.formula, "predictions": found.records()}
        return json.dumps({**self.values, **stated, "layout": self.layout, "verdict": self.verdict}, indent=2)

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
        return verdict_of(self)


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
    explanation = or_none(lambda: explain_by(grid, replace(found, frequencies=labels)))
    values |= of_explanation(explanation)
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
        explanation=explanation,
    )


def _check_memory(grid: ActivationGrid) -> None:
    held = (grid.logits, *grid.activations.values())
    there = sum(x.numel() * x.element_size() for x in held)
    needed = analysis_bytes(grid.logits.numel(), sum(x.numel() for x in grid.activations.values())) - there
    check_memory(f"the analysis of {grid.task.name}", needed)


def _layout(model: HookedModel) -> str:
    return getattr(model, "layout", type(model).__name__)
