"""The inputs that analyses accept, and the network behind them."""

from os import PathLike
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from torch import Tensor, nn

from mechgrok.activations.grid import ActivationGrid
from mechgrok.errors import ActivationError, shown
from mechgrok.models.protocol import HookedModel
from mechgrok.opening import GridSource, Openable, is_run, open_network
from mechgrok.tasks import Task

if TYPE_CHECKING:
    Source = ActivationGrid | HookedModel | GridSource | Openable
else:
    Source = Any  # `as_grid` refuses anything else with an explanation
"""The input of an analysis: an `ActivationGrid`; a network (`HookedModel`), from which a grid is cached; a `Run`, for
its newest network; the name of a run that ships with mechgrok; the folder of a run; or the file of a network."""

ORDER = "The network comes first, then the task: cache_grid(model, task)"


def as_network(source: Source) -> HookedModel:
    """The network itself, or the network of a run, or of the name or file of one.

    Raises:
        ActivationError: it is something else; the text states what can be done with it.
        CheckpointError: a name or file that cannot be opened.
    """
    if isinstance(source, str | PathLike):
        return open_network(source)
    if is_run(source):
        return cast("GridSource", source).model()
    if isinstance(source, HookedModel):
        return source
    raise ActivationError(
        "expected a network with TransformerLens hooks, an ActivationGrid, a Run, or the name or file of one; "
        f"got {shown(source)}. {_way_out(source)}"
    )


def _way_out(source: object) -> str:
    if isinstance(source, ActivationGrid):
        return "A grid is a network's activations already; hand it to the analysis"
    if isinstance(source, nn.Module):
        return (
            "A module without these hooks becomes such a network by mg.wrap(module, task, hooks=..., weights=...); "
            "its logits and activations alone are analysed by mg.grid_from_tensors(task, logits, activations)"
        )
    if isinstance(source, Task):
        return f"That is a task. {ORDER}"
    if isinstance(source, Tensor | np.ndarray):
        return "Logits of all inputs become a grid by mg.grid_from_tensors(task, logits)"
    return "mg.load_model(path) opens a network, mg.load_run(path) a run"
