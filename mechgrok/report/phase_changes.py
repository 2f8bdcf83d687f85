"""The phase changes of a run on its page: of the test loss, of the loss of each position, of its heads."""

from collections.abc import Iterator

from mechgrok.analysis.phase_changes import PhaseChange, PhaseChanges, find_phase_changes
from mechgrok.errors import UndefinedMetricError
from mechgrok.measures.registry import title_of
from mechgrok.plots.phase_changes import phase_change_figure
from mechgrok.progress import ProgressTable
from mechgrok.progress.columns import measure_of, part_of
from mechgrok.report.parts import FigureGroup, Panel, Section, Table
from mechgrok.runs import Run
from mechgrok.wording import in_words, number, percent

FOLLOWED = {"loss_per_position": 0.0, "induction_score": 0.05, "previous_token_score": 0.05}
"""Measures whose changes are listed beside that of the test loss, and the range below which one counts as flat: scores
of heads that do nothing of the kind ripple too."""
MOST_ROWS, MOST_NAMED = 40, 6


def phase_changes_of(run: Run, table: ProgressTable) -> tuple[PhaseChanges, ...]:
    """Of the test loss at the evaluations, and of some measures at the checkpoints, as far as there are enough rows."""
    columns = [column for column in table.columns if measure_of(column) in FOLLOWED]
    followed = [("loss_test", run.history), *((column, table.rows()) for column in columns)]
    found = []
    for name, rows in followed:
        try:
            found.append(find_phase_changes(rows, name, least=FOLLOWED.get(measure_of(name), 0.0)))
        except UndefinedMetricError:  # too few rows: nothing can be said
            continue
    return tuple(found)


def phase_change_section(found: tuple[PhaseChanges, ...]) -> Section:
    """The curve of the test loss with its phase changes, and all others in a table."""
    section = ("phase-changes", "Phase changes")
    if not found:
        return Section(
            *section, "", missing=("Too few evaluations to see a phase change: five or more are needed.",)
        )
    rows = [row for changes in found for row in _rows(changes)]
    lead = "Where a curve moves abruptly after it has moved slowly: what was not there before begins."
    loss = [Panel("phase-changes", phase_change_figure(found[0]), "wide")]
    none = [_title(changes) for changes in found if not changes.changes]
    more = f" and {len(none) - MOST_NAMED} more" if len(none) > MOST_NAMED else ""
    left = [f"And {in_words(len(rows) - MOST_ROWS, 'more change')}."] if len(rows) > MOST_ROWS else []
    return Section(
        *section,
        lead,
        (FigureGroup(tuple(loss), f"A window is shaded where {found[0].rule}."),),
        _table(rows[:MOST_ROWS]) if rows else (),
        (*left, *([f"No phase change: {', '.join(none[:MOST_NAMED])}{more}."] if none else [])),
    )


def _table(rows: list[tuple[str, ...]]) -> Table:
    return (("curve", "from step", "to step", "value before", "value after", "share of the range"), *rows)


def _rows(changes: PhaseChanges) -> Iterator[tuple[str, ...]]:
    for change in changes:
        yield (
            _title(changes),
            f"{change.start:,}",
            _end(change),
            number(change.before),
            number(change.after),
            percent(change.share),
        )


def _end(change: PhaseChange) -> str:
    return f"{change.end:,}" if change.over else "goes on"


def _title(changes: PhaseChanges) -> str:
    column = changes.curve.name
    part = part_of(column)
    return title_of(measure_of(column)) + (f": {part}" if part else "")
