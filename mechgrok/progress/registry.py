"""The registry of progress measures: what each one is called, what it needs, and where it comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mechgrok.door import door
from mechgrok.errors import ConfigError, shown
from mechgrok.progress.snapshot import Snapshot
from mechgrok.registry import Registry
from mechgrok.tasks import Task

Direction = Literal["up", "down"]
VALUES = "values"
"""What a measure needs that is defined for tasks whose answers are values."""


@dataclass(frozen=True, eq=False)
class Measure:
    """A quantity that is followed through a training; called with a `Snapshot`.

    Attributes:
        name: of its column. A measure with several values, one per key or per tensor, has the columns
            `name[part]`.
        function: gives a number, or numbers by part; raises UndefinedMetricError where there is none.
        unit: of the values; "nats", "fraction", "neurons".
        direction: the way it goes while a network comes to generalise, "up" or "down"; None for neither.
        needs: what must be there beside the weights and the logits, else it is undefined: "keys", the key
            frequencies; "split", the train inputs; "neurons"; "values" in place of classes; or names of hooks, which
            are then cached.
        source: where it was defined.
        default: whether it is computed where no measures are named; costly ones are not.
    """

    name: str
    function: Callable[[Snapshot], Any]
    unit: str
    direction: Direction | None = None
    needs: tuple[str, ...] = ()
    source: str = ""
    default: bool = True

    def __call__(self, snapshot: Snapshot) -> Any:
        return self.function(snapshot)

    @property
    def summary(self) -> str:
        """What it measures: the first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def hooks(self) -> tuple[str, ...]:
        """The hooks among what it needs."""
        return tuple(need for need in self.needs if "hook_" in need)

    def __repr__(self) -> str:
        return f"Measure({self.name}, {self.unit}: {self.summary})"


class Measures(Registry[Measure]):
    """Measures by name, which are the names of columns."""

    def register(self, name: str, thing: Measure) -> Measure:
        """Add a measure under a name that a table can have as a column."""
        if name == "step" or any(sign in str(name) for sign in "[],\n"):
            raise ConfigError(f"{name!r} cannot be the name of a measure: no brackets, no commas, not 'step'")
        return super().register(name, thing)


MEASURES = Measures("measure", of=Measure)
"""All measures by name, in the order in which they were defined: those of mechgrok, then the user's."""


@door
def measure(
    unit: str,
    *,
    name: str | None = None,
    direction: Direction | None = None,
    needs: Sequence[str] = (),
    source: str = "",
    default: bool = True,
) -> Callable[[Callable[[Snapshot], Any]], Measure]:
    """Make a measure of a function and add it to the registry, so that `progress_measures` computes it.

    The function is given a `Snapshot` and returns a number, or a mapping from parts, such as keys, to
    numbers. Where the quantity has no value it raises `UndefinedMetricError`; the table then says None, with the
    text of the error as the reason.

    Args:
        unit: of the values, for tables and axes.
        name: of the column; default that of the function.
        direction, needs, source, default: see `Measure`. An own measure belongs to the default set unless
            `default=False`.

    Raises:
        ConfigError: no unit; a name that a measure of mechgrok has, or that would be read as `name[part]`.

    >>> import mechgrok as mg
    >>> @mg.measure("ratio", direction="up", needs=["keys", "split"])
    ... def circuit_lead(snapshot):
    ...     "How far the circuit alone is ahead of the network on the test inputs."
    ...     restricted = mg.restricted_loss(snapshot.grid, snapshot.keys, snapshot.test)
    ...     return mg.full_loss(snapshot.grid, snapshot.test) / restricted
    >>> mg.MEASURES["circuit_lead"]
    Measure(circuit_lead, ratio: How far the circuit alone is ahead of the network on the test inputs.)
    >>> task, small = mg.modular_task("add", 5), mg.ModelConfig(d_model=16)
    >>> run = mg.train(task, model=small, steps=20, progress=False)
    >>> len(mg.progress_measures(run, ["loss_test", circuit_lead], keys=[1, 2], progress=False)["circuit_lead"])
    2
    >>> del mg.MEASURES["circuit_lead"]
    """
    if not isinstance(unit, str):
        raise ConfigError('a measure names its unit: write @measure("nats") above the function')

    def register(function: Callable[[Snapshot], Any]) -> Measure:
        own = name or getattr(function, "__name__", "measure")
        made = Measure(own, function, unit, direction, tuple(needs), source, default)
        return MEASURES.register(own, made)

    return register


def find_measures(measures: Sequence[str | Measure] | None, task: Task | None = None) -> tuple[Measure, ...]:
    """The measures asked for; for None the default set, without those of values if the task has classes.

    Raises:
        ConfigError: an unknown name, none at all, or two of one name.
    """
    if measures is None:
        has_values = task is not None and task.score == "r2"
        return tuple(m for m in MEASURES.values() if m.default and (has_values or VALUES not in m.needs))
    if isinstance(measures, str | Measure) or not isinstance(measures, Sequence):
        raise ConfigError("measures is a list of names or measures, also if it is only one: [...]")
    found = tuple(item if isinstance(item, Measure) else _by_name(item) for item in measures)
    names = [item.name for item in found]
    if not found or len(set(names)) < len(names):
        raise ConfigError(f"measures need to be named, each once; got {', '.join(names) or 'none'}")
    return found


def _by_name(name: Any) -> Measure:
    if not isinstance(name, str):
        advice = '; write @measure("unit") above the function' if callable(name) else ""
        raise ConfigError(f"a measure is one of MEASURES, by name or as it is; got {shown(name)}{advice}")
    return MEASURES[name]
