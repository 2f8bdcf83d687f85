"""The sections on the formula of a network: how much it accounts for, what was predicted, and what each stage does."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mechgrok.activations import Source
from mechgrok.analysis.explanation import Explanation, explain as explain_network
from mechgrok.analysis.formula_text import Term
from mechgrok.analysis.predictions import Prediction
from mechgrok.analysis.stages import Stage
from mechgrok.door import door
from mechgrok.measures.headlines import formula_headlines
from mechgrok.plots.explanations import outcomes_figure, spare_margins_figure
from mechgrok.plots.phase_scatter import phases_figure
from mechgrok.report.html import Page, write_page
from mechgrok.report.parts import FigureGroup, Panel, Section, Table
from mechgrok.wording import in_words, number, percent


@door
def write_explanation(path: Path | str, source: Source | Explanation, title: str | None = None) -> Path:
    """Write a page that states a network as a formula, and shows what came of testing it; it opens offline.

    It has the formula with its terms and the explained share with its control, the interventions with what was
    predicted of them, the network with each stage replaced by its ideal, and the neurons as waves.

    Args:
        path: the HTML file; replaced if it exists.
        source: a network, a grid, a run, or the name or file of one; or what `explain` says about it.
        title: heading of the page.

    Returns:
        The path.

    Raises:
        NoGroupError: the task sits in no group.
        CheckpointError: the file cannot be written.

    >>> import tempfile
    >>> import mechgrok as mg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_explanation(f"{folder}/e.html", mg.cosine_network(7, {2: 9.0})).read_text(encoding="utf-8")
    >>> "9·cos(<i>w</i><sub>2</sub>(a+b−c)) + mean(c)" in page
    True
    """
    found = source if isinstance(source, Explanation) else explain_network(source)
    task = found.grid.task
    answer = task.frame.answer
    page = Page(
        title=title or f"{answer} as a formula",
        facts=(task.name, in_words(task.n_classes, "answer"), in_words(task.n_inputs, "input")),
        verdicts=(),
        headlines=formula_headlines(found),
        sections=tuple(explanation_sections(found, stages=True)),
    )
    return write_page(path, page)


def explanation_sections(explanation: Explanation | None, *, stages: bool = False) -> Iterator[Section]:
    """Formula and predictions; nothing for a task without a group.

    Args:
        stages: with the network run once for each stage that is replaced by its ideal, and the neurons as waves.
    """
    if explanation is None:
        return
    yield _formula(explanation)
    if explanation.interventions:
        yield _predictions(explanation)
    if stages and explanation.stages:
        yield _stages(explanation.stages)
    if stages and explanation.neurons is not None:
        yield _neurons(explanation)


def formula_rows(terms: Sequence[Term], what: str) -> Table:
    """A row for each key: its coefficients, how much they scatter over the inputs, and what they give of it."""
    fades = any(term.fading for term in terms)
    head = (
        {"frequency": "k"}.get(what, what),
        "A",
        *(("B, fading",) if fades else ()),
        "spread",
        "explained",
    )
    rows = [
        (
            str(term.label),
            number(term.amplitude),
            *((number(term.fading),) if fades else ()),
            number(term.spread),
            percent(term.explained),
        )
        for term in terms
    ]
    return (head, *rows)


def prediction_rows(made: Sequence[Prediction]) -> Table:
    """A row for each intervention: what was predicted, what came, the control, and whether it came true."""
    head = ("intervention", "value", "control", "came true", "predicted")
    rows = [
        (
            item.intervention,
            f"{item.value:z.3f}",
            "–" if item.control is None else f"{item.control:z.3f}",
            "yes" if item.came_true else "no",
            item.predicted,
        )
        for item in made
    ]
    return (head, *rows)


def stage_rows(stages: Sequence[Stage]) -> Table:
    """A row for each stage that was replaced by its ideal."""
    rows = [(s.stage, percent(s.accuracy), number(s.loss), percent(s.recovered)) for s in stages]
    return (("replaced by its ideal", "accuracy", "loss (nats)", "loss recovered"), *rows)


def _formula(found: Explanation) -> Section:
    if found.reason:
        return Section("formula", "The formula", f"There is none: {found.reason}.")
    control = found.control_share
    other = (
        ""
        if control is None
        else f"; with the same coefficients at other keys it would be {percent(control)}"
    )
    lead = (
        f"{found.formula}. Alone, this formula answers {percent(found.accuracy)} of the inputs rightly, and "
        f"{percent(found.agreement)} as the network does. It settles the answer to {percent(found.explained_share)} of "
        f"them, whatever else the network adds{other}."
    )
    caption = (
        "Each input by how far the margin of the formula exceeds twice the largest deviation of the network's logits "
        "from it. To the right of the line the formula alone decides."
    )
    panel = Panel("spare-margins", spare_margins_figure(found), "wide")
    return Section(
        "formula",
        "The formula",
        lead,
        (FigureGroup((panel,), caption),),
        formula_rows(found.fitted.terms, found.keys.what),
    )


def _predictions(found: Explanation) -> Section:
    made = found.interventions
    came = sum(item.came_true for item in made)
    return Section(
        "predictions",
        "Interventions, and what was predicted",
        f"What should happen if the formula is what the network does, said before it was done: {came} of "
        f"{in_words(len(made), 'prediction')} came true.",
        (
            FigureGroup(
                (Panel("outcomes", outcomes_figure(made), "wide"),),
                "Accuracy or R², blue where the prediction came true and red where it did not; in grey the control, in "
                "which the same is done to what should matter.",
            ),
        ),
        prediction_rows(made),
        tuple(f"{name[0].upper()}{name[1:]}: {why}." for name, why in found.left_out.items()),
    )


def _stages(stages: Sequence[Stage]) -> Section:
    return Section(
        "stages",
        "One stage after another",
        "What remains if a stage of the network is replaced by what it would ideally do: 100% of the loss recovered "
        "means that the replacement does no harm.",
        table=stage_rows(stages),
    )


def _neurons(found: Explanation) -> Section:
    neurons = found.neurons
    assert neurons is not None, "the caller asks for them"
    title = ("waves", "Neurons as waves")
    if found.phase_alignment is None:
        return Section(*title, "No neuron is a wave of one frequency in both operands.")
    panel = Panel("phases", phases_figure(neurons, kind="scatter"), "square")
    caption = (
        "The phases at which each neuron reads the two operands, by frequency. On the line they are equal, as wherever "
        "both operands share one embedding and equal attention."
    )
    lead = (
        f"{int(neurons.waves.sum())} of {in_words(len(neurons.share), 'neuron')} read one wave of each operand. Their "
        f"phase alignment is {found.phase_alignment:z.3f}: 1 if both operands are read at one phase, about 0 if the "
        "phases are independent."
    )
    return Section(*title, lead, (FigureGroup((panel,), caption),))
