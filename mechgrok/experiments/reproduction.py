"""Published results that can be run again: a protocol each, and a table of published against measured."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from mechgrok.errors import ConfigError

Number = int | float

RECORDS = Path(__file__).parent / "records"
"""Outcomes that were recorded, one JSON file for each reproduction."""
PROTOCOLS = (
    "chughtai2023",
    "furuta2024",
    "grokfast2024",
    "nanda2023",
    "nguyen2026",
    "power2022",
    "prieto2025",
    "zhong2023",
)
"""Modules of this package whose protocols are registered."""


@dataclass(frozen=True)
class Row:
    """One published number beside ours.

    Attributes:
        quantity: what was measured, with its unit.
        published: as the source has it; None where it says so in words alone.
        measured: ours; None where it never happened within the budget.
        low, high: bounds, inclusive, within which ours reproduces the published result; None for no bound.
    """

    quantity: str
    published: Number | None
    measured: Number | None
    low: Number | None = None
    high: Number | None = None

    @property
    def holds(self) -> bool:
        """Whether the measured number lies within the bounds."""
        if self.measured is None:
            return False
        return (self.low is None or self.measured >= self.low) and (
            self.high is None or self.measured <= self.high
        )


@dataclass(frozen=True)
class Outcome:
    """What a reproduction gave.

    Attributes:
        full: whether it ran at the paper's size.
        seconds: how long it took.
    """

    name: str
    source: str
    full: bool
    seconds: float
    rows: tuple[Row, ...]

    @property
    def holds(self) -> bool:
        """Whether every row holds."""
        return all(row.holds for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        rows = [{**asdict(row), "holds": row.holds} for row in self.rows]
        return {**asdict(self), "rows": rows, "holds": self.holds}


Protocol = Callable[[bool], Iterable[Row]]
"""Runs a result, at the paper's size if the argument is true, and gives its rows."""


@dataclass(frozen=True)
class Reproduction:
    """A published result and how it is run.

    Attributes:
        source: paper and place.
        claim: the result in a sentence.
        cost: time of the quick size on two cores.
        deviations: where the protocol differs from the paper's, and mistakes found in the source.
    """

    name: str
    source: str
    claim: str
    cost: str
    deviations: tuple[str, ...]
    protocol: Protocol


_REGISTRY: dict[str, Reproduction] = {}


def reproduction(
    name: str, *, source: str, claim: str, cost: str, deviations: Iterable[str] = ()
) -> Callable[[Protocol], Protocol]:
    """Register a protocol under a name; used as a decorator.

    Raises:
        ConfigError: the name is taken.
    """

    def register(protocol: Protocol) -> Protocol:
        if name in _REGISTRY:
            raise ConfigError(f"there already is a reproduction {name!r}")
        _REGISTRY[name] = Reproduction(name, source, claim, cost, tuple(deviations), protocol)
        return protocol

    return register


def reproductions() -> dict[str, Reproduction]:
    """All reproductions by name.

    >>> "nanda2023-mainline" in reproductions()
    True
    """
    for module in PROTOCOLS:
        import_module(f"mechgrok.experiments.{module}")
    return dict(sorted(_REGISTRY.items()))


def find_reproduction(name: str) -> Reproduction:
    """The reproduction of a name.

    Raises:
        ConfigError: there is none.
    """
    known = reproductions()
    if name not in known:
        raise ConfigError(f"unknown reproduction {name!r}; allowed: {', '.join(known)}")
    return known[name]


def run_reproduction(found: Reproduction, *, full: bool = False) -> Outcome:
    """Run a reproduction and time it.

    Args:
        full: the paper's size.
    """
    started = time.monotonic()
    rows = tuple(found.protocol(full))
    return Outcome(found.name, found.source, full, round(time.monotonic() - started, 1), rows)


def recorded_outcome(name: str) -> dict[str, Any] | None:
    """The outcome that was last recorded for a reproduction; None if there is none."""
    file = RECORDS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
