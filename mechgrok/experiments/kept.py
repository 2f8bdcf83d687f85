"""The folder for the runs of a reproduction, so that a second call resumes where the first was stopped."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_PLACE: ContextVar[Path | None] = ContextVar("place", default=None)


@contextmanager
def kept_in(place: Path | None) -> Iterator[None]:
    """Within the context, the runs of protocols are kept in a folder, and resumed from it; None keeps none."""
    token = _PLACE.set(place)
    try:
        yield
    finally:
        _PLACE.reset(token)


def place() -> Path | None:
    """The folder of the current context, to be passed to another process."""
    return _PLACE.get()


def folder_for(name: str, *what: Any) -> Path | None:
    """A separate folder for one or several runs; None if nothing is kept.

    Args:
        name: the readable beginning of the folder's name.
        what: everything that determines the run, as JSON values; any difference gives a different folder.

    >>> from pathlib import Path
    >>> with kept_in(Path("runs")):
    ...     folder_for("x/y mod 97", {"lr": 0.1}, 0).as_posix()
    'runs/x_y_mod_97-7b46151e'
    """
    kept = place()
    if kept is None:
        return None
    text = json.dumps(what, sort_keys=True)
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]
    return kept / f"{re.sub(r'[^A-Za-z0-9.+-]+', '_', name)[:60]}-{digest}"


def weights_digest(weights: Mapping[str, Any] | None) -> str | None:
    """A digest of the weights that a run starts from."""
    from mechgrok.storage import digest

    return None if weights is None else digest(dict(weights))
