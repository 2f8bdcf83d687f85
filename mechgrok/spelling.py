"""What was meant by a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from mechgrok.errors import shown

MOST_LISTED = 40
"""Names that a message lists; of more it gives the number of the others."""


def closest(word: Any, known: Iterable[Any], n: int = 3) -> list[str]:
    """The known names that look like a word, the best first; upper and lower case count as alike.

    >>> closest("trian", ["train", "analyze", "report"]), closest("xyz", ["train"])
    (['train'], [])
    """
    names = {name.lower(): name for name in map(str, known)}
    return [names[near] for near in get_close_matches(str(word).lower(), names, n=n, cutoff=0.6)]


def unknown(what: str, word: Any, known: Iterable[Any]) -> str:
    """The message for a name that does not exist: what it may have been, and what there is.

    >>> unknown("recipe", "fst", ["fast", "nanda"])
    "unknown recipe 'fst' (did you mean fast?); allowed: fast, nanda"
    """
    names = list(map(str, known))
    near = closest(word, names)
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"unknown {what} {shown(word)}{meant}; allowed: {', '.join(names[:MOST_LISTED]) or 'none'}{more}"
