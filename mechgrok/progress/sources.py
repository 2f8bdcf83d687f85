"""Sources of checkpoints: a mechgrok run, or a folder or list of anybody's files."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import exists
from pathlib import Path
from typing import Any, cast

from mechgrok.activations import fit_task, infer_task
from mechgrok.analysis.curves import Rows
from mechgrok.errors import CheckpointError, ConfigError, MechgrokError, shown
from mechgrok.loading import load_model
from mechgrok.models.files import read_tensors
from mechgrok.models.formats import SUFFIXES, file_in_folder
from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.opening import open_run
from mechgrok.runs import CONFIG, Run, readable_steps
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
    load: Callable[[int], HookedNetwork | WrappedNetwork]
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

    def readable(self) -> tuple["Checkpoints", tuple[str, ...]]:
        """Those that open, and a line for each that is left out.

        Raises:
            MechgrokError: none of them opens.
        """
        steps, left_out = readable_steps(self.steps, self.load)
        return replace(self, steps=steps), left_out


def open_checkpoints(
    source: Source,
    task: Task | None = None,
    split: Split | None = None,
    reading: Mapping[str, Any] | None = None,
    model: WrappedNetwork | None = None,
) -> Checkpoints:
    """Open the checkpoints of a run, of anything that `load_run` opens, or of files ordered by the number in
    their names.

    Args:
        task, split: of files, where they are known; a task that is not given is inferred from the last network. Of
            a run, they replace its own.
        reading: of files, arguments of `load_model`, for what they do not tell of themselves.
        model: of a module of somebody's own, the network that `wrap` made; the files hold its state dicts.

    Raises:
        CheckpointError: there are no checkpoints; names without a number, or with the same number.
        TaskError: the task of the files is not given and cannot be inferred.
    """
    if isinstance(source, str | Path):
        source = run_or_files(Path(source))
    if model is not None and not isinstance(model, WrappedNetwork):
        raise ConfigError(
            f"model is a network that mg.wrap made, for files of its state dicts; got {shown(model)}"
        )
    reading = {name: value for name, value in (reading or {}).items() if value is not None}
    if isinstance(source, Run):
        if reading:
            raise ConfigError(f"a run knows its own network; leave {', '.join(reading)} out")
        return _of_run(source, task, split, model)
    if not isinstance(source, Sequence) or not all(isinstance(file, str | Path) for file in source):
        raise ConfigError(
            f"expected a run, the folder of one, or a list of checkpoint files, got {shown(source)}; "
            "load_run(path) opens a run"
        )
    return _of_files(numbered([Path(file) for file in source]), task, split, reading, model)


def run_or_files(path: Path) -> Run | list[Path]:
    """The run in a folder, or of a name; or the files in a folder that have the suffixes of checkpoints.

    Raises:
        CheckpointError: neither.
    """
    is_run = exists(path / CONFIG) and file_in_folder(path) is None
    # A path that does not exist may be the name of a run that ships with mechgrok.
    return cast(Run, open_run(path)) if is_run or not exists(path) else _files_in(path)


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
    reading: Mapping[str, Any],
    model: WrappedNetwork | None,
) -> Checkpoints:
    if not files:
        raise CheckpointError("the list of checkpoint files is empty")
    steps = tuple(files)
    if model is not None:
        load = lambda step: model.with_weights(read_tensors(file_in_folder(files[step]) or files[step])[0])  # noqa: E731
        return Checkpoints(task or model.task, split, steps, load)
    last = _last_that_opens(files, reading)
    task = task or cast("Task | None", last.task)  # some layouts record what was learned
    task = fit_task(last, task) if task else infer_task(last)
    return Checkpoints(task, split, steps, lambda step: load_model(files[step], task=task, **reading))


def _last_that_opens(files: Mapping[int, Path], reading: Mapping[str, Any]) -> HookedNetwork:
    first: MechgrokError | None = None
    for file in reversed(list(files.values())):
        try:
            return load_model(file, **reading)
        except MechgrokError as error:
            first = first or error
    assert first is not None, "there is a file"
    raise first


def _files_in(folder: Path) -> list[Path]:
    if folder.suffix in SUFFIXES and folder.is_file():
        return [folder]
    files = sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES or file_in_folder(path))
    if not files:
        raise CheckpointError(f"{folder} is no run and has no files {', '.join(SUFFIXES)} in it")
    return files
