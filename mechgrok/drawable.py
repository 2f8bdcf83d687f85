"""Base class that gives results `.figure()`, although they are defined below the figures.

This is the one place where a lower layer reaches up. Analyses are pure and do not import plotly; plots know all
results and draw them. For `result.figure()` to work, the result must find the function that draws its class, and
that function lives in a higher layer. So it is looked up by name in the table `mechgrok.plots.drawing` when
`figure` is called, and nothing is imported earlier.
"""

from importlib import import_module
from typing import Any

from mechgrok.readable import Readable


class Drawable(Readable):
    """A result with a figure, and a table for notebooks."""

    __slots__ = ()

    def figure(self, **options: Any) -> Any:
        """Draw this result as a plotly figure; `options` are passed to the function that draws it.

        `mechgrok.plots.drawing.FIGURES` lists that function for each class of result.

        Raises:
            ConfigError: an option that the function does not have.

        >>> from mechgrok import find_key_frequencies
        >>> from mechgrok.models.constructed import cosine_network
        >>> find_key_frequencies(cosine_network(11, {2: 5.0})).figure().layout.xaxis.title.text
        'frequency k'
        """
        return import_module("mechgrok.plots.drawing").draw(self, **options)
