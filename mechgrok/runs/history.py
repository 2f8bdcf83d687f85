"""The history of a run on disk: a line for each evaluation, and a chain of digests through all lines.

Each line ends with the digest of its row and of the line before, so that a line that is missing, doubled, swapped or
edited breaks the chain. The newest checkpoint and the state note the digest of the last line that
they follow from, so that lines missing at the end are noticed too.
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
"""What every row of a history has, beside its scores: accuracies of classes, or r2 of values."""
DIGEST, LENGTH = "digest", 16
"""Where a line holds its digest, and how many hexadecimal digits it has."""
LONGEST_LINE = 2048
"""Bytes of a line, at most."""


@dataclass(frozen=True)
class History:
    """The rows of a history, and the digest of each where it has them."""

    rows: list[HistoryRow]
    digests: list[str]


def read_history(file: Path, run: str | None, eval_every: int) -> History:
    """A history; a last line that was cut off is dropped.

    Args:
        run: name of the run, with which the chain of digests begins; None for a history without digests, in which
            the order of steps is looked at.

    Raises:
        CheckpointError: a line is damaged, or missing, doubled, swapped or edited.
    """
    # What follows the last end of a line is a row that was cut off, or nothing.
    lines = read_file(file).split(b"\n")[:-1] if file.exists() else []
    rows = [_row(file, number, line) for number, line in enumerate(lines, 1)]
    if run is None:
        _check_steps(file, rows, eval_every)
        return History(rows, [])
    return History(rows, _check_chain(file, rows, run))


def append_row(file: Path, row: HistoryRow, run: str | None) -> None:
    """Add a row; its digest follows from the last line alone."""
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
    """The digest that the next row follows from: of the last line, or the name of the run for the first."""
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
    """Of a history without digests: steps ascend, and no evaluation that was due is missing."""
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
