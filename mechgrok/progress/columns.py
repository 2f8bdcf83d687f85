"""Names of columns: a measure has one column under its name, or one for each of its parts."""

from typing import NamedTuple

from mechgrok.algebra.bases import Label


class About(NamedTuple):
    """What a table records about a measure.

    Attributes:
        unit: unit of the values.
        direction: how it moves as a network comes to generalise: "up", "down" or None.
    """

    unit: str
    direction: str | None


def column_name(measure: str, part: Label | None) -> str:
    """The column of a measure, or of one of its parts.

    >>> column_name("loss_test", None), column_name("excluded_loss_per_key", 14)
    ('loss_test', 'excluded_loss_per_key[14]')
    """
    return measure if part is None else f"{measure}[{part}]"


def measure_of(column: str) -> str:
    """The measure that a column belongs to.

    >>> measure_of("excluded_loss_per_key[14]")
    'excluded_loss_per_key'
    """
    return column.partition("[")[0]


def part_of(column: str) -> str | None:
    """The part that a column holds; None if the measure has one value.

    >>> part_of("excluded_loss_per_key[14]"), part_of("loss_test")
    ('14', None)
    """
    return column.partition("[")[2].removesuffix("]") or None
