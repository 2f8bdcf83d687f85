"""Printed form of a table: measures down the page, a few steps across it."""

from collections.abc import Mapping, Sequence

from mechgrok.algebra.bases import Label
from mechgrok.progress.columns import About, measure_of, part_of

SHOWN_STEPS = 7
"""Steps across the page; if there are more, the first, the last and some in between are shown."""
ARROWS = {"up": "↑", "down": "↓", None: ""}
NONE = "-"


def header_text(task: str, steps: Sequence[int], n_measures: int, keys: Sequence[Label] | None) -> str:
    """The table in one line.

    >>> header_text("add113", [0, 100, 200], 4, [14, 35])
    'ProgressTable(add113: 3 steps 0..200, 4 measures, keys 14, 35)'
    """
    listed = "keys " + ", ".join(map(str, keys)) if keys else "keys not known" if keys is None else "no keys"
    return f"ProgressTable({task}: {span_text(steps)}, {counted(n_measures, 'measure')}, {listed})"


def body_text(
    steps: Sequence[int], columns: Mapping[str, Sequence[int | float | None]], about: Mapping[str, About]
) -> str:
    """One line per column, parts indented below their measure."""
    shown = shown_rows(len(steps))
    lines = [["", "", *(str(steps[i]) for i in shown)]]
    for name, values in columns.items():
        measure, part = measure_of(name), part_of(name)
        title = f"{measure} {ARROWS[about[measure].direction]}".rstrip()
        if part is not None and not any(line[0] == title for line in lines):
            lines.append([title, about[measure].unit, *[""] * len(shown)])
        head = [title, about[measure].unit] if part is None else [f"  {part}", ""]
        lines.append([*head, *(number_text(values[i]) for i in shown)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [
                cell.ljust(w) if i < 2 else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(line, widths, strict=True))
            ]
        ).rstrip()
        for line in lines
    )


def reasons_text(undefined: Mapping[str, Mapping[int, str]], n_steps: int) -> str:
    """Why values are missing; measures with the same reason at the same steps share a line."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for name, reasons in undefined.items():
        for reason in dict.fromkeys(reasons.values()):
            steps = [step for step, why in reasons.items() if why == reason]
            where = "at all steps" if len(steps) == n_steps else span_text(steps)
            grouped.setdefault((where, reason), []).append(name)
    return "\n".join(f"{NONE} {', '.join(names)} ({where}): {why}" for (where, why), names in grouped.items())


def span_text(steps: Sequence[int]) -> str:
    """The number of steps, and their range.

    >>> span_text([]), span_text([5]), span_text([5, 10])
    ('0 steps', 'step 5', '2 steps 5..10')
    """
    if len(steps) == 1:
        return f"step {steps[0]}"
    return counted(len(steps), "step") + (f" {steps[0]}..{steps[-1]}" if steps else "")


def counted(n: int, what: str) -> str:
    """A count with its noun.

    >>> counted(1, "measure"), counted(2, "measure")
    ('1 measure', '2 measures')
    """
    return f"{n} {what}{'' if n == 1 else 's'}"


def number_text(value: int | float | None) -> str:
    """A number in a few characters; None is a dash.

    >>> number_text(None), number_text(12), number_text(0.123456), number_text(2.4e-7)
    ('-', '12', '0.1235', '2.4e-07')
    """
    if value is None:
        return NONE
    return str(value) if isinstance(value, int) else f"{value:z.4g}"


def shown_rows(n: int, most: int = SHOWN_STEPS) -> list[int]:
    """Rows to show, evenly spread, including the first and the last.

    >>> shown_rows(3), shown_rows(101, most=5)
    ([0, 1, 2], [0, 25, 50, 75, 100])
    """
    if n <= most:
        return list(range(n))
    return [round(i * (n - 1) / (most - 1)) for i in range(most)]
