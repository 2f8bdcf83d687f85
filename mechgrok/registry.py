"""The one form of registry for everything that users can add to."""

from collections.abc import Callable, Iterator, MutableMapping
from importlib import import_module
from typing import Any, TypeVar

from mechgrok.errors import ConfigError, shown
from mechgrok.spelling import unknown

T = TypeVar("T")
F = TypeVar("F")

PACKAGE = __name__.partition(".")[0]


def module_of(thing: Any) -> str:
    """The module in which a function or class was defined; for an entry, the module of its `function`."""
    return str(getattr(getattr(thing, "function", thing), "__module__", ""))


class Registry(MutableMapping[str, T]):
    """Things of one kind by name, in the order of registration.

    An unregistered name raises a `ConfigError` that lists the closest matches. The names that mechgrok uses are
    reserved; users may register their own names again, as happens in a notebook.

    Args:
        kind: what the things are, for messages: "optimizer".
        names: the names that mechgrok itself registers, if configurations check them before the things are
            needed.
        home: the module that registers them. It is imported when the first of them is requested; without `names`,
            also when the list of names is requested.
        written_in: finds the module in which a thing was defined, if it is neither a function nor a class, nor an
            entry with a `function`.
        of: the class of the things, if it is restricted. If it is a dataclass whose first field is a function,
            `add` makes an entry from the decorated function.

    >>> shapes = Registry("shape")
    >>> shapes.register("circle", "round")
    'round'
    >>> shapes["cirle"]
    Traceback (most recent call last):
    ...
    mechgrok.errors.ConfigError: unknown shape 'cirle' (did you mean circle?); allowed: circle
    """

    def __init__(
        self,
        kind: str,
        names: tuple[str, ...] = (),
        home: str = "",
        written_in: Callable[[T], str] | None = None,
        of: Any = None,
    ) -> None:
        self.kind, self.names, self.home, self.of = kind, names, home, of
        self.one = f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
        self.written_in = written_in or module_of
        self._things: dict[str, T] = {}
        self._ours = set(names)
        self._opened = not home

    def register(self, name: str, thing: T) -> T:
        """Add a thing under a name, and return it.

        Raises:
            ConfigError: the name is not a string, or is used by mechgrok itself; the thing is of the wrong class.
        """
        if not isinstance(name, str) or not name:
            raise ConfigError(f"the name of {self.one} is a text; got {shown(name)}")
        if self.of is not None and not isinstance(thing, self.of):
            raise ConfigError(
                f"what is registered as {self.one} is of the class {self.of.__name__}; got {shown(thing)}"
            )
        if self.written_in(thing).partition(".")[0] == PACKAGE:
            self._ours.add(name)
        elif self.is_ours(name):
            raise ConfigError(f"mechgrok has {self.one} {name!r}; give yours another name")
        self._things[name] = thing
        return thing

    def add(self, name: str, **facts: Any) -> Callable[[F], F]:
        """Register as a decorator: `@OPTIMIZERS.add("lion")` above a function or class registers it.

        Args:
            facts: other fields of the entry, such as `elementwise=True` for an optimizer.

        Raises:
            ConfigError: as in `register`; the decorated object is not callable; a field that entries do not have.
        """

        def registered(thing: F) -> F:
            if not callable(thing):
                raise ConfigError(f"{self.one} is made of a function or class; got {shown(thing)}")
            self.register(name, self._entry(thing, facts))
            return thing

        return registered

    def _entry(self, function: Any, facts: dict[str, Any]) -> T:
        fields = list(getattr(self.of, "__dataclass_fields__", ()))[1:]
        for fact in facts:
            if fact not in fields:
                raise ConfigError(unknown(f"fact about {self.one}", fact, fields))
        return self.of(function, **facts) if fields else function

    def is_ours(self, name: str) -> bool:
        """Whether mechgrok itself uses a name."""
        self._open(unless=bool(self.names))
        return name in self._ours

    def check(self, name: str) -> str:
        """Return the name if it is registered: a validator for the fields of configurations.

        Raises:
            ValueError: it is not registered; the configuration turns this into a `ConfigError`.
        """
        if name not in self:
            raise ValueError(
                f"{unknown(self.kind, name, self)}; one of your own has to be registered in each program that uses it"
            )
        return name

    def _open(self, *, unless: bool = False) -> None:
        """Import the home, once, unless it is not needed."""
        if self._opened or unless:
            return
        self._opened = True  # the home may itself look up names
        try:
            import_module(self.home)
        except BaseException:
            self._opened = False
            raise

    def __getitem__(self, name: Any) -> T:
        if name not in self:
            raise ConfigError(unknown(self.kind, name, self))
        self._open(unless=name in self._things)
        return self._things[name]

    def __setitem__(self, name: str, thing: T) -> None:
        self.register(name, thing)

    def __delitem__(self, name: str) -> None:
        if self.is_ours(name):
            raise ConfigError(f"the {self.kind} {name!r} belongs to mechgrok and stays registered")
        if name not in self:
            raise ConfigError(unknown(self.kind, name, self))
        del self._things[name]

    def __contains__(self, name: object) -> bool:
        self._open(unless=bool(self.names))
        return isinstance(name, str) and (name in self._things or name in self.names)

    def __iter__(self) -> Iterator[str]:
        self._open(unless=bool(self.names))
        return iter(dict.fromkeys((*self.names, *self._things)))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Registry of {self.kind}: {', '.join(self)}"
