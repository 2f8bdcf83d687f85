"""Reproductions of published results: a protocol for each, and a table of published and measured numbers."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mechgrok.experiments.kept import kept_in
from mechgrok.registry import Registry

Number = int | float

RECORDS = Path(__file__).parent / "records"
"""Recorded outcomes, one JSON file per reproduction."""


def distance(published: Number | None, measured: Number | None) -> float | None:
    """The difference of two numbers as a share of the first; undefined for a first number of 0, except 0 itself.

    >>> distance(4, 5), distance(0, 0), distance(0, 1), distance(None, 1)
    (0.25, 0.0, None, None)
    """
    if published is None or measured is None or (published == 0 and measured != 0):
        return None
    return 0.0 if measured == published else (measured - published) / abs(published)


@dataclass(frozen=True)
class Row:
    """A published number next to ours.

    Attributes:
        quantity: what was measured, with its unit.
        published: as in the source; None if the source states it only in words.
        measured: ours; None if it never happened within the budget.
        low, high: bounds, inclusive, within which ours reproduces the published result; None for no bound.
    """

    quantity: str
    published: Number | None
    measured: Number | None
    low: Number | None = None
    high: Number | None = None

    @property
    def distance(self) -> float | None:
        """The deviation of ours from the published number, as a share of the latter; None if either is missing.

        >>> Row("steps", 200, 230).distance
        0.15
        """
        return distance(self.published, self.measured)

    @property
    def bounded(self) -> bool:
        """Whether there is a bound; a row without one gives a number but no verdict."""
        return self.low is not None or self.high is not None

    @property
    def holds(self) -> bool:
        """Whether the measured number lies within the bounds, which is always true if there are none."""
        if self.measured is None:
            return False
        return (self.low is None or self.measured >= self.low) and (
            self.high is None or self.measured <= self.high
        )


@dataclass(frozen=True)
class Curve:
    """A line, or dots, in the figure of a reproduction.

    Attributes:
        panel: title of the part of the figure that it belongs to.
        name: name of the line in the legend.
        x, y: its points; None leaves a gap.
        x_title, y_title: titles of the axes of the panel, with units.
        dots: whether points are not connected by a line, as for published numbers.
        logarithmic: whether the panel has a logarithmic y axis.
        plane: whether x and y share one scale, and x is not a step.
    """

    panel: str
    name: str
    x: tuple[Number, ...]
    y: tuple[Number | None, ...]
    x_title: str = "step"
    y_title: str = "loss (nats)"
    dots: bool = False
    logarithmic: bool = False
    plane: bool = False


@dataclass(frozen=True)
class Outcome:
    """The outcome of a reproduction.

    Attributes:
        full: whether it ran at the paper's size.
        seconds: its duration.
        curves: the curves of its figure.
    """

    name: str
    citation: str
    full: bool
    seconds: float
    rows: tuple[Row, ...]
    curves: tuple[Curve, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every row with bounds lies within its bounds."""
        return all(row.holds for row in self.rows if row.bounded)

    def to_json(self) -> dict[str, Any]:
        """The outcome as plain JSON values."""
        rows = [{**asdict(row), "holds": row.holds} for row in self.rows]
        return {**asdict(self), "rows": rows, "holds": self.holds}


Protocol = Callable[[bool], Iterable[Row | Curve]]
"""Runs a protocol, at the paper's size if the argument is true, and yields its rows and the curves of its figure."""


@dataclass(frozen=True)
class Reproduction:
    """A published result and its protocol.

    Attributes:
        citation: paper and section.
        claim: the result in one sentence.
        cost: duration of the quick size on two cores.
        deviations: differences between the protocol and the paper's, and mistakes found in the source.
    """

    name: str
    citation: str
    claim: str
    cost: str
    deviations: tuple[str, ...]
    protocol: Protocol


REPRODUCTIONS: Registry[Reproduction] = Registry(
    "reproduction",
    home="mechgrok.experiments.catalogue",
    written_in=lambda found: found.protocol.__module__,
    of=Reproduction,
)
"""All reproductions by name: the catalogue's, then the user's."""


def reproduction(
    name: str, *, citation: str, claim: str, cost: str, deviations: Iterable[str] = ()
) -> Callable[[Protocol], Protocol]:
    """Register your own protocol under a name; used as a decorator.

    Raises:
        ConfigError: mechgrok itself has a reproduction with this name.
    """

    def register(protocol: Protocol) -> Protocol:
        REPRODUCTIONS[name] = Reproduction(name, citation, claim, cost, tuple(deviations), protocol)
        return protocol

    return register


def reproductions() -> dict[str, Reproduction]:
    """All reproductions, sorted by name.

    >>> "nanda2023-mainline" in reproductions()
    True
    """
    return dict(sorted(REPRODUCTIONS.items()))


def find_reproduction(name: str) -> Reproduction:
    """The reproduction with this name.

    Raises:
        ConfigError: there is none; the message lists the closest names.
    """
    return REPRODUCTIONS[name]


def run_reproduction(found: Reproduction, *, full: bool = False, out: str | Path | None = None) -> Outcome:
    """Run a reproduction and time it.

    Args:
        full: whether to run at the paper's size.
        out: folder for its runs, from which the same call resumes: finished runs are opened, interrupted ones
            continued. The reported time is then that of the last call. None keeps no runs.
    """
    started = time.monotonic()
    with kept_in(None if out is None else Path(out)):
        given = tuple(found.protocol(full))
    seconds = round(time.monotonic() - started, 1)
    rows = tuple(one for one in given if isinstance(one, Row))
    curves = tuple(one for one in given if isinstance(one, Curve))
    return Outcome(found.name, found.citation, full, seconds, rows, curves)


def recorded_outcome(name: str) -> dict[str, Any] | None:
    """The last recorded outcome of a reproduction; None if there is none."""
    file = RECORDS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
