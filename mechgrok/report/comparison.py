"""The page that compares networks side by side: which algorithm each runs, and the figures that show why."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.analysis.frequencies import find_key_frequencies
from mechgrok.door import door
from mechgrok.errors import ActivationError, TaskError, UndefinedMetricError
from mechgrok.models.protocol import HookedModel
from mechgrok.plots.algorithms import AlgorithmComparison, compare_algorithms, named, surface_figure
from mechgrok.plots.curves import loss_curves, n_classes_of
from mechgrok.plots.spectra import norm_spectrum
from mechgrok.report.html import Page, write_page
from mechgrok.report.parts import FigureGroup, Panel, Section
from mechgrok.runs import Run


@door
def write_comparison(
    path: Path | str,
    sources: Mapping[str, Source] | Sequence[Source],
    comparison: AlgorithmComparison | None = None,
    title: str | None = None,
) -> Path:
    """Write a page that compares networks and opens in any browser, offline.

    It shows, side by side and with definitions, the verdict on each, clock or pizza, the measures behind it, the
    right answer's logit over distance and answer, the spectrum of each embedding, and for runs the loss curves.

    Args:
        path: the HTML file; replaced if it exists.
        sources: runs, networks or grids, by the names under which to show them; for a run, the newest network.
        comparison: the result of `compare_algorithms` for them; None computes it.
        title: heading of the page.

    Returns:
        The path.

    Raises:
        ConfigError: no network at all.
        CheckpointError: the file cannot be written; a run without a checkpoint.

    >>> import tempfile
    >>> from mechgrok.models.constructed import cosine_network, pizza_network
    >>> networks = {"A": pizza_network(7, {2: 9.0}), "B": cosine_network(7, {2: 9.0})}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_comparison(f"{folder}/pair.html", networks).read_text(encoding="utf-8")
    >>> "A: pizza" in page and "B: clock" in page
    True
    """
    sources = named(sources)
    grids = {name: as_grid(source) for name, source in sources.items()}
    comparison = comparison or compare_algorithms(grids)
    page = Page(
        title=title or f"{' and '.join(grids)} compared",
        facts=("clock or pizza",),
        verdicts=tuple(
            (f"{name}: {verdict.algorithm}", f"{verdict.reason}.")
            for name, verdict in comparison.verdicts.items()
        ),
        headlines=(),
        sections=tuple(_sections(sources, grids, comparison)),
    )
    return write_page(path, page)


def _sections(
    sources: Mapping[str, Source],
    grids: Mapping[str, ActivationGrid | HookedModel],
    comparison: AlgorithmComparison,
) -> Iterator[Section]:
    yield _measures(comparison)
    yield _surfaces(comparison)
    yield _spectra(grids)
    runs = {name: source for name, source in sources.items() if isinstance(source, Run)}
    if runs:
        yield _learning(runs)


def _measures(comparison: AlgorithmComparison) -> Section:
    rows = comparison.table
    names = [name for name in rows[0] if name not in ("network", "reason")]
    body = [(name.replace("_", " "), *(_cell(row[name]) for row in rows)) for name in names]
    return Section(
        "comparison",
        "The measures",
        "A dash stands for a measure that cannot be taken of this network.",
        table=(("", *(row["network"] for row in rows)), *body),
    )


def _surfaces(comparison: AlgorithmComparison) -> Section:
    section = ("surfaces", "The right answer's logit", "How sure the network is, over distance and answer.")
    drawable = {name: surfaces for name, surfaces in comparison.surfaces.items() if surfaces}
    if not drawable:
        return Section(*section, missing=("None of the networks has a sum or difference to look at.",))
    whole = [
        Panel(f"surface-{i}", surface_figure(surfaces[0]), "wide", f"{name}, the whole network")
        for i, (name, surfaces) in enumerate(drawable.items())
    ]
    alone = [
        Panel(f"circle-{i}", surface_figure(surfaces[1]), "wide", f"{name}, k = {surfaces[1].k} alone")
        for i, (name, surfaces) in enumerate(drawable.items())
        if len(surfaces) > 1
    ]
    caption = "A pizza has bands along the answer, for its logit follows the distance. A clock has none."
    groups = [FigureGroup(tuple(whole), caption)]
    if alone:
        groups.append(FigureGroup(tuple(alone), "The same for the strongest circle of each network alone."))
    without = [name for name in comparison.surfaces if name not in drawable]
    return Section(*section, tuple(groups), missing=tuple(f"{name} has no such picture." for name in without))


def _spectra(grids: Mapping[str, ActivationGrid | HookedModel]) -> Section:
    panels, missing = [], []
    for i, (name, source) in enumerate(grids.items()):
        try:
            grid = as_grid(source)
            drawn = norm_spectrum(grid, keys=find_key_frequencies(grid))
            panels.append(Panel(f"spectrum-{i}", drawn, "curve", name))
        except (ActivationError, TaskError, UndefinedMetricError) as error:
            missing.append(f"{name} has no spectrum: {error}.")
    groups = (FigureGroup(tuple(panels), "Keys in full colour."),) if panels else ()
    lead = "What each token embedding W_E is made of."
    return Section("spectra", "The embeddings", lead, groups, missing=tuple(missing))


def _learning(runs: Mapping[str, Run]) -> Section:
    panels = tuple(
        Panel(f"loss-{i}", loss_curves(run.history, n_classes=n_classes_of(run.task)), "curve", name)
        for i, (name, run) in enumerate(runs.items())
    )
    return Section("learning", "How they learned", "Loss over the steps.", (FigureGroup(panels, ""),))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{round(value, 3) + 0.0:z.3f}" if isinstance(value, float) else str(value)
