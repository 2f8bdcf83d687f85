"""The verdict on a network in plain words, from the numbers of its summary."""

from typing import TYPE_CHECKING

from mechgrok.algebra.bases import Label
from mechgrok.analysis.ablation import Ablation, Site
from mechgrok.analysis.algorithms import EXPLAINED
from mechgrok.analysis.explanation import Explanation
from mechgrok.analysis.logit_surface import PIZZA_DISTANCE
from mechgrok.analysis.predictions import CLUSTERS_SCRUBBED
from mechgrok.measures.references import GUESSING

if TYPE_CHECKING:
    from mechgrok.measures.summary import Summary

MOST_TERMS = 6
"""Terms of the formula that are written out, the strongest ones."""


def verdict_of(summary: "Summary") -> str:
    """What a network does, in a few sentences: formula and causal evidence first."""
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
    sentences = [
        f"The network computes {summary.answer} with {values['accuracy_all']:z.2%} accuracy{_untested(summary)}"
        f"{_formula(summary.explanation)}.",
        *_causal(summary.explanation),
        _what(summary),
        *_clock(summary),
        _evidence(summary),
        *_killed(summary),
    ]
    return " ".join(sentences)


def _formula(explanation: Explanation | None) -> str:
    """What the logits are, and how much of the network that accounts for, with its control."""
    if explanation is None:
        return ""
    if explanation.reason:
        return f", and no formula says how: {explanation.reason}"
    control = explanation.control_share
    beside = "" if control is None else f"; the same coefficients at other keys settle {control:z.1%}"
    return (
        f": its logits are about {explanation.fitted.shortened(MOST_TERMS)}, which settles the answer to "
        f"{explanation.explained_share:z.1%} of the inputs{beside}"
    )


def _causal(explanation: Explanation | None) -> list[str]:
    """What interventions say, the one with the strongest control in numbers, and those whose prediction failed."""
    if explanation is None or not explanation.interventions:
        return []
    made = explanation.interventions
    missed = [item.intervention for item in made if not item.came_true]
    came = f"{len(made) - len(missed)} of {len(made)} predictions of what interventions do came true"
    came += f"; not so: {', '.join(missed)}" if missed else ""
    scrubbed = next((item for item in made if item.intervention == CLUSTERS_SCRUBBED), None)
    if scrubbed is None:
        return [f"{came[0].upper()}{came[1:]}."]
    control = (
        "" if scrubbed.control is None else f" (with the same difference instead: {scrubbed.control:z.1%})"
    )
    return [
        f"If each cluster of neurons sees another input with the same answer, {scrubbed.value:z.2%} of the answers are "
        f"right{control}. {came[0].upper()}{came[1:]}."
    ]


def _fully(summary: "Summary") -> str:
    """Of several answers to an input, some may be known and others not."""
    positions = summary.sequence.positions
    return "fully " if positions is not None and positions.accuracy >= 0.5 else ""


def _how_far(summary: "Summary") -> str:
    value = summary.values[f"{summary.score}_all"]
    if summary.score == "r2":
        return f"over all inputs its r2 is {value:z.3f}"
    return f"it answers {value:z.1%} of all inputs correctly"


def _how_well(summary: "Summary") -> str:
    value = summary.values[f"{summary.score}_all"]
    return f"an r2 of {value:z.4f}" if summary.score == "r2" else f"{value:z.2%} accuracy"


def _no_keys(summary: "Summary") -> str:
    return "no key was given" if summary.keys.frequencies else f"has {summary.keys}"


def _untested(summary: "Summary") -> str:
    """Caveat about the accuracy over all inputs when all of them were trained on."""
    trained_on_all = "accuracy_train" in summary.values and "accuracy_test" not in summary.values
    return (
        " on the inputs that it was trained on (nothing was held back to test it)" if trained_on_all else ""
    )


def _what(summary: "Summary") -> str:
    keys, values = ", ".join(map(str, _used(summary))), summary.values
    others = sum(summary.keys.share(label) for label in summary.keys.labels if label not in _used(summary))
    return (
        f"It does so by the {_key_word(summary)} {keys}, which {_plural(summary, 'explain', 'explains')} "
        f"{values['logit_fve_class_centred']:z.1%} of its logits (the others: {others:z.1%})."
    )


def _clock(summary: "Summary") -> list[str]:
    """What a multiplying network does after taking the logarithm; the bound is from Zhong et al. 2023.

    A pizza's logits fade. Logits that do not are those of a clock, but other networks have them too.
    """
    distance = summary.values.get("distance_irrelevance")
    if not summary.logarithmic or distance is None or summary.values["logit_fve_class_centred"] < EXPLAINED:
        return []
    likeness = "is like a clock" if distance > PIZZA_DISTANCE else "is a pizza"
    return [
        f"It {likeness} in discrete-log space: it adds logarithms as angles, and the right logit has a "
        f"distance irrelevance of {distance:z.2f} (a pizza's is {PIZZA_DISTANCE} or less)."
    ]


def _evidence(summary: "Summary") -> str:
    values = summary.values
    where = "train" if "excluded_loss_train" in values else "all"
    inputs = {"train": "the train inputs", "all": "all inputs"}[where]
    return (
        f"The {_key_word(summary)} alone {_plural(summary, 'have', 'has')} a loss of "
        f"{values['restricted_loss_all']:z.2g} nats over all inputs (the whole network: {values['loss_all']:z.2g}); "
        f"without {_plural(summary, 'them', 'it')}, the loss on {inputs} is {values[f'excluded_loss_{where}']:z.3g} "
        f"(guessing: {GUESSING.at(values['n_classes']):z.2f})."
    )


def _killed(summary: "Summary") -> list[str]:
    """Effect of removing the keys at each site: one sentence for sites where it kills the network, one for the
    others."""
    removed = [ablation for ablation in summary.ablations if not ablation.keep]
    killing = [ablation for ablation in removed if ablation.accuracy < ablation.accuracy_before / 2]
    harmless = [ablation for ablation in removed if ablation not in killing]
    effects = (("kills the network", killing), ("does not kill the network", harmless))
    return [_removal(summary, effect, ablations) for effect, ablations in effects if ablations]


def _removal(summary: "Summary", effect: str, ablations: list[Ablation]) -> str:
    sites = _either([f"the {_PLACES[ablation.site]}" for ablation in ablations])
    accuracies = _either([f"{ablation.accuracy:z.2%}" for ablation in ablations])
    return (
        f"Removing {_plural(summary, 'them', 'it')} from {sites} {effect}: accuracy goes from "
        f"{ablations[0].accuracy_before:z.2%} to {accuracies}."
    )


def _either(items: list[str]) -> str:
    return " or ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def _key_word(summary: "Summary") -> str:
    return f"key {_plural(summary, _PLURALS[summary.what], summary.what)}"


def _plural(summary: "Summary", many: str, one: str) -> str:
    return many if len(_used(summary)) > 1 else one


def _used(summary: "Summary") -> list[Label]:
    """The keys that the numbers refer to: given or found."""
    return summary.values["key_frequencies"]


_PLURALS = {"frequency": "frequencies", "irrep": "irreps", "subset": "subsets"}
_PLACES: dict[Site, str] = {"embed": "embedding", "neurons": "neurons", "logits": "logits"}
