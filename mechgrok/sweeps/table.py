"""The rows of a sweep on disk: one in each member's folder, and all of them in one Parquet table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mechgrok.errors import CheckpointError
from mechgrok.progress.files import pyarrow
from mechgrok.storage import replace_file, write_json

ROW, TABLE = "row.json", "table.parquet"
"""File names of a member's row, in its folder, and of the table next to the folders."""
MARK = b"mechgrok sweep"
"""Key of the Parquet metadata that says which columns are settings and which are outcomes."""


@dataclass(frozen=True)
class MemberRow:
    """One member of a sweep.

    Attributes:
        digest: of its whole configuration.
        folder: name of its folder.
        settings: task, recipe, seed, and the fields that vary.
        outcome: how it went; empty if it failed.
        error: why it failed; None if it did not.
    """

    digest: str
    folder: str
    settings: Mapping[str, Any]
    outcome: Mapping[str, Any]
    error: str | None = None

    def record(self) -> dict[str, Any]:
        """The settings and the outcome side by side."""
        return {**self.settings, **self.outcome, "error": self.error, "folder": self.folder}


def write_row(folder: Path, row: MemberRow) -> None:
    """Write the row of a member into its folder, atomically."""
    write_json(folder / ROW, asdict(row))


def read_row(folder: Path) -> MemberRow | None:
    """Read the row in a folder; None if it is missing or damaged, in which case it is made again."""
    try:
        row = MemberRow(**json.loads((folder / ROW).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return row if row.folder == folder.name else None


def write_sweep_table(path: Path, rows: Iterable[MemberRow]) -> None:
    """Write all rows into one Parquet file, atomically.

    Raises:
        ConfigError: pyarrow is not installed.
        CheckpointError: the file cannot be written.
    """
    rows = list(rows)
    settings = list(dict.fromkeys(name for row in rows for name in row.settings))
    outcomes = list(dict.fromkeys(name for row in rows for name in row.outcome))
    columns: dict[str, list[Any]] = {
        "digest": [row.digest for row in rows],
        "folder": [row.folder for row in rows],
    }
    columns |= {name: _one_type([row.settings.get(name) for row in rows]) for name in settings}
    columns |= {name: _one_type([row.outcome.get(name) for row in rows]) for name in outcomes}
    columns["error"] = [row.error for row in rows]
    arrow, parquet = pyarrow()
    table = arrow.table(columns).replace_schema_metadata({MARK: json.dumps([settings, outcomes])})
    replace_file(path, lambda temporary: parquet.write_table(table, temporary))


def read_rows(path: Path) -> dict[str, MemberRow]:
    """The rows of a table by digest; none if there is no table.

    Raises:
        CheckpointError: the file is damaged, or not the table of a sweep.
    """
    if not path.is_file():
        return {}
    _, parquet = pyarrow()
    try:
        table = parquet.read_table(path)
        settings, outcomes = json.loads(table.schema.metadata[MARK])
        records = table.to_pylist()
        rows = [
            MemberRow(
                record["digest"],
                record["folder"],
                _there(record, settings),
                _there(record, outcomes),
                record["error"],
            )
            for record in records
        ]
    except Exception as error:  # damaged bytes make the reader stumble over anything
        raise CheckpointError(
            f"{path} is damaged, or not the table of a sweep: {str(error)[:200]}. Delete it, and it is made again "
            "from the folders of the members"
        ) from None
    return {row.digest: row for row in rows}


def _there(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The outcomes of a failed member are missing, not None."""
    return {name: record[name] for name in names if record["error"] is None or record[name] is not None}


def _one_type(values: list[Any]) -> list[Any]:
    """Convert values for a column of numbers, strings or booleans, with None for missing ones."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or len(kinds) < 2:
        return [float(value) if float in kinds and value is not None else value for value in values]
    return [None if value is None else str(value) for value in values]
