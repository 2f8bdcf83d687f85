"""Tables of numbers on disk, as CSV or Parquet, with a header that describes them."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.storage import replace_file, write_text

Number = int | float
Columns = dict[str, tuple[Number | None, ...]]
MARK = "mechgrok progress table"
"""Start of the first line of a CSV file, `# mechgrok progress table {...}`, and key of the header in Parquet."""
SUFFIXES = (".csv", ".parquet")


def write_table(
    path: Path, header: Mapping[str, Any], columns: Mapping[str, Sequence[Number | None]]
) -> Path:
    """Write columns of equal length atomically.

    Raises:
        ConfigError: a suffix other than .csv or .parquet; .parquet without pyarrow.
        CheckpointError: the file cannot be written.
    """
    _check_suffix(path)
    if path.suffix == ".parquet":
        _write_parquet(path, header, columns)
        return path
    lines = io.StringIO()
    lines.write(f"# {MARK} {json.dumps(header)}\n")
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(
        ["" if v is None else repr(v) for v in row] for row in zip(*columns.values(), strict=True)
    )
    write_text(path, lines.getvalue())
    return path


def read_table(path: Path) -> tuple[dict[str, Any], Columns]:
    """The header and the columns of a file.

    Raises:
        CheckpointError: there is no such file, it is damaged, or `write_table` did not write it.
    """
    _check_suffix(path)
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        return _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    except ConfigError:
        raise
    except Exception as error:  # damaged bytes can make the readers raise anything
        raise CheckpointError(f"{path} is damaged, or no table of mechgrok: {error}") from None


def _read_csv(path: Path) -> tuple[dict[str, Any], Columns]:
    first, _, rest = path.read_text(encoding="utf-8").partition("\n")
    mark = f"# {MARK} "
    if not first.startswith(mark):
        raise ValueError(f"its first line does not begin with {mark!r}")
    names, *rows = csv.reader(io.StringIO(rest))
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    read = {name: tuple(map(_number, texts)) for name, texts in zip(names, columns, strict=True)}
    return json.loads(first.removeprefix(mark)), read


def _number(text: str) -> Number | None:
    if not text:
        return None
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _write_parquet(path: Path, header: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> None:
    arrow, parquet = pyarrow()
    # Types are inferred from the values; a column without values has nothing to infer from.
    arrays = {
        name: arrow.array(v, arrow.float64() if all(x is None for x in v) else None)
        for name, v in columns.items()
    }
    table = arrow.table(arrays).replace_schema_metadata({MARK: json.dumps(header)})
    replace_file(path, lambda temporary: parquet.write_table(table, temporary))


def _read_parquet(path: Path) -> tuple[dict[str, Any], Columns]:
    _, parquet = pyarrow()
    table = parquet.read_table(path)
    header = (table.schema.metadata or {}).get(MARK.encode())
    if header is None:
        raise ValueError("it has no header of ours")
    return json.loads(header), {name: tuple(table[name].to_pylist()) for name in table.column_names}


def pyarrow() -> tuple[Any, Any]:
    """The library that reads and writes Parquet: pyarrow and its module for these files.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            "Parquet files need pyarrow, which mechgrok does not install: pip install pyarrow, or save as .csv"
        ) from None
    return pyarrow, pyarrow.parquet


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"a table is saved as {' or '.join(SUFFIXES)}; got {path.name!r}")
