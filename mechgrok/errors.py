"""The one tree of exceptions: every error that mechgrok raises on purpose is a `MechgrokError`.

The classes also derive from the built-in that a caller would expect, so `except ValueError` works.
"""


class MechgrokError(Exception):
    """Base of every error raised on purpose: its text says what was given, what is allowed, the way out."""


class ConfigError(MechgrokError, ValueError):
    """A configuration, option or argument is outside what is allowed."""


class TaskError(MechgrokError, ValueError):
    """A task cannot be built, or does not fit the network it is used with."""


class ActivationError(MechgrokError, ValueError):
    """A hook name, a tensor of activations or the weights of a network are unusable."""


class CheckpointError(MechgrokError, ValueError):
    """A file or a run folder is missing, damaged, foreign or cannot be written."""


class UndefinedMetricError(MechgrokError, ValueError):
    """A number was asked for that has no value here: 0/0, no key frequency, nothing to average over."""
