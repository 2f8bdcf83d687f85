"""The tree of exceptions: every error that mechgrok raises on purpose is a `MechgrokError`.

The classes also derive from the built-in exception that a caller would expect, so `except ValueError` works.
"""


class MechgrokError(Exception):
    """Base of every error raised on purpose: its text states what was given, what is allowed, and the way out."""


class ConfigError(MechgrokError, ValueError):
    """A configuration, option or argument is outside what is allowed."""


class TaskError(MechgrokError, ValueError):
    """A task cannot be built, or does not fit the network it is used with."""


class ActivationError(MechgrokError, ValueError):
    """A hook name, a tensor of activations or the weights of a network are unusable."""


class CheckpointError(MechgrokError, ValueError):
    """A file or a run folder is missing, damaged, foreign or not writable."""


class UndefinedMetricError(MechgrokError, ValueError):
    """The requested number has no value here: 0/0, no key frequency, nothing to average over."""


class NoGroupError(TaskError, UndefinedMetricError):
    """The task has no group: anything measured in a group's basis, such as key frequencies, has no value."""


LONGEST = 120
"""Maximum number of characters of a value in an error."""


def shown(value: object) -> str:
    """Describe a value briefly in the text of an error, however large it is.

    >>> shown(3.5), shown([1, 2]), shown({"a": 1})
    ('3.5', '[1, 2]', "{'a': 1}")
    >>> shown(list(range(10**6)))
    'a list of 1000000'
    """
    shape, kind = getattr(value, "shape", None), type(value).__name__
    if isinstance(shape, tuple) and hasattr(value, "dtype"):
        return f"a {kind} of {value.dtype} and shape {tuple(shape)}" if shape else f"{value}"[:LONGEST]  # pyright: ignore
    if callable(getattr(value, "named_parameters", None)):
        return f"the network {kind}"
    if isinstance(value, str | bytes) and len(value) > LONGEST:
        return f"{value[: LONGEST // 2]!r}... of {len(value)} characters"
    if isinstance(value, list | tuple | dict | set | frozenset) and len(value) > LONGEST // 2:
        return f"a {kind} of {len(value)}"
    try:
        text = repr(value)
    except Exception:  # a value of a user-defined class may not be printable
        return f"a {kind}"
    if len(text) <= LONGEST:
        return text
    size = f" of {len(value)}" if isinstance(value, list | tuple | dict | set | frozenset) else ""
    return f"a {kind}{size}"
