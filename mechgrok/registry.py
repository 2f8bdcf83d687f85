"""Registry: the one form in which everything is kept that users can add to."""

from collections.abc import Callable, Iterator, MutableMapping
from importlib import import_module
from typing import Any, TypeVar

from mechgrok.errors import ConfigError, shown
from mechgrok.spelling import unknown

T = TypeVar("T")


def module_of(thing: Any) -> str:
    """The module that a function or class was written in."""
    return str(getattr(thing, "__module__", ""))


class Registry(MutableMapping[str, T]):
    """Things of one kind by name, in the order in which they were registered.

    A name that is not registered raises a `ConfigError` that lists the closest ones. The names that mechgrok uses are
    taken; what a user has registered may be registered again, as happens in a notebook.

    Args:
        kind: what the things are, for messages: "optimizer".
        names: the names that mechgrok itself registers, where configurations check them before the things are needed.
        home: the module that registers them; imported when the first of them is asked for.
        written_in: the module that a thing was written in, where it is neither a function nor a class.

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
    ) -> None:
        self.kind, self.names, self.home = kind, names, home
        self.written_in = written_in or module_of
        self._things: dict[str, T] = {}
        self._ours = set(names)

    def register(self, name: str, thing: T) -> T:
        """Add a thing under a name, and return it.

        Raises:
            ConfigError: the name is not a text, or one that mechgrok itself uses.
        """
        if not isinstance(name, str) or not name:
            raise ConfigError(f"the name of a {self.kind} is a text; got {shown(name)}")
        if self.written_in(thing).partition(".")[0] == __name__.partition(".")[0]:
            self._ours.add(name)
        elif name in self._ours:
            raise ConfigError(f"mechgrok has a {self.kind} {name!r}; give yours another name")
        self._things[name] = thing
        return thing

    def add(self, name: str) -> Callable[[T], T]:
        """The same as a decorator: `@OPTIMIZERS.add("lion")` above a function or class registers it."""
        return lambda thing: self.register(name, thing)

    def check(self, name: str) -> str:
        """The name itself, if it is registered: a validator for the fields of configurations.

        Raises:
            ValueError: it is not registered; the configuration turns this into a `ConfigError`.
        """
        if name not in self:
            raise ValueError(unknown(self.kind, name, self))
        return name

    def __getitem__(self, name: Any) -> T:
        if name not in self:
            raise ConfigError(unknown(self.kind, name, self))
        if name not in self._things:
            import_module(self.home)
        return self._things[name]

    def __setitem__(self, name: str, thing: T) -> None:
        self.register(name, thing)

    def __delitem__(self, name: str) -> None:
        if name in self._ours:
            raise ConfigError(f"the {self.kind} {name!r} belongs to mechgrok and stays registered")
        del self._things[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._things or name in self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.names, *self._things)))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Registry of {self.kind}: {', '.join(self)}"
