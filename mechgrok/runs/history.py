"""The history of a run on disk: one line per evaluation, and a chain of digests through all lines.

Each line ends with the digest of its row and of the preceding line, so that a missing, duplicated, swapped or
edited line breaks the chain. The newest checkpoint and the state record the digest of the last line that they
follow, so that lines missing at the end are noticed too.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from mechgrok.runs.seals import damaged, parse_json, read_file
from mechgrok.storage import json_digest, write_text

HistoryRow = dict[str, int | float | None]
MEASURES = ("step", "loss_train", "loss_test", "sum_squared_weights")
"""Fields of every row besides its scores: accuracies for classes, or r2 for values."""
DIGEST, LENGTH = "digest", 16
"""Key of the digest in a line, and its number of hexadecimal digits."""
LONGEST_LINE = 2048
"""Maximum number of bytes in a line."""


@dataclass(frozen=True)
class History:
    """The rows of a history, and the digest of each if it has digests."""

    rows: list[HistoryRow]
    digests: list[str]


def read_history(file: Path, run: str | None, eval_every: int) -> History:
    """Read a history; a truncated last line is dropped.

    Args:
        run: name of the run, with which the chain of digests begins; None for a history without digests, whose
            order of steps is checked instead.

    Raises:
        CheckpointError: a line is damaged, missing, duplicated, swapped or edited.
    """
    # Anything after the last newline is a truncated row.
    lines = read_file(file).split(b"\n")[:-1] if file.exists() else []
    rows = [_row(file, number, line) for number, line in enumerate(lines, 1)]
    if run is None:
        _check_steps(file, rows, eval_every)
        return History(rows, [])
    return History(rows, _check_chain(file, rows, run))


def append_row(file: Path, row: HistoryRow, run: str | None) -> None:
    """Append a row; its digest depends only on the last line."""
    line = dict(row) if run is None else {**row, DIGEST: _link(last_digest(file, run), row)}
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(line) + "\n")


def rewrite(file: Path, rows: Sequence[HistoryRow], run: str | None) -> None:
    """Write a whole history."""
    lines, before = [], run
    for row in rows:
        before = None if before is None else _link(before, row)
        lines.append(json.dumps(row if before is None else {**row, DIGEST: before}) + "\n")
    write_text(file, "".join(lines))


def last_digest(file: Path, run: str) -> str:
    """The digest that the next row follows: that of the last line, or the name of the run for the first."""
    if not file.exists():
        return run
    with file.open("rb") as opened:
        opened.seek(max(0, opened.seek(0, os.SEEK_END) - LONGEST_LINE))
        lines = opened.read().split(b"\n")[:-1]
    if not lines:
        return run
    last = parse_json(file, lines[-1])
    return str(last.get(DIGEST)) if isinstance(last, dict) else run


def _row(file: Path, number: int, line: bytes) -> HistoryRow:
    """One line, numbered from 1."""
    row = parse_json(file, line, f"line {number}: ")
    if (
        not isinstance(row, dict)
        or not _is_whole(row.get("step"))
        or not all(name in row for name in MEASURES)
        or not all(isinstance(v, int | float | None) for name, v in row.items() if name != DIGEST)
    ):
        raise damaged(file, f"line {number} is {str(row)[:200]}, no evaluation with {', '.join(MEASURES)}")
    return row


def _check_chain(file: Path, rows: Sequence[HistoryRow], run: str) -> list[str]:
    """Take the digests out of the rows, and compare them."""
    digests: list[str] = []
    for number, row in enumerate(rows, 1):
        found = row.pop(DIGEST, None)
        digests.append(_link(digests[-1] if digests else run, row))
        if found != digests[-1]:
            raise damaged(
                file,
                f"line {number} (step {row['step']}) does not follow from the lines before it: a line was edited, is "
                "missing, doubled or in another place, or the history is that of another run",
            )
    return digests


def _check_steps(file: Path, rows: Sequence[HistoryRow], eval_every: int) -> None:
    """Check a history without digests: steps must ascend, and no due evaluation may be missing."""
    steps = [int(row["step"] or 0) for row in rows]
    for number, (before, step) in enumerate(pairwise(steps), 2):
        if step <= before:
            raise damaged(file, f"line {number} is step {step} after step {before}")
    due = range(0, steps[-1] + 1, eval_every) if steps else ()
    missing = next((step for step in due if step not in set(steps)), None)
    if missing is not None:
        raise damaged(
            file, f"the evaluation of step {missing} is missing; there is one every {eval_every} steps"
        )


def _link(before: str, row: HistoryRow) -> str:
    return json_digest([before, row])[:LENGTH]


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
