"""Writes the page: headline numbers, sections, figures and the plotting library in one file."""

import json
from math import log
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from mechgrok.activations import ActivationGrid
from mechgrok.analysis.summary import Summary
from mechgrok.report.parts import Section, number, percent
from mechgrok.report.sections import History, sections_of
from mechgrok.storage import write_text

MOST_NAMED = 8
"""Keys that the headline names; more are counted."""


def write_report(
    path: Path | str,
    grid: ActivationGrid,
    summary: Summary,
    history: History | None = None,
    title: str | None = None,
) -> Path:
    """Write a page about a network that opens in any browser, offline.

    Args:
        path: the HTML file; replaced if it exists.
        grid: the network on all inputs, with the neurons cached.
        summary: what `summarize` says about it.
        history: rows with step, loss_train, loss_test, accuracy_train, accuracy_test, as far as known;
            without them the page has no learning curves.
        title: heading of the page.

    Returns:
        The path.

    Raises:
        CheckpointError: the file cannot be written.

    >>> import tempfile
    >>> from mechgrok import cache_grid, summarize
    >>> from mechgrok.models.constructed import cosine_network
    >>> grid = cache_grid(cosine_network(7, {2: 9.0}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_report(f"{folder}/report.html", grid, summarize(grid)).read_text(encoding="utf-8")
    >>> "by the key frequency 2" in page
    True
    """
    path = Path(path)
    verb = "How a network computes" if summary.generalised else "A network that learns"
    sections = list(sections_of(grid, summary, history or ()))
    html = _environment().get_template("report.html.jinja").render(
        title=title or f"{verb} {summary.answer}",
        facts=[
            summary.task,
            f"{grid.task.n_classes} answers",
            f"{grid.task.n_inputs:,} inputs",
            summary.layout,
        ],
        verdict=summary.verdict,
        headlines=_headlines(summary),
        sections=sections,
        figures=_embedded(sections),
        plotly=Markup(get_plotlyjs()),
    )  # fmt: skip
    write_text(path, html)
    return path


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("mechgrok", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _embedded(sections: list[Section]) -> Markup:
    """All figures by id, as the text of a script element."""
    figures = {panel.id: panel.data for section in sections for panel in section.panels}
    # Only "</script" and "<!--" end such a text early; without "<" there is neither.
    return Markup(json.dumps(figures, separators=(",", ":")).replace("<", "\\u003c"))


def _headlines(summary: Summary) -> list[tuple[str, str, str]]:
    """Name, value and remark of the numbers at the top."""
    v = summary.values
    guessing = f"guessing {number(log(v['n_classes']))}"
    if "accuracy_test" in v:
        cards = [
            ("Test accuracy", percent(v["accuracy_test"]), f"train {percent(v['accuracy_train'])}"),
            ("Test loss", number(v["loss_test"]), f"nats; train {number(v['loss_train'])}, {guessing}"),
        ]
    else:
        cards = [
            ("Accuracy", percent(v["accuracy_all"]), "over all inputs"),
            ("Loss", number(v["loss_all"]), f"nats, over all inputs; {guessing}"),
        ]
    cards.append(("Keys", _named(v["key_frequencies"]), f"found in the {summary.keys.method}"))
    if v["key_frequencies"]:
        where = "train" if "excluded_loss_train" in v else "all"
        cards += [
            (
                "Logits explained",
                percent(v["logit_fve_class_centred"]),
                "by the keys; centred over the answers",
            ),
            ("Restricted loss", number(v["restricted_loss_all"]), "nats; the keys alone, all inputs"),
            ("Excluded loss", number(v[f"excluded_loss_{where}"]), f"nats; without the keys, {where} inputs"),
        ]
    if summary.neurons is not None:
        pure = f"with {summary.neurons.threshold:.0%} of their variance in one block"
        cards.append(("Tuned neurons", f"{v['neurons_decided']} of {v['neurons']}", pure))
    return cards


def _named(keys: list[int | str]) -> str:
    if len(keys) > MOST_NAMED:
        return f"{len(keys)} keys"
    return ", ".join(map(str, keys)) or "none"
