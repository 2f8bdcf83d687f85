"""Argument checks for public functions: a wrong kind of argument is refused with an explanation before it is used.

What a parameter accepts is read from its annotation, which thus becomes a promise. Annotations with `Any` promise
nothing: there the function checks for itself, as `as_grid` does.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from mechgrok.errors import ConfigError, shown

P = ParamSpec("P")
R = TypeVar("R")
LOOKED_AT = 1000
"""Number of elements of a list that are checked."""
KINDS: dict[str, str] = {
    "bool": "True or False",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "Path": "a path",
    "NoneType": "None",
    "Operation": "a task of one operation, as mg.modular_task('add', 113) gives one",
    "Task": "a task, as mg.modular_task('add', 113) gives one",
    "Tracker": "an object with a method log(step, values)",
    "Split": "a split, as task.split(0.3) gives one",
    "Run": "a run, as mg.train and mg.load_run give one",
    "ModelConfig": "a ModelConfig",
    "MLPConfig": "an MLPConfig",
    "NetworkConfig": "an architecture, such as mg.ModelConfig()",
    "TrainConfig": "a TrainConfig",
    "HookedTransformer": "a HookedTransformer",
    "HookedMLP": "a HookedMLP",
    "HookedNetwork": "a network of mechgrok, as mg.build_model(task) gives one",
    "WrappedNetwork": "a network that mg.wrap made",
    "HookedModel": "a network",
    "Group": "a group, as mg.named_group('S5') gives one",
    "Basis": "a basis, as mg.fourier_basis(113) gives one",
    "Module": "a torch.nn.Module",
    "Tensor": "a tensor",
    "ndarray": "an array",
    "device": "a torch.device",
}
"""Wording of messages for arguments of a class, by the name of the class."""


@dataclass(frozen=True)
class Between:
    """Bounds of a number, for use in an annotation: `Annotated[float, Between(0, 1)]`."""

    low: int | float
    high: int | float


Share = Annotated[float, Between(0, 1)]
"""A number from 0 to 1."""
NotNegative = Annotated[float, Between(0, math.inf)]
"""A number that is 0 or larger."""


def door(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function so that it refuses arguments that its annotations do not allow.

    >>> @door
    ... def power(p: int, k: int = 2) -> int:
    ...     return p**k
    >>> power(7)
    49
    >>> power("7")
    Traceback (most recent call last):
    ...
    mechgrok.errors.ConfigError: power takes p, a whole number; got '7'. Its arguments are power(p, k=2)
    """
    signature = inspect.signature(function)
    name = getattr(function, "__name__", "")

    @functools.cache
    def hints() -> dict[str, Any]:  # evaluated on first call: classes may be defined further down
        found = get_type_hints(function, include_extras=True)
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return {n: found[n] for n, p in signature.parameters.items() if n in found and p.kind not in variable}

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{name}: {error}; its arguments are {_usage(name, signature)}") from None
        for parameter, hint in hints().items():
            if parameter in given and not fits(given[parameter], hint):
                raise ConfigError(
                    f"{name} takes {parameter}, {in_kinds(hint)}; got {shown(given[parameter])}. Its arguments are "
                    f"{_usage(name, signature)}"
                )
        return function(*args, **kwargs)

    return checked


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the kind that an annotation allows; in a long list, only some elements are checked.

    >>> fits(3, int | None), fits(True, int), fits([1, "a"], list[int]), fits(3, Literal["pre", "post"])
    (True, False, False, False)
    """
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = [bound for bound in inside[1:] if isinstance(bound, Between)]
        return fits(value, inside[0]) and all(bound.low <= value <= bound.high for bound in bounds)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inside)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inside)
    if origin is not None:
        return _fits_generic(value, origin, inside)
    return _fits_plain(value, hint)


def _fits_generic(value: Any, origin: Any, inside: tuple[Any, ...]) -> bool:
    """Check containers by their content, and functions by being callable."""
    if origin is Callable or not isinstance(origin, type):
        return callable(value) if origin is Callable else True
    if not issubclass(origin, Iterable):
        return isinstance(value, origin)
    if issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            fits(key, inside[0]) and fits(one, inside[1]) for key, one in _some(value.items())
        )
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return False
    if isinstance(value, Mapping) and issubclass(origin, Sequence):  # elsewhere its keys may be intended
        return False
    if (
        isinstance(value, Iterator) or not inside
    ):  # what can be iterated only once is checked where it is used
        return True
    if hasattr(value, "dtype"):
        array: Any = value
        return array.ndim == 1 and _fits_generic(array.tolist(), origin, inside)
    return all(fits(one, inside[0]) for one in _some(value))


def _fits_plain(value: Any, hint: Any) -> bool:
    if hint is None or hint is NoneType:
        return value is None
    if hint is bool:
        return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")
    if hint in (int, float):
        return isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
    if hint in (Path, PathLike):
        return isinstance(value, Path | PathLike)
    if hasattr(hint, "array_type"):  # from jaxtyping: the shape is checked where the value is used
        return hasattr(value, "shape") and hasattr(value, "dtype")
    if not isinstance(hint, type) or hint is object:
        return True
    try:
        return isinstance(value, hint)
    except TypeError:  # a protocol that cannot be checked at run time
        return True


def in_kinds(hint: Any) -> str:
    """Describe in words what an annotation allows.

    >>> in_kinds(int | None), in_kinds(Literal["pre", "post"])
    ('a whole number, or None', "'pre' or 'post'")
    """
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = [f" from {bound.low} to {bound.high}" for bound in inside[1:] if isinstance(bound, Between)]
        return in_kinds(inside[0]) + "".join(bounds)
    if origin in (Union, UnionType):
        kinds = list(dict.fromkeys(in_kinds(one) for one in inside))
        return ", or ".join([", ".join(kinds[:-1]), kinds[-1]]) if len(kinds) > 1 else kinds[0]
    if origin is Literal:
        return " or ".join(map(repr, inside))
    if origin is Callable:
        return "a function"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a dictionary"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        held = [in_kinds(one) for one in inside if one is not Ellipsis]
        return f"several in a list (each {held[0]})" if held and held[0] != "anything" else "a list"
    if hasattr(hint, "array_type"):
        return "a tensor"
    if hint is None or isinstance(hint, type):
        kind = "NoneType" if hint is None else hint.__name__
        return KINDS.get(kind, f"a {kind}")
    return "anything"


def _usage(name: str, signature: inspect.Signature) -> str:
    """A call with the positional parameters, and the keyword-only ones by name."""
    parts: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not any(part[0] == "*" for part in parts):
            parts.append("*")
        default = parameter.default
        star = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind.name, "")
        plain = isinstance(default, str | int | float | NoneType)
        empty = default is inspect.Parameter.empty
        parts.append(star + parameter.name + ("" if empty else f"={shown(default)}" if plain else "=..."))
    return f"{name}({', '.join(parts)})"


def _some(values: Iterable[Any]) -> Iterable[Any]:
    return (value for value, _ in zip(values, range(LOOKED_AT), strict=False))
