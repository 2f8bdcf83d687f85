"""One way to open a network, whatever it is stored as."""

from pathlib import Path
from typing import Any

from mechgrok.config import NetworkConfig
from mechgrok.errors import CheckpointError
from mechgrok.models.files import read_model
from mechgrok.models.networks import Network
from mechgrok.runs import load_run, run_of
from mechgrok.shipped import folder_or_shipped
from mechgrok.tasks import Task


def load_model(
    path: str | Path,
    step: int | None = None,
    task: Task | None = None,
    config: NetworkConfig | None = None,
    *,
    layout: str | None = None,
) -> Network:
    """The network in a run folder or in a file, ours or other people's.

    Args:
        path: folder of a run, or the name of one that comes with mechgrok (`shipped_runs`), or a .safetensors,
            .pt or .pth file with named tensors. A checkpoint where a run put it has that run's task.
        step: of a run, the checkpoint; None takes the newest.
        task: what the network computes, where that is not stored with it and cannot be inferred.
        config: the fields that are set in it override what the tensors suggest, for what shapes cannot tell.
        layout: how the tensors are named and laid out; None detects it.

    Returns:
        The network; `model.layout` says what the file was taken for.

    Raises:
        CheckpointError: nothing there, or nothing that can be read; the text says why.
    """
    path = folder_or_shipped(path)
    if path.is_dir():
        model: Any = load_run(path).model(step)
    elif step is not None:
        raise CheckpointError(f"step={step} needs the folder of a run; {path} is a file or missing")
    else:
        model = read_model(path, layout=layout, config=config)
        run = run_of(path)
        model.task = model.task if run is None else run.task
    if task is not None:
        model.task = task
    return model
