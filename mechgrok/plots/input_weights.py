"""What a network listens to while it learns: the weights of each input over the steps, under its accuracy."""

from collections.abc import Iterable

import plotly.graph_objects as go
import torch

from mechgrok.analysis.input_weights import input_norms
from mechgrok.errors import ConfigError
from mechgrok.plots.curves import accuracy_curves
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import OTHER, VERMILION, figure
from mechgrok.runs import Run
from mechgrok.tasks.parity import ParityTask


def input_weights(run: Run, relevant: Iterable[int] | None = None) -> go.Figure:
    """Accuracies, and below them the norm of the first layer's weights of each input, at the checkpoints.

    Args:
        run: the training of a `DenseConfig`.
        relevant: the inputs to draw in colour; default those of a parity task.

    Raises:
        UndefinedMetricError: a network of another kind.
        ConfigError: an input that there is not.

    >>> import mechgrok as mg
    >>> task = mg.parity_task(4, (0, 1))
    >>> run = mg.train(task, model=mg.DenseConfig(inputs="number", d_mlp=8), steps=20, progress=False)
    >>> [trace.name for trace in input_weights(run).data]
    ['train', 'test', 'relevant', 'relevant', 'others', 'others']
    """
    steps = run.steps
    norms = torch.stack([input_norms(run.model(step)) for step in steps])
    task = run.task
    chosen = task.relevant if relevant is None and isinstance(task, ParityTask) else relevant or ()
    coloured = sorted(set(chosen))
    if not set(coloured) <= set(range(norms.shape[1])):
        raise ConfigError(f"the network has the inputs 0 to {norms.shape[1] - 1}; got {coloured}")
    others = [i for i in range(norms.shape[1]) if i not in coloured]
    lines = [
        go.Scatter(
            x=steps,
            y=norms[:, i].numpy(),
            mode="lines",
            name=name,
            legendgroup=name,
            showlegend=i == members[0],
            line={"color": colour, "width": width},
            hovertemplate=f"input {i}: %{{y:.3g}} at step %{{x:,d}}<extra></extra>",
        )
        for name, members, colour, width in (
            ("relevant", coloured, VERMILION, 2),
            ("others", others, OTHER, 1),
        )
        for i in members
    ]
    weights = figure(lines, title="Weights of each input")
    weights.update_xaxes(title_text="step", rangemode="tozero", tickformat="~s")
    weights.update_yaxes(title_text="norm", rangemode="tozero")
    return in_panels([accuracy_curves(run.history), weights], columns=1, legend=True)
