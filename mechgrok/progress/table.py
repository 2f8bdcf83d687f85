"""Table of measures over the checkpoints of a training run, one row per step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from mechgrok.algebra.bases import Label
from mechgrok.analysis.curves import Rows
from mechgrok.analysis.phase_changes import PhaseChanges, find_phase_changes
from mechgrok.analysis.phases import Phases, find_phases
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, shown
from mechgrok.progress.columns import About, measure_of, part_of
from mechgrok.progress.files import read_table, write_table
from mechgrok.progress.text import body_text, header_text, reasons_text, shown_rows
from mechgrok.spelling import closest, listed

Number = int | float
Row = dict[str, Number | None]
LOSSES = ("loss_train", "loss_test")
"""Losses without which there are no phases."""


@dataclass(frozen=True, eq=False)
class ProgressTable(Drawable):
    """Measures over checkpoints: `table["loss_test"]` is one column, `len(table)` the number of steps.

    A measure with several values has a column for each, such as `excluded_loss_per_key[14]`. An undefined value
    is None, and `undefined` gives the reason.

    Attributes:
        task: name of the task.
        steps: number of updates at each row, ascending.
        columns: columns by name, with one value per step.
        about: unit and direction of each measure.
        undefined: the reasons for missing values, by measure and step.
        keys: labels of the key blocks, those of the last checkpoint at all steps; None if they were not known.
        history: evaluations during training, from which the phases take losses that are not among the measures;
            not saved with the table.
    """

    task: str
    steps: tuple[int, ...]
    columns: Mapping[str, tuple[Number | None, ...]]
    about: Mapping[str, About]
    undefined: Mapping[str, Mapping[int, str]]
    keys: tuple[Label, ...] | None
    history: Rows = ()

    @staticmethod
    def of_rows(
        rows: Mapping[int, Mapping[str, Number | str]],
        about: Mapping[str, About],
        *,
        task: str,
        keys: Sequence[Label] | None,
    ) -> "ProgressTable":
        """Build a table from the measurements at each step: numbers by column, reasons by measure."""
        steps = tuple(sorted(rows))
        undefined = {
            name: {step: str(rows[step][name]) for step in steps if isinstance(rows[step].get(name), str)}
            for name in about
        }
        names = {name: [] for name in about}
        for step in steps:
            for column, value in rows[step].items():
                known = names[measure_of(column)]
                if not isinstance(value, str) and column not in known:
                    known.append(column)
        columns = {
            column: _one_type([rows[step].get(column) for step in steps])
            for name in about
            for column in names[name] or [name]
        }
        reasons = {name: why for name, why in undefined.items() if why}
        return ProgressTable(
            task, steps, columns, dict(about), reasons, None if keys is None else tuple(keys)
        )

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures."""
        return tuple(self.about)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, column: str) -> tuple[Number | None, ...]:
        """The values of a column, one per step.

        Raises:
            ConfigError: there is no column with this name.
        """
        if column not in self.columns:
            near = closest(column, self.columns, n=4, likeness=0.5)
            raise ConfigError(
                f"the table has no column {shown(column)}; it has {listed(near or self.columns)}"
            )
        return self.columns[column]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows())

    def rows(self) -> list[Row]:
        """One dictionary per step, with the `step` and a value or None for every column."""
        return [
            {"step": step, **{name: values[i] for name, values in self.columns.items()}}
            for i, step in enumerate(self.steps)
        ]

    def by_step(self) -> dict[int, dict[str, Number | str]]:
        """The input of `of_rows`: for each step, numbers by column and reasons by measure."""
        found: dict[int, dict[str, Number | str]] = {step: {} for step in self.steps}
        for i, step in enumerate(self.steps):
            for name, reasons in self.undefined.items():
                if step in reasons:
                    found[step][name] = reasons[step]
            found[step] |= {c: v for c, values in self.columns.items() if (v := values[i]) is not None}
        return found

    def parts(self, measure: str) -> dict[Label, tuple[Number | None, ...]]:
        """The columns of a measure with several values, by part: by key, or by tensor.

        Raises:
            ConfigError: the table has no such measure.
        """
        if measure not in self.about:
            raise ConfigError(f"the table has no measure {measure!r}; it has {', '.join(self.about)}")
        labels = {str(key): key for key in self.keys or ()}
        found = {part_of(c): c for c in self.columns if measure_of(c) == measure and part_of(c) is not None}
        return {labels.get(str(part), str(part)): self.columns[column] for part, column in found.items()}

    def select(
        self,
        *names: str,
        first: int | None = None,
        last: int | None = None,
        where: Callable[[Row], bool] | None = None,
    ) -> "ProgressTable":
        """Select some columns and some steps.

        Args:
            names: names of measures or columns, or patterns with * for any text; without names, every column is
                kept.
        first, last: inclusive bounds on the steps.
        where: predicate that selects rows.

        Raises:
            ConfigError: a name that matches no column.
        """
        columns = list(self.columns) if not names else [c for name in names for c in self._matching(name)]
        kept = [
            i
            for i, row in enumerate(self.rows())
            if (first is None or self.steps[i] >= first)
            and (last is None or self.steps[i] <= last)
            and (where is None or where(row))
        ]
        steps = tuple(self.steps[i] for i in kept)
        measures = dict.fromkeys(measure_of(column) for column in columns)
        undefined = {
            name: {step: reason for step, reason in self.undefined[name].items() if step in steps}
            for name in measures
            if name in self.undefined
        }
        return replace(
            self,
            steps=steps,
            columns={c: tuple(self.columns[c][i] for i in kept) for c in dict.fromkeys(columns)},
            about={name: self.about[name] for name in measures},
            undefined={name: reasons for name, reasons in undefined.items() if reasons},
        )

    @cached_property
    def phases(self) -> Phases:
        """Memorisation, circuit formation and cleanup, see `find_phases`.

        A loss that is not in the table comes from the run's own evaluations.

        Raises:
            UndefinedMetricError: there are no rows.
        """
        return find_phases(self._rows_with_losses())

    def phase_changes(self, column: str = "loss_test") -> PhaseChanges:
        """Where a column changes abruptly, see `find_phase_changes`.

        Raises:
            UndefinedMetricError: fewer than 5 rows have a value.
        """
        return find_phase_changes(self._rows_with_losses(), column)

    def _rows_with_losses(self) -> list[Row]:
        rows = {row["step"]: row for row in self.rows()}
        absent = [name for name in LOSSES if name not in self.columns]
        for evaluation in self.history if absent and rows else ():
            step = evaluation["step"]
            if self.steps[0] <= step <= self.steps[-1]:
                rows.setdefault(step, {"step": step}).update({name: evaluation.get(name) for name in absent})
        return sorted(rows.values(), key=lambda row: row["step"] or 0)

    def frame(self) -> Any:
        """A pandas DataFrame with the steps as its index; undefined values are missing, `pd.NA`."""
        import pandas as pd

        data = {
            name: pd.array(list(values), dtype="Int64" if _whole(values) else "Float64")
            for name, values in self.columns.items()
        }
        return pd.DataFrame(data, index=pd.Index(self.steps, name="step", dtype="int64"))

    def save(self, path: str | Path) -> Path:
        """Write to a .csv or .parquet file, which `load` reads back as the same table; return the path.

        Raises:
            ConfigError: an unsupported kind of file, or .parquet without pyarrow.
            CheckpointError: it cannot be written.
        """
        header = {
            "task": self.task,
            "keys": None if self.keys is None else list(self.keys),
            "about": {name: list(about) for name, about in self.about.items()},
            "undefined": [
                [n, step, why] for n, reasons in self.undefined.items() for step, why in reasons.items()
            ],
        }
        return write_table(Path(path), header, {"step": self.steps, **self.columns})

    @staticmethod
    def load(path: str | Path) -> "ProgressTable":
        """Read a table written by `save`.

        Raises:
            CheckpointError: there is no such file, or it was not written by `save`.
        """
        header, columns = read_table(Path(path))
        undefined: dict[str, dict[int, str]] = {}
        for name, step, reason in header["undefined"]:
            undefined.setdefault(name, {})[step] = reason
        steps = columns.pop("step")
        return ProgressTable(
            task=header["task"],
            steps=tuple(int(step) for step in steps if step is not None),
            columns=columns,
            about={name: About(*about) for name, about in header["about"].items()},
            undefined=undefined,
            keys=None if header["keys"] is None else tuple(header["keys"]),
        )

    def _matching(self, name: str) -> list[str]:
        found = [c for c in self.columns if name in (c, measure_of(c)) or fnmatchcase(c, name)]
        if not found:
            self[name]  # raises, with the closest matches
        return found

    def records(self) -> list[dict[str, Any]]:
        """One row per step."""
        return [dict(row) for row in self.rows()]

    def shown(self) -> list[dict[str, Any]]:
        """One row per column of the table, at some of the steps."""
        steps = shown_rows(len(self.steps))
        return [
            {"measure": name, "unit": self.about[measure_of(name)].unit}
            | {f"step {self.steps[i]}": values[i] for i in steps}
            for name, values in self.columns.items()
        ]

    def _title(self) -> str:
        return header_text(self.task, self.steps, len(self.about), self.keys)

    def __repr__(self) -> str:
        header = header_text(self.task, self.steps, len(self.about), self.keys)
        parts = [header, body_text(self.steps, self.columns, self.about)]
        return "\n".join([*parts, reasons_text(self.undefined, len(self.steps))]).rstrip()


def _whole(values: Sequence[Number | None]) -> bool:
    return all(isinstance(value, int) for value in values if value is not None) and any(
        value is not None for value in values
    )


def _one_type(values: Sequence[Any]) -> tuple[Number | None, ...]:
    """None for missing values; integers only if all values are integers."""
    numbers = [value if isinstance(value, int | float) else None for value in values]
    if _whole(numbers):
        return tuple(numbers)
    return tuple(None if value is None else float(value) for value in numbers)
