"""All figures of a run or of a network, by the name of the file that each is written to."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import plotly.graph_objects as go

from mechgrok.activations import ActivationGrid, as_grid
from mechgrok.analysis.algorithms import classify_algorithm
from mechgrok.analysis.summary import Summary, summarize
from mechgrok.errors import CheckpointError, ConfigError, UndefinedMetricError
from mechgrok.loading import load_model
from mechgrok.plots.ablations import ablation_effects
from mechgrok.progress import progress_measures
from mechgrok.report.film import choose_steps
from mechgrok.report.network import learning_curves
from mechgrok.report.portrait import choose_portrait
from mechgrok.runs import Run, load_run
from mechgrok.shipped import folder_or_shipped
from mechgrok.storage import check_writable

MOST_MEASURED = 100
"""Checkpoints that the progress measures are taken at."""
SCALE = 2
"""Pixels of a PNG for each of the figure's."""

Named = Iterator[tuple[str, go.Figure]]


def draw_all(path: Path, step: int | None) -> Named:
    """Figures of the training, where there is one, then of the network.

    Raises:
        CheckpointError: there is nothing at the path, or nothing that can be read.
    """
    if folder_or_shipped(path).is_dir():
        run = load_run(path)
        grid, split = run.grid(step), run.split
        yield from _of_training(run)
    else:
        run, grid, split = None, as_grid(load_model(path, step)), None
    yield from _of_network(grid, summarize(grid, split))


def write_figure(figure: go.Figure, file: Path) -> None:
    """Write a figure in the format that the ending of the file names.

    Raises:
        CheckpointError: the file cannot be written.
        ConfigError: an image, and no browser that could draw it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    check_writable(file)
    ending = file.suffix.lstrip(".")
    try:
        if ending == "html":
            figure.write_html(file, include_plotlyjs=True)
        elif ending == "json":
            figure.write_json(file)
        else:
            figure.write_image(file, scale=SCALE if ending == "png" else 1)
    except OSError as error:
        raise CheckpointError(f"cannot write {file}: {error}") from error
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"cannot draw {file}: {str(error)[:300]}. Images are drawn by kaleido with Chrome or Chromium; --formats "
            "html json needs neither"
        ) from error


def _of_training(run: Run) -> Named:
    for place, figure in learning_curves(run.history, run.task.n_classes).items():
        yield f"training-{place}", figure
    if len(run.steps) > 1:
        steps = choose_steps(run.steps, run.history, MOST_MEASURED)
        table = progress_measures(run, steps=steps, progress=False)
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
    with suppress(UndefinedMetricError):  # nothing was measured that speaks for clock or pizza
        yield "algorithm", classify_algorithm(grid).figure()
