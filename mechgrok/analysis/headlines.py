"""The top of a report, and what the command line prints: the numbers that say what was learned and how sure that is."""

from math import log

from mechgrok.analysis.summary import Summary
from mechgrok.wording import in_words, number, percent

MOST_NAMED = 8
"""Keys that the headline names; more are counted."""

Headline = tuple[str, str, str]
"""Name, value and remark of a number."""


def headlines(summary: Summary, algorithm: str) -> tuple[Headline, ...]:
    """The numbers at the top; `algorithm` is the verdict on clock or pizza."""
    cards = [*_results(summary), ("Keys", _named(summary), _evidence(summary))]
    if algorithm != "undetermined":
        cards.append(("Algorithm", algorithm, "clock or pizza, from several measures"))
    return (*cards, *_circuit(summary))


def _results(summary: Summary) -> list[Headline]:
    v, score = summary.values, summary.score
    shown = percent if score == "accuracy" else number
    unit = f"nats, guessing {number(log(v['n_classes']))}" if score == "accuracy" else "mean squared error"
    if f"{score}_test" not in v:
        return [
            (score.capitalize(), shown(v[f"{score}_all"]), "over all inputs"),
            ("Loss", number(v["loss_all"]), f"{unit}; over all inputs"),
        ]
    trained = f"{score}_train" in v  # a task with fresh inputs at every step has test inputs alone
    of_train = f"train {shown(v[f'{score}_train'])}" if trained else "held-out inputs"
    loss_of_train = f"; train {number(v['loss_train'])}" if trained else ""
    return [
        (f"Test {score}", shown(v[f"{score}_test"]), of_train),
        ("Test loss", number(v["loss_test"]), f"{unit}{loss_of_train}"),
    ]


def _circuit(summary: Summary) -> list[Headline]:
    v = summary.values
    cards = []
    if v["key_frequencies"]:
        where = "train" if "excluded_loss_train" in v else "all"
        explained = percent(v["logit_fve_class_centred"])
        cards += [
            ("Logits explained", explained, "by the keys; centred over the answers"),
            ("Restricted loss", number(v["restricted_loss_all"]), "nats; the keys alone, all inputs"),
            ("Excluded loss", number(v[f"excluded_loss_{where}"]), f"nats; without the keys, {where} inputs"),
        ]
    if summary.neurons is not None:
        pure = f"with {summary.neurons.threshold:z.0%} of their variance in one {summary.what}"
        cards.append(("Tuned neurons", f"{v['neurons_decided']} of {v['neurons']}", pure))
    return cards


def _named(summary: Summary) -> str:
    keys = summary.values["key_frequencies"]
    if len(keys) > MOST_NAMED:
        return in_words(len(keys), "key")
    return ", ".join(map(str, keys)) or "none"


def _evidence(summary: Summary) -> str:
    """How the keys were found, or why there are none."""
    if summary.keys.no_group:
        return "the task sits in no group"
    return summary.keys.reason or f"found in the {summary.keys.method}"
