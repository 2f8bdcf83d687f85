"""The registry of measures: what each number is, its unit, what it needs, what it ignores, and where it comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mechgrok.analysis.probe_sequences import is_sequence
from mechgrok.door import door
from mechgrok.errors import ConfigError, shown
from mechgrok.measures.invariances import INVARIANCES
from mechgrok.measures.references import Reference
from mechgrok.measures.snapshot import Snapshot
from mechgrok.registry import Registry
from mechgrok.tasks import Task


def as_title(name: str) -> str:
    """A name as a title.

    >>> as_title("restricted_loss")
    'Restricted loss'
    """
    return name[:1].upper() + name[1:].replace("_", " ")


Direction = Literal["up", "down"]
VALUES = "values"
"""Requirement of a measure that is defined for tasks whose answers are values."""
POSITIONS = "positions"
"""What one needs that tells the scored positions apart, of which there are several."""
HEADS = "heads"
"""What one needs that is about attention heads. It is in the default set where inputs are sequences in no group."""


@dataclass(frozen=True, eq=False)
class Measure:
    """A quantity tracked through training; called with a `Snapshot`.

    Attributes:
        name: of its column. A measure with several values, one per key or per tensor, has the columns
            `name[part]`.
        function: gives a number, or numbers by part; raises UndefinedMetricError where there is none.
        unit: of the values; "nats", "fraction", "neurons".
        direction: the way it goes while a network comes to generalise, "up" or "down"; None for neither.
        needs: what must be there beside the weights and the logits, else it is undefined: "keys", the key
            frequencies; "split", the train inputs; "neurons"; "values" in place of classes; several "positions" with
            answers; or names of hooks, which are then cached.
        citation: the publication that defines it.
        default: whether it is computed if no measures are named; costly ones are not.
        title: title in figures and tables, such as "Test loss".
        reference: the value in a reference case, such as guessing; None if there is none.
        invariances: names of the changes of a network in `INVARIANCES` that leave the value unchanged; None if
            undeclared.
    """

    name: str
    function: Callable[[Snapshot], Any]
    unit: str
    direction: Direction | None = None
    needs: tuple[str, ...] = ()
    citation: str = ""
    default: bool = True
    title: str = ""
    reference: Reference | None = None
    invariances: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in self.invariances or ():
            INVARIANCES[name]  # raises, with the closest matches
        if not self.title:
            object.__setattr__(self, "title", as_title(self.name))

    def __call__(self, snapshot: Snapshot) -> Any:
        return self.function(snapshot)

    @property
    def summary(self) -> str:
        """What it measures: the first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def hooks(self) -> tuple[str, ...]:
        """The hooks among its requirements."""
        return tuple(need for need in self.needs if "hook_" in need)

    def __repr__(self) -> str:
        return f"Measure({self.name}, {self.unit}: {self.summary})"


class Measures(Registry[Measure]):
    """Measures by name, which is also the name of their column."""

    def register(self, name: str, thing: Measure) -> Measure:
        """Add a measure under a name that can be the name of a column."""
        if name == "step" or any(sign in str(name) for sign in "[],\n"):
            raise ConfigError(f"{name!r} cannot be the name of a measure: no brackets, no commas, not 'step'")
        return super().register(name, thing)


MEASURES = Measures("measure", of=Measure)
"""All measures by name, in the order of their definition: mechgrok's, then the user's."""


@door
def measure(
    unit: str,
    *,
    name: str | None = None,
    direction: Direction | None = None,
    needs: Sequence[str] = (),
    citation: str = "",
    default: bool = True,
    title: str = "",
    reference: Reference | None = None,
    invariances: Sequence[str] | None = None,
) -> Callable[[Callable[[Snapshot], Any]], Measure]:
    """Turn a function into a measure and register it, so that `progress_measures` computes it.

    The function takes a `Snapshot` and returns a number, or a mapping from parts, such as keys, to numbers. If
    the quantity has no value, it raises `UndefinedMetricError`; the table then contains None, with the text of
    the error as the reason.

    Args:
        unit: unit of the values, for tables and axes.
        name: name of the column; by default, the name of the function.
        direction, needs, citation, default, title, reference, invariances: see `Measure`. Your own measure belongs
            to the default set unless `default=False`. By default its title is derived from its name.

    Raises:
        ConfigError: no unit; a name that one of mechgrok's measures has, or that would be read as `name[part]`;
            an unknown invariance.

    >>> import mechgrok as mg
    >>> __name__ = "script"  # a user's script: mechgrok's own entries stay registered
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
        ignored = None if invariances is None else tuple(invariances)
        made = Measure(
            own, function, unit, direction, tuple(needs), citation, default, title, reference, ignored
        )
        return MEASURES.register(own, made)

    return register


def title_of(name: str) -> str:
    """The title of a measure in figures and tables; if it is not registered here, its name in words.

    >>> title_of("neuron_clusters"), title_of("attention_to_a")
    ('Neurons per key', 'Attention to a')
    """
    return MEASURES[name].title if name in MEASURES else as_title(name)


def find_measures(measures: Sequence[str | Measure] | None, task: Task | None = None) -> tuple[Measure, ...]:
    """The measures asked for; for None the default set, without what the task does not have.

    Raises:
        ConfigError: an unknown name, no measures at all, or two with the same name.
    """
    if measures is None:
        missing = {VALUES, POSITIONS, HEADS} - _kinds_of(task)
        return tuple(m for m in MEASURES.values() if m.default and not missing.intersection(m.needs))
    if isinstance(measures, str | Measure) or not isinstance(measures, Sequence):
        raise ConfigError("measures is a list of names or measures, also if it is only one: [...]")
    found = tuple(item if isinstance(item, Measure) else _by_name(item) for item in measures)
    names = [item.name for item in found]
    if not found or len(set(names)) < len(names):
        raise ConfigError(f"measures need to be named, each once; got {', '.join(names) or 'none'}")
    return found


def _kinds_of(task: Task | None) -> set[str]:
    """What a task has that not all of them have, and by which it is measured where no measures are named."""
    if task is None:
        return set()
    has = {
        VALUES: task.score == "r2",
        POSITIONS: task.signature.n_scored > 1,
        HEADS: is_sequence(task),
    }
    return {kind for kind, there in has.items() if there}


def _by_name(name: Any) -> Measure:
    if not isinstance(name, str):
        advice = '; write @measure("unit") above the function' if callable(name) else ""
        raise ConfigError(f"a measure is one of MEASURES, by name or as it is; got {shown(name)}{advice}")
    return MEASURES[name]
