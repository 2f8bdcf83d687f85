"""All figures of a run or a network, by the name of the file to which each is written."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import plotly.graph_objects as go
from plotly.io import write_images

from mechgrok.activations import ActivationGrid
from mechgrok.analysis.algorithms import classify_algorithm
from mechgrok.analysis.frequencies import keys_if_any
from mechgrok.analysis.phase_changes import find_phase_changes
from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.measures.summary import Summary, summarize
from mechgrok.measures.summary_sequences import NOTHING
from mechgrok.plots.ablations import ablation_effects
from mechgrok.plots.curves import n_classes_of
from mechgrok.progress import progress_measures
from mechgrok.report.film import choose_steps
from mechgrok.report.network import learning_curves
from mechgrok.report.portrait import choose_portrait
from mechgrok.runs import Run, readable_steps
from mechgrok.storage import check_writable, write_text

MOST_MEASURED = 100
"""Number of checkpoints at which the progress measures are taken."""
SCALE = 2
"""Pixels of a PNG per pixel of the figure."""
PANELS_WIDE = 1100
"""Width in pixels of a multi-panel figure without a width of its own."""
IMAGES = ("svg", "png", "pdf")
"""Formats that need a browser."""
WITHOUT = "--formats html json needs no browser"

Named = Iterator[tuple[str, go.Figure]]


def draw_all(source: Run | ActivationGrid, step: int | None) -> Named:
    """Draw the figures of the run, if there is one, then of the network.

    Unreadable checkpoints are skipped, with a warning for each.

    Raises:
        CheckpointError: there is no readable checkpoint, or none at this step.
    """
    if isinstance(source, Run):
        steps, left_out = readable_steps(source.steps, source.model)
        for line in left_out:
            warnings.warn(line, stacklevel=2)
        newest = source.grid(steps[-1] if steps else None)
        grid, split = newest if step is None else source.grid(step), source.split
        yield from _of_training(source, steps, newest)
    else:
        grid, split = source, None
    summary = summarize(grid, split)
    yield from _of_network(grid, summary)
    if isinstance(source, Run) and summary.sequence is not NOTHING:
        with suppress(UndefinedMetricError):  # too few evaluations
            yield "training-phase-changes", find_phase_changes(source.history).figure()


def write_figures(figures: Named, folder: Path, formats: Iterable[str]) -> int:
    """Write each figure in each format to a separate file; return the number of files.

    Images are drawn at the end, all by one browser, since starting one takes longer than drawing a figure.

    Raises:
        CheckpointError: a file cannot be written.
        ConfigError: the browser that draws images failed; in this case no image is written.
    """
    images: dict[str, go.Figure] = {}
    count = 0
    for name, figure in figures:
        for ending in formats:
            file = folder / f"{name}.{ending}"
            if ending in IMAGES:
                images[file.name] = figure
            else:
                text = figure.to_html(include_plotlyjs=True) if ending == "html" else figure.to_json()
                write_text(file, str(text))
            count += 1
    if images:
        _write_images(images, folder)
    return count


def check_browser(wanted: Iterable[str]) -> None:
    """Check, before the work rather than after it, that the software for drawing these formats is available.

    Raises:
        ConfigError: kaleido or the browser is missing.
    """
    formats = ", ".join(ending for ending in wanted if ending in IMAGES)
    if not formats:
        return
    try:
        from choreographer.browsers.chromium import Chromium  # pyright: ignore[reportMissingImports]

        import_module("kaleido")
    except ImportError:
        raise ConfigError(
            f"{formats}: images are drawn by kaleido, which is not installed: pip install 'mechgrok[png]'. {WITHOUT}"
        ) from None
    found = Chromium.find_browser(skip_local=False)
    if not found or not Path(found).is_file():
        raise ConfigError(
            f"{formats}: images are drawn by kaleido with Chrome or Chromium, and there is none"
            f"{f' at {found}' if found else ''}. Install one, or name one in the variable BROWSER_PATH; "
            f"kaleido_get_chrome fetches one. {WITHOUT}"
        )


def _write_images(images: dict[str, go.Figure], folder: Path) -> None:
    check_writable(folder / next(iter(images)))
    with TemporaryDirectory(dir=folder, prefix=".drawing-") as drawn:
        files = [Path(drawn) / name for name in images]
        sizes = [(_width(figure), figure.layout.height) for figure in images.values()]
        try:
            write_images(
                list(images.values()),
                list[str | Path](files),
                scale=[SCALE if file.suffix == ".png" else 1 for file in files],
                width=[width for width, _ in sizes],
                height=[height for _, height in sizes],
            )
        except Exception as error:  # the browser and its pipes may raise anything
            raise _failed(str(error.args[0] if error.args else type(error).__name__)) from error
        if missing := [file.name for file in files if not file.is_file()]:
            raise _failed(f"it left out {', '.join(missing)}")
        for file in files:
            file.replace(folder / file.name)


def _width(figure: go.Figure) -> int | None:
    """Adjacent panels need more than plotly's default width for their legends and axis titles."""
    return figure.layout.width or (PANELS_WIDE if len(list(figure.select_xaxes())) > 1 else None)


def _failed(how: str) -> ConfigError:
    return ConfigError(f"the browser that draws images failed: {how[:300]}. {WITHOUT}")


def _of_training(run: Run, steps: Sequence[int], newest: ActivationGrid) -> Named:
    for place, figure in learning_curves(run.history, n_classes_of(newest.task)).items():
        yield f"training-{place}", figure
    if len(steps) > 1:
        chosen = choose_steps(steps, run.history, MOST_MEASURED)
        keys = keys_if_any(newest).frequencies
        table = progress_measures(run, keys=keys, steps=chosen, progress=False)
        yield "training-phases", table.phases.figure()
        yield "training-measures", table.figure()


def _of_network(grid: ActivationGrid, summary: Summary) -> Named:
    for place, figure in choose_portrait(grid, summary).draw(grid).items():
        yield f"network-{place}", figure
    if not summary.keys.no_group:
        yield "keys", summary.keys.figure()
    if summary.neurons is not None:
        yield "neurons-tuned", summary.neurons.figure()
    if summary.fve is not None:
        yield "logits-explained", summary.fve.figure()
    if summary.ablations:
        yield "ablations", ablation_effects(summary.ablations, n_classes=grid.task.n_classes)
    seen = summary.sequence
    for name, result in {
        "positions": seen.positions,
        "heads": seen.heads,
        "attention": seen.attention,
    }.items():
        if result is not None:
            yield name, result.figure()
    with suppress(UndefinedMetricError):  # nothing was measured that indicates clock or pizza
        yield "algorithm", classify_algorithm(grid).figure()
