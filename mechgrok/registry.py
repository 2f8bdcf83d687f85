"""Registry: the one form in which everything is kept that users can add to."""

from collections.abc import Callable, Iterator, MutableMapping
from importlib import import_module
from typing import Any, TypeVar

from mechgrok.errors import ConfigError, shown
from mechgrok.spelling import unknown

T = TypeVar("T")
F = TypeVar("F")

PACKAGE = __name__.partition(".")[0]


def module_of(thing: Any) -> str:
    """The module that a function or class was written in; of an entry, the one of its `function`."""
    return str(getattr(getattr(thing, "function", thing), "__module__", ""))


class Registry(MutableMapping[str, T]):
    """Things of one kind by name, in the order in which they were registered.

    A name that is not registered raises a `ConfigError` that lists the closest ones. The names that mechgrok uses are
    taken; what a user has registered may be registered again, as happens in a notebook.

    Args:
        kind: what the things are, for messages: "optimizer".
        names: the names that mechgrok itself registers, where configurations check them before the things are needed.
        home: the module that registers them. It is imported when the first of them is asked for; without `names` also
            when somebody asks which names there are.
        written_in: the module that a thing was written in, where it is neither a function nor a class, nor an entry
            with a `function`.
        of: the class of the things, where that is not just any. If it is a dataclass whose first field is a function,
            `add` makes an entry of the function that it stands above.

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
            ConfigError: the name is not a text, or one that mechgrok itself uses; the thing is of another class.
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
        """The same as a decorator: `@OPTIMIZERS.add("lion")` above a function or class registers it.

        Args:
            facts: what else an entry says about the function, such as `elementwise=True` of an optimizer.

        Raises:
            ConfigError: as in `register`; what is decorated cannot be called; a fact that entries do not have.
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
        """The name itself, if it is registered: a validator for the fields of configurations.

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
        self._opened = True  # the home may look names up itself
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
