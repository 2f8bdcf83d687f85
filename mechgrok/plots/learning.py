"""Learning curves of a run: losses and accuracies, with the phases."""

import plotly.graph_objects as go

from mechgrok.analysis.curves import objective_of
from mechgrok.analysis.phases import find_phases
from mechgrok.errors import UndefinedMetricError
from mechgrok.plots.curves import accuracy_curves, loss_curves, n_classes_of
from mechgrok.plots.panels import in_panels
from mechgrok.registries import NATS, OBJECTIVES
from mechgrok.runs import Run


def learning_figure(run: Run) -> go.Figure:
    """Losses and accuracies of a run over its steps, with its phases shaded if its losses are cross-entropies.

    Raises:
        UndefinedMetricError: the run has not been evaluated yet.

    >>> import mechgrok as mg
    >>> task, small = mg.modular_task("add", 5), mg.ModelConfig(d_model=16)
    >>> run = mg.train(task, model=small, steps=20, progress=False)
    >>> [trace.name for trace in learning_figure(run).data][:2]
    ['train', 'test']
    """
    history = run.history
    if not history:
        raise UndefinedMetricError(f"{run.path} has no evaluation yet, so there is nothing to draw")
    phases = find_phases(history) if OBJECTIVES[objective_of(history)].unit == NATS else None
    losses = loss_curves(history, n_classes=n_classes_of(run.task), phases=phases)
    if run.task.score != "accuracy":
        return losses
    accuracies = accuracy_curves(history, phases=phases)
    accuracies.update_traces(showlegend=False)
    return in_panels([losses, accuracies], columns=1, legend=True)
