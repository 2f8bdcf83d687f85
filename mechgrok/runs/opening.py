"""Find runs by their folder, by name, or by one of their checkpoints."""

from dataclasses import replace
from pathlib import Path

from mechgrok.door import door
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.own import Factory
from mechgrok.runs.folder import CHECKPOINTS, CONFIG, read_config
from mechgrok.runs.run import Run
from mechgrok.shipped import folder_or_shipped, which_shipped


@door
def load_run(path: str | Path, *, network: Factory | None = None) -> Run:
    """Open a run.

    Args:
        path: its folder, or the name of one of the runs shipped with mechgrok (`shipped_runs`).
        network: the function that makes the network, as given to `train`, for a run with a user-defined network.

    Raises:
        CheckpointError: there is no run in the folder, or its configuration is damaged.

    >>> load_run("add113-fast").task
    Task(add113: a b = -> 113 classes, 12769 inputs)
    """
    run = _open(folder_or_shipped(path))
    return run if network is None else replace(run, network=network)


def run_of(checkpoint: Path) -> Run | None:
    """The run to which a checkpoint file belongs, judged by its location; None for any other file."""
    folder = checkpoint.parent.parent
    return _open(folder) if checkpoint.parent.name == CHECKPOINTS and (folder / CONFIG).is_file() else None


def _open(path: Path) -> Run:
    file = path / CONFIG
    if not file.is_file():
        raise CheckpointError(
            f"{path} holds no run: there is no {CONFIG} in it, and it is none of those that come with "
            f"mechgrok{which_shipped(path)}"
        )
    try:
        return Run(path, read_config(file)[0])
    except (ConfigError, TypeError) as error:
        raise CheckpointError(
            f"{file} is damaged, of another version, or names what this program has not registered: {str(error)[:600]}"
        ) from None
