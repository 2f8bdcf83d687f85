"""The report on one run or network: what was learned, with what certainty, how it came about, and the evidence."""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.analysis.algorithms import AlgorithmVerdict, classify_algorithm
from mechgrok.analysis.curves import History
from mechgrok.door import door
from mechgrok.errors import ConfigError, shown
from mechgrok.measures.headlines import headlines
from mechgrok.measures.summary import Summary, summarize
from mechgrok.opening import run_if_any
from mechgrok.plots.curves import n_classes_of
from mechgrok.report.checkpoints import shown_steps
from mechgrok.report.evidence import evidence_sections
from mechgrok.report.explanation import explanation_sections
from mechgrok.report.head_circuits import head_circuit_sections
from mechgrok.report.html import Page, write_page
from mechgrok.report.measures import measure_run
from mechgrok.report.network import learning_curves, network_section
from mechgrok.report.parts import Section, SliderSteps
from mechgrok.report.portrait import choose_portrait, film_of
from mechgrok.report.sequences import sequence_sections
from mechgrok.report.training import film_training
from mechgrok.runs import Run
from mechgrok.wording import in_words


@door
def write_report(
    path: Path | str,
    source: Source,
    summary: Summary | None = None,
    history: History | None = None,
    title: str | None = None,
) -> Path:
    """Write a page about a run or a network that opens in any browser, offline.

    The page of a run has a slider through its checkpoints, which moves together the position on the curves, the
    embedding spectrum, the embedding circles, some neurons and the logits in the basis of the task. If there are
    more than 40 checkpoints it shows a selection: some spread evenly over the steps, the others where the losses
    move most. For large groups there are fewer, so that the file stays below 15 MB.

    Args:
        path: the HTML file; replaced if it exists.
        source: a run, its name or its folder, shown with its newest network; or a network, its file, or its grid
            with the neurons cached.
        summary: the result of `summarize` for the network; None computes it.
        history: for a network, the rows of its training with step, loss_train, loss_test, accuracy_train,
            accuracy_test, as far as known; without them the page has no learning curves. A run has its own.
        title: heading of the page.

    Returns:
        The path.

    Raises:
        ConfigError: a history for a run; path and source swapped.
        CheckpointError: the file cannot be written; a run without a checkpoint that opens. If only some
            checkpoints are damaged, they are left out, and the page says so.

    >>> import tempfile
    >>> from mechgrok.models.constructed import cosine_network
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_report(f"{folder}/report.html", cosine_network(7, {2: 9.0})).read_text(encoding="utf-8")
    >>> "by the key frequency 2" in page
    True
    """
    if not isinstance(path, str | PathLike):
        file = shown(str(source)) if isinstance(source, str | PathLike) else "'report.html'"
        raise ConfigError(
            f"the path comes first: write_report({file}, ...), then the run or the network; got {shown(path)}"
        )
    source = run_if_any(source)
    if isinstance(source, Run):
        if history is not None:
            raise ConfigError(
                "a run has its own history; leave out history=..., or pass run.grid() for the network"
            )
        page = _page_of_run(source, summary, title)
    else:
        page = _page_of_network(as_grid(source), summary, history or (), title)
    return write_page(path, page)


def _page_of_run(run: Run, summary: Summary | None, title: str | None) -> Page:
    steps, warnings = shown_steps(run)
    grid = run.grid(steps[-1])
    summary = summary or summarize(grid, run.split)
    training = film_training(run, grid, summary, steps)
    curves = learning_curves(run.history, n_classes_of(grid.task))
    measures = measure_run(run, summary, training.checkpoints, steps) if training.checkpoints else None
    if measures:
        curves = measures.on(curves)
    network = network_section(grid, training.portrait, training.films, curves)
    moving = (network, *measures.sections) if measures else (network,)
    config = run.config.train
    facts = (
        f"recipe {config.recipe}",
        f"seed {run.config.seed}",
        f"trained on {_trained_on(run)} for {in_words(steps[-1], 'step')}",
    )
    shown = measures.checkpoints if measures else None
    return _page(grid, summary, title, facts, moving, shown, warnings)


def _trained_on(run: Run) -> str:
    share = run.split.train.double().mean().item()
    return f"{share:z.0%}" if share else "fresh inputs"


def _page_of_network(
    grid: ActivationGrid, summary: Summary | None, history: History, title: str | None
) -> Page:
    summary = summary or summarize(grid)
    portrait = choose_portrait(grid, summary)
    curves = learning_curves(history, n_classes_of(grid.task))
    network = network_section(grid, portrait, film_of([portrait.draw(grid)]), curves)
    return _page(grid, summary, title, (), (network,))


def _evidence(grid: ActivationGrid, summary: Summary, algorithm: AlgorithmVerdict) -> Iterator[Section]:
    """Positions and heads first; where these are all that there is to take apart, nothing of keys."""
    yield from sequence_sections(summary.sequence)
    if summary.sequence.heads is None:
        yield from evidence_sections(grid, summary, algorithm)
    yield from head_circuit_sections(grid)


def _page(
    grid: ActivationGrid,
    summary: Summary,
    title: str | None,
    facts: tuple[str, ...],
    moving: tuple[Section, ...],
    checkpoints: SliderSteps | None = None,
    warnings: tuple[str, ...] = (),
) -> Page:
    verb = "How a network computes" if summary.generalised else "A network that learns"
    algorithm = classify_algorithm(grid)
    classes = n_classes_of(grid.task)
    answers = "values" if classes is None else in_words(classes, "answer")
    sizes = (answers, in_words(grid.task.n_inputs, "input"))
    return Page(
        title=title or f"{verb} {summary.answer}",
        facts=(summary.task, *sizes, summary.layout, *facts),
        verdicts=(("", summary.verdict),),
        headlines=headlines(summary, algorithm.algorithm),
        first=tuple(explanation_sections(summary.explanation)),
        sections=tuple(_evidence(grid, summary, algorithm)),
        moving=moving,
        checkpoints=checkpoints,
        warnings=warnings,
    )
