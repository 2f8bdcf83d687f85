"""Loss and accuracy over the steps of training."""

import numpy as np
import plotly.graph_objects as go

from mechgrok.analysis.curves import History, Rows, as_rows, curve, objective_of
from mechgrok.analysis.phases import Phases
from mechgrok.measures.references import GUESSING
from mechgrok.plots.phases import shade
from mechgrok.plots.theme import LOGARITHMIC, SOFT, TEST, TRAIN, figure
from mechgrok.registries import CROSS_ENTROPY, OBJECTIVES
from mechgrok.signature import Classes
from mechgrok.tasks import Task

MOST_POINTS = 2000
"""Maximum number of points of a curve; longer curves are thinned."""
_CURVES = (("train", TRAIN), ("test", TEST))
_STEPS = {"title": {"text": "step"}, "rangemode": "tozero", "tickformat": "~s", "hoverformat": ",d"}


def loss_curves(history: History, *, n_classes: int | None = None, phases: Phases | None = None) -> go.Figure:
    """Train and test loss of the objective over steps, on a logarithmic axis.

    Args:
        history: rows with `step`, `loss_train` and `loss_test`; None leaves a gap.
        n_classes: draws the cross-entropy of guessing, ln(n_classes).
        phases: shades them.

    >>> rows = [{"step": s, "loss_train": 4 / (s + 1), "loss_test": None} for s in range(3)]
    >>> [trace.name for trace in loss_curves(rows).data]
    ['train']
    """
    name = objective_of(history)
    objective = OBJECTIVES[name]
    lines = _lines(history, "loss", f"%{{y:.3g}} {objective.unit}".strip())
    if n_classes is not None and lines and name == CROSS_ENTROPY:
        lines.append(_guessing(as_rows(history), n_classes))
    drawn = figure(lines, title="Loss", hovermode="x unified")
    drawn.update_xaxes(_STEPS)
    title = _with_unit(objective.title or name, objective.unit)
    drawn.update_yaxes(LOGARITHMIC, title_text=title, dtick=_decades(history))
    return shade(drawn, phases) if phases else drawn


def n_classes_of(task: Task) -> int | None:
    """How many answers a guess chooses from; None for values."""
    outputs = task.signature.outputs
    return outputs.n if isinstance(outputs, Classes) else None


def _with_unit(title: str, unit: str) -> str:
    return f"{title} ({unit})" if unit else title


def accuracy_curves(history: History, *, phases: Phases | None = None) -> go.Figure:
    """Train and test accuracy in percent over steps, from rows with `accuracy_train` and `accuracy_test`."""
    drawn = figure(
        _lines(history, "accuracy", "%{y:.2f}%", scale=100.0), title="Accuracy", hovermode="x unified"
    )
    drawn.update_xaxes(_STEPS)
    drawn.update_yaxes(title_text="right answers (%)", range=[-3, 103])
    return shade(drawn, phases) if phases else drawn


def thin(steps: np.ndarray, values: np.ndarray, most: int = MOST_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most `most` points of a curve that keep its shape: the ends, and the lowest and highest point of each
    stretch, so that no spike is lost.

    >>> steps, values = np.arange(10_000), np.zeros(10_000)
    >>> values[1234] = 5.0
    >>> x, y = thin(steps, values, most=100)
    >>> len(x) <= 100, y.max(), x[y.argmax()].item()
    (True, np.float64(5.0), 1234)
    """
    if len(steps) <= most:
        return steps, values
    kept = {0, len(steps) - 1}
    for stretch in np.array_split(np.arange(len(steps)), most // 2 - 1):
        kept |= {int(stretch[values[stretch].argmin()]), int(stretch[values[stretch].argmax()])}
    chosen = np.array(sorted(kept))
    return steps[chosen], values[chosen]


def _lines(history: History, what: str, hover: str, scale: float = 1.0) -> list[go.Scatter]:
    lines = []
    for name, colour in _CURVES:
        line = curve(history, f"{what}_{name}")
        if len(line):
            steps, values = thin(line.steps, line.values)
            lines.append(
                go.Scatter(
                    x=steps,
                    y=values * scale,
                    mode="lines" if len(steps) > 1 else "markers",
                    name=name,
                    line={"color": colour, "width": 1.8},
                    hovertemplate=f"{name}: {hover}<extra></extra>",
                )
            )
    return lines


def _guessing(history: Rows, n_classes: int) -> go.Scatter:
    return go.Scatter(
        x=[history[0]["step"], history[-1]["step"]],
        y=[GUESSING.at(n_classes)] * 2,
        mode="lines",
        name=GUESSING.case,
        line={"color": SOFT, "width": 1, "dash": "dot"},
        hoverinfo="skip",
    )


def _decades(history: History) -> int:
    """Powers of ten between two ticks, for about six ticks."""
    values = np.concatenate([curve(history, f"loss_{name}").values for name, _ in _CURVES])
    values = values[values > 0]
    return max(1, round(np.log10(values.max() / values.min()) / 6)) if len(values) else 1
