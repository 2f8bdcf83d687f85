"""The same figure at several checkpoints, packed so that a page can move back and forth between them."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mechgrok.analysis.curves import Rows
from mechgrok.plots.theme import layout_of

MOST_FRAMES = 40
"""Maximum number of checkpoints on a page; if there are more, a selection is shown."""
MOVING = ("x", "y", "z", "customdata")
"""Attributes of a trace that may differ between checkpoints."""
LEVELS = 255
"""Number of levels at which the values of a map are stored, one byte each."""
HEADROOM = 1.05


@dataclass(frozen=True)
class Film:
    """A figure whose data moves while its axes and colours stay fixed.

    Attributes:
        figure: the last frame, with axes and colour scales that fit all frames.
        moving: for each changing attribute of a trace, the trace's number, the attribute's name and its packed
            frames.
    """

    figure: go.Figure
    moving: tuple[dict[str, Any], ...]


def make_film(frames: Sequence[go.Figure | None]) -> Film:
    """Combine the same figure at several checkpoints; the last one must not be None.

    Args:
        frames: figures with the same traces; None if there is nothing to draw.

    >>> film = make_film([go.Figure(go.Scatter(x=[1, 2], y=y)) for y in ([0.0, 1.0], [0.0, 20.0])])
    >>> [(m["trace"], m["attribute"], m["shape"]) for m in film.moving], film.figure.layout.yaxis.range
    ([(0, 'y', (2,))], (0.0, 21.0))
    """
    last = frames[-1]
    assert last is not None, "the last checkpoint is the one that the page is about"
    moving = []
    for number in range(len(_traces(last))):
        for name in MOVING:
            values = _values(frames, number, name)
            if values is not None:
                moving.append({"trace": number, "attribute": name, **_packed(values)})
    return Film(_standing(frames, last), tuple(moving))


def choose_steps(steps: Sequence[int], history: Rows, most: int = MOST_FRAMES) -> tuple[int, ...]:
    """Choose at most `most` of the checkpoints: the first, the last, and those in between where most happens.

    The path through training is measured in equal parts by steps and by the distance that the train loss and the
    test loss travel, up or down, on a logarithmic scale; the chosen checkpoints are equally spaced along this
    path. So some of them are spread evenly over the steps, and the others concentrate on memorisation and
    generalisation.

    >>> falls = [{"step": s, "loss_test": 1e-3 if s > 500 else 5.0} for s in range(0, 1001, 10)]
    >>> choose_steps(range(0, 1001, 10), falls, most=7)
    (0, 330, 500, 510, 520, 670, 1000)
    """
    if len(steps) <= most:
        return tuple(steps)
    path = _path(np.array(steps, dtype=float), history)
    chosen: list[int] = []
    for i, target in enumerate(np.linspace(0, 1, most)):
        nearest = int(np.abs(path - target).argmin())
        lowest, highest = chosen[-1] + 1 if chosen else 0, len(steps) - (most - i)
        chosen.append(min(max(nearest, lowest), highest))
    return tuple(steps[i] for i in chosen)


def _path(steps: np.ndarray, history: Rows) -> np.ndarray:
    """Position of each step along the path through training, 0..1."""
    even = (steps - steps[0]) / (steps[-1] - steps[0])
    parts = [even]
    for name in ("loss_train", "loss_test"):
        rows = [(row["step"], row[name]) for row in history if (row.get(name) or 0) > 0]
        if len(rows) > 1:
            at, losses = np.array(rows, dtype=float).T
            heights = np.interp(steps, at, np.log(losses))
            travelled = np.abs(np.diff(heights, prepend=heights[0])).cumsum()
            if travelled[-1] > 0:
                parts.append(travelled / travelled[-1])
    return np.mean(parts, axis=0)


def _values(frames: Sequence[go.Figure | None], number: int, name: str) -> list[np.ndarray] | None:
    """An attribute of a trace in all frames; None if it is absent, or the same in all."""
    last = frames[-1]
    if last is None or name not in _traces(last)[number] or _traces(last)[number][name] is None:
        return None
    final = np.asarray(_traces(last)[number][name])
    values = [_absent(final) if f is None else np.asarray(_traces(f)[number][name]) for f in frames]
    same = all(np.array_equal(v, final) for v in values)
    return None if same else values


def _traces(drawn: go.Figure) -> Any:
    """The traces; plotly builds their attributes at run time, where no type checker sees them."""
    return drawn.data


def _absent(like: np.ndarray) -> np.ndarray:
    """Values that draw nothing: names and numbers of blocks stay, their values are missing."""
    return np.full_like(like, np.nan) if np.issubdtype(like.dtype, np.floating) else like


def _packed(frames: list[np.ndarray]) -> dict[str, Any]:
    """Pack all frames of an attribute for the browser: maps as bytes, other numbers as float32, text unchanged."""
    values = np.stack(frames)
    if not np.issubdtype(values.dtype, np.number):
        return {"kind": "text", "frames": values.tolist()}
    if values.ndim == 3:
        return _packed_maps(values)
    return {"kind": "float32", "shape": values.shape[1:], "frames": _base64(values.astype("<f4"))}


def _packed_maps(values: np.ndarray) -> dict[str, Any]:
    """Encode values as low + (high - low) (byte/255)^power; from 0 up the power is 2, which preserves small values."""
    low, high = float(min(values.min(), 0)), float(values.max())
    power = 2 if low == 0 else 1
    share = (values - low) / ((high - low) or 1)
    levels = np.rint(LEVELS * share ** (1 / power)).astype(np.uint8)
    scale = {"low": low, "high": high, "power": power}
    return {"kind": "map", "shape": values.shape[1:], **scale, "frames": _base64(levels)}


def _base64(values: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _standing(frames: Sequence[go.Figure | None], last: go.Figure) -> go.Figure:
    """The last frame, with axis and colour ranges that fit all frames."""
    drawn = go.Figure(last)
    present = [frame for frame in frames if frame is not None]
    for number, trace in enumerate(_traces(drawn)):
        if trace.type == "heatmap":
            values = [np.asarray(_traces(frame)[number].z, dtype=float) for frame in present]
            low, high = float(min(v.min() for v in values)), float(max(v.max() for v in values))
            reach = max(abs(low), abs(high))
            trace.update(
                {"zmin": low, "zmax": high} if trace.zmid is None else {"zmin": -reach, "zmax": reach}
            )
    for axis in ("xaxis", "yaxis"):
        common = _common_range(present, axis)
        if common is not None:
            drawn.update_layout({axis: {"range": common}})
    return drawn


def _common_range(frames: list[go.Figure], axis: str) -> tuple[float, float] | None:
    """Both ends of an axis over all frames; None if it fits by itself."""
    given = [layout_of(frame)[axis].range for frame in frames]
    if all(ends is not None for ends in given):
        return min(float(low) for low, _ in given), max(float(high) for _, high in given)
    if (
        any(trace.type == "heatmap" for trace in _traces(frames[-1]))
        or layout_of(frames[-1])[axis].type == "log"
    ):
        return None
    values = [np.asarray(trace[axis[0]]) for frame in frames for trace in _traces(frame)]
    if not all(np.issubdtype(v.dtype, np.number) for v in values):
        return None
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    return min(low, 0.0) * HEADROOM, high * HEADROOM
