"""The figures of a network at every checkpoint: spectrum, circles, neurons, logits."""

from collections.abc import Iterable
from dataclasses import dataclass

import plotly.graph_objects as go

from mechgrok.activations import ActivationGrid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.neurons import NeuronFrequencies
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.measures.summary import Summary
from mechgrok.plots.circles import embedding_circle
from mechgrok.plots.logits import fourier_map
from mechgrok.plots.neurons import neuron_map, typical_neurons
from mechgrok.plots.spectra import norm_spectrum
from mechgrok.report.film import MOST_FRAMES, Film, make_film

MOST_PANELS = 6
"""Maximum number of circles and neurons shown; if there are more keys, the strongest are used."""
MOST_CELLS = 4_500_000
"""Maximum total of map cells over all checkpoints, one byte each: bounds the size of the page for large groups."""

Picture = dict[str, go.Figure]
"""The figures of one network, by their place on the page."""


@dataclass(frozen=True)
class Portrait:
    """The parts of a network that are drawn, chosen at the end of training and followed throughout.

    Attributes:
        keys: all key blocks, which the spectrum and the logits mark.
        circles: keys whose plane in the embedding is drawn; none if the group is not cyclic.
        neurons: numbers of the neurons drawn.
        tuned: the tuning of the neurons at the end; None if there are no neurons.
        what: what a key is, "frequency" or "irrep".
        has_maps: whether the task is an operation on two elements of a group; otherwise none of this is drawn.
    """

    keys: tuple[Label, ...]
    circles: tuple[Label, ...]
    neurons: tuple[int, ...]
    tuned: NeuronFrequencies | None
    what: str
    has_maps: bool = True

    def draw(self, grid: ActivationGrid) -> Picture:
        """All figures of one checkpoint; figures with nothing to draw are left out."""
        if not self.has_maps:
            return {}
        picture = {"fourier": fourier_map(grid, self.keys)}
        if self.tuned is not None:
            picture |= {
                f"neuron-{i}": neuron_map(grid, neuron, self.tuned) for i, neuron in enumerate(self.neurons)
            }
        try:
            picture |= {f"circle-{i}": embedding_circle(grid, label) for i, label in enumerate(self.circles)}
            picture["spectrum"] = norm_spectrum(grid, keys=self.keys)
        except (ActivationError, UndefinedMetricError):  # no embedding, or the same for all tokens
            pass
        return picture


def choose_portrait(grid: ActivationGrid, summary: Summary, n_frames: int = 1) -> Portrait:
    """What to draw of a network: the strongest keys, and for each of them its most typical neuron."""
    if summary.keys.no_group or grid.task.frame.arity != 2:
        return Portrait((), (), (), None, summary.what, has_maps=False)
    keys: list[Label] = summary.values["key_frequencies"]
    strongest = sorted(keys, key=summary.keys.share, reverse=True)[:MOST_PANELS]
    shown = [label for label in keys if label in strongest]
    affordable = MOST_CELLS // (n_frames * grid.task.frame.order**2) - 1  # one map is for the logits
    neurons = [] if summary.neurons is None else typical_neurons(summary.neurons, shown)
    return Portrait(
        keys=tuple(keys),
        circles=tuple(shown) if summary.what == "frequency" and grid.source is not None else (),
        neurons=tuple(neurons[: max(1, min(MOST_PANELS, affordable))]),
        tuned=summary.neurons,
        what=summary.what,
    )


def most_frames(order: int | None) -> int:
    """Number of checkpoints that fit on a page, with two maps each, for a group of this order; None for no group."""
    if order is None:
        return MOST_FRAMES
    return max(2, min(MOST_FRAMES, MOST_CELLS // (2 * order**2)))


def film_of(pictures: Iterable[Picture]) -> dict[str, Film]:
    """One film for each figure of the last picture."""
    frames = list(pictures)
    return {place: make_film([frame.get(place) for frame in frames]) for place in frames[-1]}
