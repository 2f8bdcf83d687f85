"""What happens to a member of a sweep after training: its outcome is recorded and its folder cleaned up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mechgrok.analysis.curves import stable_step
from mechgrok.analysis.milestones import GROKKED, kind_of_learning, milestones
from mechgrok.errors import UndefinedMetricError
from mechgrok.progress.compute import progress_measures
from mechgrok.runs import STATE, Run, load_run
from mechgrok.sweeps.settings import Setting
from mechgrok.sweeps.table import MemberRow, write_row

Keep = Literal["all", "last", "none"]


@dataclass(frozen=True)
class Finish:
    """Processes a trained run: measures it, writes its row, and deletes what is not to be kept.

    Attributes:
        setting: which member it is.
        measures: names of measures that the row has of the last checkpoint.
        keep: what is kept of the folder besides configuration, split, history and row.
    """

    setting: Setting
    measures: tuple[str, ...]
    keep: Keep

    def __call__(self, run: Run) -> None:
        """Measure, write the row, then clean up; in this order a kill loses nothing."""
        write_row(
            run.path, row_of(self.setting, run.path, outcome(run) | measured_at_the_end(run, self.measures))
        )
        clear(run.path, self.keep)


def row_of(setting: Setting, folder: Path, how: dict[str, Any], error: str | None = None) -> MemberRow:
    """Build the row of a member."""
    return MemberRow(setting.digest, folder.name, setting.record(), how, error)


def outcome(run: Run) -> dict[str, Any]:
    """Summarise a training from its history alone.

    `grokked` is the first step with 99% of the test inputs right, `grokked_for_good` the first from which it stays so.
    """
    history = run.history
    last = history[-1]
    row: dict[str, Any] = {"last_step": last["step"]}
    try:
        row["kind"] = kind_of_learning(history).kind
    except UndefinedMetricError:
        row["kind"] = None
    reached = milestones(history)
    row["grokked"] = reached.pop(f"accuracy_test >= {GROKKED:g}", None)
    row["grokked_for_good"] = stable_step(history, "accuracy_test", at_least=GROKKED)
    return row | reached | {name: value for name, value in last.items() if name != "step"}


def measured_at_the_end(run: Run, measures: Sequence[str]) -> dict[str, Any]:
    """Measures of the last checkpoint; None if a measure is undefined for this network."""
    if not measures:
        return {}
    table = progress_measures(run, list(measures), steps=[run.steps[-1]], progress=False)
    return {name: values[0] for name, values in table.columns.items()}


def clear(folder: Path, keep: Keep) -> None:
    """Delete the checkpoints that are not to be kept and the state for resuming; missing files are ignored."""
    if keep == "all" or not (folder / STATE).exists():
        return
    run = load_run(folder)
    kept = run.steps[-1:] if keep == "last" else ()
    for step in run.steps:
        if step not in kept:
            run.checkpoint(step).unlink()
    (folder / STATE).unlink()  # last: without it everything is cleared
