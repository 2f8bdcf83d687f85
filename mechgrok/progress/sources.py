"""Sources of checkpoints: a mechgrok run, or a folder or list of anybody's files."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os.path import exists
from pathlib import Path
from typing import cast

from mechgrok.activations import fit_task, infer_task
from mechgrok.analysis.curves import Rows
from mechgrok.config import NetworkConfig
from mechgrok.errors import CheckpointError, ConfigError, shown
from mechgrok.loading import load_model
from mechgrok.models.files import read_tensors
from mechgrok.models.formats import SUFFIXES, file_in_folder
from mechgrok.models.networks import Network
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.opening import open_run
from mechgrok.runs import CONFIG, Run
from mechgrok.tasks import Split, Task

Source = Run | str | Path | Sequence[str | Path]


@dataclass(frozen=True, eq=False)
class Checkpoints:
    """The networks of one training run.

    Attributes:
        task: what was learned.
        split: the inputs that were trained on, if known.
        steps: steps of the checkpoints, ascending.
        load: the network at one of these steps.
        history: reads the evaluations during training; empty for files, or if another task or split is requested.
    """

    task: Task
    split: Split | None
    steps: tuple[int, ...]
    load: Callable[[int], Network | WrappedNetwork]
    history: Callable[[], Rows] = tuple

    def chosen(self, steps: Sequence[int] | None) -> tuple[int, ...]:
        """The requested steps, in ascending order; all if None.

        Raises:
            ConfigError: one of them has no checkpoint.
        """
        wanted = self.steps if steps is None else tuple(sorted({int(step) for step in steps}))
        missing = [step for step in wanted if step not in self.steps]
        if missing or not wanted:
            raise ConfigError(
                f"there is no checkpoint at the steps {missing}; there are {len(self.steps)} from "
                f"{self.steps[0]} to {self.steps[-1]}"
                if missing
                else "steps names no checkpoint; None takes all"
            )
        return wanted


def open_checkpoints(
    source: Source,
    task: Task | None = None,
    split: Split | None = None,
    config: NetworkConfig | None = None,
    model: WrappedNetwork | None = None,
) -> Checkpoints:
    """Open the checkpoints of a run, of anything that `load_run` opens, or of files numbered by their names.

    Args:
        task, split: for files, if known; a task that is not given is inferred from the last network. For a run,
            they replace its own.
        config: for files, facts that their tensors do not tell, as in `load_model`.
        model: for a user-defined module, the network that `wrap` made of it; the files hold its state dicts.

    Raises:
        CheckpointError: there are no checkpoints; names without a number, or with the same number.
        TaskError: the task of the files is not given and cannot be inferred.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        is_run = exists(path / CONFIG) and file_in_folder(path) is None
        # A path that does not exist may be the name of a run that ships with mechgrok.
        source = open_run(path) if is_run or not exists(path) else _files_in(path)
    if model is not None and not isinstance(model, WrappedNetwork):
        raise ConfigError(
            f"model is a network that mg.wrap made, for files of its state dicts; got {shown(model)}"
        )
    if isinstance(source, Run):
        return _of_run(source, task, split, model)
    if not isinstance(source, Sequence) or not all(isinstance(file, str | Path) for file in source):
        raise ConfigError(
            f"expected a run, the folder of one, or a list of checkpoint files, got {shown(source)}; "
            "load_run(path) opens a run"
        )
    return _of_files(numbered([Path(file) for file in source]), task, split, config, model)


def numbered(files: Sequence[Path]) -> dict[int, Path]:
    """Files by the last number in their names, ascending; that number is the step.

    Raises:
        CheckpointError: a name without a number, or two with the same number.

    >>> list(numbered([Path("p113_epoch_900.pth"), Path("p113_epoch_1000.pth")]))
    [900, 1000]
    """
    found: dict[int, Path] = {}
    for file in files:
        numbers = re.findall(r"\d+", file.stem)
        if not numbers:
            raise CheckpointError(
                f"{file.name} has no number in its name that could be its step; give the files of the "
                "checkpoints as a list"
            )
        step = int(numbers[-1])
        if step in found:
            raise CheckpointError(f"{found[step].name} and {file.name} have the same number {step}")
        found[step] = file
    return dict(sorted(found.items()))


def _of_run(run: Run, task: Task | None, split: Split | None, model: WrappedNetwork | None) -> Checkpoints:
    if not run.steps:
        raise CheckpointError(f"{run.path} has no checkpoint yet")
    load = run.model if model is None else lambda step: model.with_weights(run.weights(step))
    history = (lambda: run.history) if task is None and split is None else tuple
    return Checkpoints(task or run.task, split or run.split, run.steps, load, history)


def _of_files(
    files: dict[int, Path],
    task: Task | None,
    split: Split | None,
    config: NetworkConfig | None,
    model: WrappedNetwork | None,
) -> Checkpoints:
    if not files:
        raise CheckpointError("the list of checkpoint files is empty")
    steps = tuple(files)
    if model is not None:
        load = lambda step: model.with_weights(read_tensors(file_in_folder(files[step]) or files[step])[0])  # noqa: E731
        return Checkpoints(task or model.task, split, steps, load)
    last = load_model(files[steps[-1]], config=config)
    task = task or cast("Task | None", last.task)  # some layouts record what was learned
    task = fit_task(last, task) if task else infer_task(last)
    return Checkpoints(task, split, steps, lambda step: load_model(files[step], task=task, config=config))


def _files_in(folder: Path) -> list[Path]:
    if folder.suffix in SUFFIXES and folder.is_file():
        return [folder]
    files = sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES or file_in_folder(path))
    if not files:
        raise CheckpointError(f"{folder} is no run and has no files {', '.join(SUFFIXES)} in it")
    return files
