"""Headline numbers of reports and the command line: what was learned, and with what certainty."""

from mechgrok.analysis.heads import HeadScoreName, HeadScores
from mechgrok.measures.references import GUESSING
from mechgrok.measures.registry import MEASURES, title_of
from mechgrok.measures.summary import Summary
from mechgrok.measures.summary_sequences import KINDS
from mechgrok.wording import in_words, number, percent

MOST_NAMED = 8
"""Number of keys that the headline names; if there are more, it gives their number."""

Headline = tuple[str, str, str]
"""Name, value and remark of a number."""


def headlines(summary: Summary, algorithm: str) -> tuple[Headline, ...]:
    """The numbers at the top; `algorithm` is the verdict on clock or pizza."""
    cards = [*_results(summary), *_of_sequence(summary)]
    if summary.sequence.heads is None:
        cards.append(("Keys", _named(summary), _evidence(summary)))
    if algorithm != "undetermined":
        cards.append(("Algorithm", algorithm, "clock or pizza, from several measures"))
    return (*cards, *_circuit(summary))


def _results(summary: Summary) -> list[Headline]:
    v, score = summary.values, summary.score
    shown = percent if score == "accuracy" else number
    unit = f"nats, {_guessing(summary)}" if score == "accuracy" else "mean squared error"
    if f"{score}_test" not in v:
        return [
            (
                title_of(f"{score}_all") if score == "accuracy" else "R2",
                shown(v[f"{score}_all"]),
                "over all inputs",
            ),
            (MEASURES["loss_all"].title, number(v["loss_all"]), f"{unit}; over all inputs"),
        ]
    trained = f"{score}_train" in v  # a task with fresh inputs at every step has only test inputs
    of_train = f"train {shown(v[f'{score}_train'])}" if trained else "held-out inputs"
    loss_of_train = f"; train {number(v['loss_train'])}" if trained else ""
    return [
        (MEASURES[f"{score}_test"].title, shown(v[f"{score}_test"]), of_train),
        (MEASURES["loss_test"].title, number(v["loss_test"]), f"{unit}{loss_of_train}"),
    ]


def _of_sequence(summary: Summary) -> list[Headline]:
    """What several positions have in common, and the heads of each kind that there are."""
    positions, heads = summary.sequence.positions, summary.sequence.heads
    cards = []
    if positions is not None:
        share = percent(positions.exact_match)
        cards.append((MEASURES["exact_match"].title, share, f"of {positions.n_inputs:,} inputs"))
    if heads is not None:
        cards += [card for kind in KINDS if (card := _of_kind(heads, *kind)) is not None] or [
            ("Heads", "none", f"of {len(heads)} is mainly of a known kind")
        ]
    return cards


def _of_kind(heads: HeadScores, name: HeadScoreName, kind: str, target: str) -> Headline | None:
    found = heads.found(name)
    if not found:
        return None
    names = ", ".join(row.name for row in found[:MOST_NAMED])
    most = percent(getattr(found[0], name))
    return f"{kind.capitalize()} heads", names, f"up to {most} of the attention to {target}"


def _headline(measure: str, value: str, remark: str) -> Headline:
    """A number under the title of its measure; unless the value is in percent, its unit precedes the remark."""
    known = MEASURES[measure]
    return known.title, value, remark if value.endswith("%") else f"{known.unit}{remark}"


def _guessing(summary: Summary) -> str:
    """The loss of a network that guesses."""
    return f"{GUESSING.case} {number(GUESSING.at(summary.values['n_classes']))}"


def _circuit(summary: Summary) -> list[Headline]:
    v = summary.values
    cards = []
    if v["key_frequencies"]:
        where = "train" if "excluded_loss_train" in v else "all"
        explained = percent(v["logit_fve_class_centred"])
        cards += [
            _headline("logit_fve", explained, "by the keys; centred over the answers"),
            _headline("restricted_loss", number(v["restricted_loss_all"]), "; the keys alone, all inputs"),
            _headline(
                "excluded_loss", number(v[f"excluded_loss_{where}"]), f"; without the keys, {where} inputs"
            ),
        ]
    if summary.neurons is not None:
        pure = f"with {summary.neurons.threshold:z.0%} of their variance in one {summary.what}"
        cards.append((MEASURES["neurons_decided"].title, f"{v['neurons_decided']} of {v['neurons']}", pure))
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
