"""Display of objects: as HTML tables in a notebook, and as pandas frames.

One base class gives both to results, runs, tasks, configurations and tables. The content of an object is a list
of records; by default its public fields, one per row. Everything is escaped, and neither pandas nor plotly is
imported until a frame is requested.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from html import escape
from importlib import import_module
from typing import Any, TypeVar

T = TypeVar("T")

Record = Mapping[str, Any]
MOST_ROWS = 24
"""Maximum number of rows of a table in a notebook; if there are more, the middle ones are left out."""
MOST_TEXT = 240
"""Maximum number of characters of one value."""


class Readable:
    """Base of objects that a notebook shows as a table and `frame` converts for pandas."""

    __slots__ = ()

    def records(self) -> list[dict[str, Any]]:
        """The content of this object, as rows with the same columns."""
        return [{"name": name, "value": value} for name, value in _public(self).items()]

    def shown(self) -> Sequence[Record]:
        """The records as a notebook shows them."""
        return self.records()

    def frame(self) -> Any:
        """The records as a pandas DataFrame.

        >>> from mechgrok import find_key_frequencies
        >>> from mechgrok.models.constructed import cosine_network
        >>> find_key_frequencies(cosine_network(7, {2: 5.0})).frame().columns.tolist()
        ['frequency', 'share', 'alignment', 'is_candidate', 'is_key']
        """
        return import_module("pandas").DataFrame.from_records(self.records())

    def _repr_html_(self) -> str:
        return html_table(self._title(), self.shown())

    def _title(self) -> str:
        text = str(self).split("\n", 1)[0]
        return text if len(text) <= MOST_TEXT else type(self).__name__


class Records(list[T], Readable):
    """A list of records, or of objects with one record each, displayed as a table."""

    def records(self) -> list[dict[str, Any]]:
        return [dict(row) if isinstance(row, Mapping) else _record(row) for row in self]

    def _title(self) -> str:
        return f"{len(self)} {'row' if len(self) == 1 else 'rows'}"


def html_table(title: str, records: Sequence[Record]) -> str:
    """A table for a notebook, in the notebook's own style.

    >>> html_table("a < b", [{"name": "x", "value": "<i>"}]).count("&lt;")
    2
    """
    columns = list(dict.fromkeys(name for record in records for name in record))
    names = "" if columns == ["name", "value"] else _row(columns, "th")
    body = "".join(
        _row([record.get(name) for name in columns] if record else ["…"] * len(columns), "td")
        for record in _shown(records)
    )
    head = f"<thead>{names}</thead>" if names else ""
    return f"<div><strong>{escape(title)}</strong><table>{head}<tbody>{body}</tbody></table></div>"


def value_text(value: Any) -> str:
    """Format a value in one short line.

    >>> value_text(0.000123456), value_text(None), value_text([1, 2]), value_text({"a": 1.0})
    ('0.0001235', '–', '1, 2', 'a: 1')
    """
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:z.4g}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{type(value).__name__} {list(value.shape)}, {value.dtype}"
    if isinstance(value, Mapping):
        text = ", ".join(f"{key}: {value_text(item)}" for key, item in _first(value.items()))
    elif isinstance(value, tuple | list | set | frozenset):
        text = ", ".join(value_text(item) for item in _first(value))
    else:
        text = str(value)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"


def _first(items: Iterable[T]) -> list[T]:
    """As many items as could be shown."""
    return [item for item, _ in zip(items, range(MOST_TEXT), strict=False)]


def _public(thing: Any) -> dict[str, Any]:
    """The public fields of a dataclass, a configuration or any other object."""
    if is_dataclass(thing):
        names: Iterable[str] = (field.name for field in fields(thing))
    else:
        names = getattr(type(thing), "model_fields", None) or getattr(thing, "__dict__", {})
    return {
        name: getattr(thing, name)
        for name in names
        if not name.startswith("_") and not callable(getattr(thing, name))
    }


def _record(thing: Any) -> dict[str, Any]:
    """The object as one row of a table."""
    return thing.record() if hasattr(thing, "record") else _public(thing)


def _shown(records: Sequence[Record]) -> list[Record]:
    """The first and the last records, with an empty one in place of those in between."""
    if len(records) <= MOST_ROWS:
        return list(records)
    half = MOST_ROWS // 2
    return [*records[:half], {}, *records[-half:]]


def _row(cells: Iterable[Any], tag: str) -> str:
    style = ' style="text-align: left"'
    return f"<tr>{''.join(f'<{tag}{style}>{escape(value_text(cell))}</{tag}>' for cell in cells)}</tr>"
