"""Suggestions for names that do not exist."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import accumulate
from typing import Any

from mechgrok.errors import shown

MOST_LISTED = 40
LONGEST_LIST = 500
"""Maximum number of names in a message, and of their characters; for the others it gives only their number."""


def closest(word: Any, known: Iterable[Any], n: int = 3, *, likeness: float = 0.6) -> list[str]:
    """The known names that resemble a word, best first, ignoring case.

    Args:
        n: maximum number of names.
        likeness: required similarity, from 0 to 1; less for paths, of which the word may be a part.

    >>> closest("trian", ["train", "analyze", "report"]), closest("xyz", ["train"])
    (['train'], [])
    """
    names = {name.lower(): name for name in map(str, known)}
    return [names[near] for near in get_close_matches(str(word).lower(), names, n=n, cutoff=likeness)]


def unknown(what: str, word: Any, known: Iterable[Any]) -> str:
    """The message for an unknown name: what may have been meant, and the known names.

    >>> unknown("recipe", "fst", ["fast", "nanda"])
    "unknown recipe 'fst' (did you mean fast?); allowed: fast, nanda"
    """
    names = list(map(str, known))
    near = closest(word, names)
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"unknown {what} {shown(word)}{meant}; allowed: {listed(names)}"


def listed(names: Iterable[str]) -> str:
    """Names separated by commas, as many as fit in a message, and the number of the others.

    >>> listed(["fast", "nanda"]), listed([]), listed(["a" * 300, "b" * 300])[300:]
    ('fast, nanda', 'none', ' and 1 more')
    """
    names = list(names)
    lengths = accumulate(len(name) + 2 for name in names)
    n_shown = min(MOST_LISTED, max(1, sum(length <= LONGEST_LIST for length in lengths)))
    more = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return (", ".join(names[:n_shown]) or "none") + more
