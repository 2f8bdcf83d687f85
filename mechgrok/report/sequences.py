"""The sections on a network that reads sequences: the loss of each position, its heads, and where they look."""

from collections.abc import Iterator

from mechgrok.analysis.heads import HeadScore, HeadScores
from mechgrok.measures.summary_sequences import KINDS, SequenceView
from mechgrok.plots.heads import head_map, position_map
from mechgrok.plots.positions import position_bars
from mechgrok.report.parts import FigureGroup, Panel, Section, Table
from mechgrok.wording import number, percent

MOST_HEADS = 16
"""Heads whose patterns are shown; of more, those with the highest scores."""
IN_A_ROW = 4
MOST_POSITIONS = 12
"""Positions in a table; of more, the figure has the numbers."""


def sequence_sections(view: SequenceView) -> Iterator[Section]:
    """A section for each part that the task and the network have."""
    if view.positions is not None:
        yield _positions(view)
    if view.heads is not None:
        yield _heads(view.heads)
        yield _attention(view)


def _positions(view: SequenceView) -> Section:
    found = view.positions
    assert found is not None
    rows = [(row["position"], number(row["loss"]), percent(row["accuracy"])) for row in found.records()]
    caption = (
        f"Over {found.n_inputs:,} inputs. The dotted line is guessing. {percent(found.exact_match)} of the inputs are "
        "answered rightly at all positions."
    )
    return Section(
        "positions",
        "Loss of each position",
        "The network answers at several positions of an input. Which of them it has learned shows one by one.",
        (FigureGroup((Panel("positions", position_bars(found), "wide"),), caption),),
        (("position", "loss (nats)", "accuracy"), *rows) if len(rows) <= MOST_POSITIONS else (),
    )


def _heads(scores: HeadScores) -> Section:
    panels = tuple(Panel(f"heads-{name}", head_map(scores, name), "measure") for name in scores.defined)
    even = ", ".join(f"{name.replace('_', ' ')} {percent(value)}" for name, value in scores.chance.items())
    caption = f"Over {scores.sequences}. Even attention would have: {even}."
    missing = tuple(
        f"There is no {name.replace('_', ' ')} score: {why}." for name, why in scores.undefined.items()
    )
    return Section(
        "heads",
        "Attention heads",
        "What share of its attention each head gives to the token before, to the same token, and to what followed that "
        "(induction); and whether it raises the logit of what it attends to (copying).",
        (FigureGroup(panels, caption, columns=2),),
        _table(scores),
        missing,
    )


def _table(scores: HeadScores) -> Table:
    kinds = {kind: {row.name for row in scores.found(name)} for name, kind, _ in KINDS}
    rows = [
        (
            row.name,
            *(percent(getattr(row, name)) for name in scores.defined if name != "copying"),
            *([f"{row.copying:z.2f}"] if row.copying is not None else []),
            ", ".join(kind for kind, names in kinds.items() if row.name in names),
        )
        for row in scores
    ]
    names = [name.replace("_", " ") for name in scores.defined]
    return (("head", *names, "kind"), *rows)


def _attention(view: SequenceView) -> Section:
    scores, mean = view.heads, view.attention
    assert scores is not None
    section = ("attention", "Where heads look")
    if mean is None:
        return Section(*section, "", missing=("The patterns could not be averaged.",))
    shown = sorted(scores.heads, key=_interest, reverse=True)[:MOST_HEADS]
    panels = tuple(
        Panel(
            f"attention-{row.name}",
            position_map(row.name, mean.patterns[row.layer, row.head]),
            "map",
            row.name,
        )
        for row in sorted(shown, key=lambda row: (row.layer, row.head))
    )
    left_out = len(scores) - len(shown)
    caption = (
        f"Mean over {mean.sequences}. Queries from top to bottom, keys from left to right, darker is more attention. "
        "A line below the diagonal is a head that looks back by a fixed distance; a column, one that looks at a fixed "
        "position."
        + (f" The {len(shown)} heads with the highest scores of {len(scores)}." if left_out else "")
    )
    return Section(
        *section,
        "The attention of each head from every position to every position, on average.",
        (FigureGroup(panels, caption, columns=IN_A_ROW),),
    )


def _interest(row: HeadScore) -> float:
    """How much a head is of some kind."""
    return max(value for name, _, _ in KINDS if (value := getattr(row, name)) is not None)
