"""Trackers: send the evaluations of a run, as they arrive, to experiment-tracking tools.

A tracker is anything with one method, `log(step, values)`. Three have names; their libraries are imported when
requested.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from mechgrok.errors import ConfigError, shown
from mechgrok.runs import Run
from mechgrok.spelling import unknown


@runtime_checkable
class Tracker(Protocol):
    """An object that receives every evaluation of a run.

    >>> class Printing:
    ...     def log(self, step, values):
    ...         print(step, sorted(values)[:2])
    >>> from mechgrok import ModelConfig, modular_task, train
    >>> run = train(modular_task("add", 5), steps=10, model=ModelConfig(d_model=16), tracker=Printing(), progress=False)
    0 ['accuracy_test', 'accuracy_train']
    10 ['accuracy_test', 'accuracy_train']
    """

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record the values at a step.

        Args:
            step: number of updates taken.
            values: the row of the history by name, without unmeasured values.
        """
        ...


def check_tracker(tracker: Any) -> None:
    """Check that something is a tracker, or the name of one whose library is installed.

    Raises:
        ConfigError: it is not; the message lists what is allowed.
    """
    if tracker is None or isinstance(tracker, Tracker):
        return
    if not isinstance(tracker, str):
        raise ConfigError(
            f"tracker is {', '.join(TRACKERS)}, or an object with a method log(step, values); got {shown(tracker)}"
        )
    if tracker not in TRACKERS:
        raise ConfigError(unknown("tracker", tracker, TRACKERS))
    _library(tracker)


@contextmanager
def tracking(tracker: "str | Tracker | None", run: Run) -> Iterator[Tracker | None]:
    """The tracker of a run, closed at the end of the context if it was opened for it.

    Raises:
        ConfigError: as `check_tracker`.
    """
    check_tracker(tracker)
    if not isinstance(tracker, str):
        yield tracker
        return
    with ExitStack() as closing:
        try:
            opened = closing.enter_context(TRACKERS[tracker](_library(tracker), run))
        except Exception as error:  # whatever their libraries raise
            raise ConfigError(f"the tracker {tracker!r} cannot be opened: {str(error)[:500]}") from error
        yield opened


def _library(tracker: str) -> Any:
    module, package = LIBRARIES[tracker]
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            f"tracker={tracker!r} needs {package}, which mechgrok does not install: pip install {package}"
        ) from None


class _Log:
    """A tracker that is a function."""

    def __init__(self, log: Callable[[int, Mapping[str, float]], object]) -> None:
        self._log = log

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._log(step, values)


def _settings(run: Run) -> dict[str, Any]:
    """Everything that determines a run, flattened for display in these tools."""
    train = run.config.train.to_json()
    model = {f"model.{name}": value for name, value in train.pop("model").items()}
    return {"task": run.task.name, "seed": run.config.seed, **train, **model}


@contextmanager
def _tensorboard(library: Any, run: Run) -> Iterator[Tracker]:
    """Event files in the folder `tensorboard` of the run."""
    writer = library.SummaryWriter(str(run.path / "tensorboard"))

    def log(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    try:
        yield _Log(log)
    finally:
        writer.close()


@contextmanager
def _wandb(library: Any, run: Run) -> Iterator[Tracker]:
    """A run of Weights & Biases in the project `mechgrok`, offline unless WANDB_MODE says otherwise.

    It is stored in the folder `wandb` of the run, and `wandb sync` uploads it.
    """
    mode = os.environ.get("WANDB_MODE", "offline")
    theirs = library.init(
        project="mechgrok", name=run.path.name, dir=str(run.path), config=_settings(run), mode=mode,
        reinit="create_new",
    )  # fmt: skip
    try:
        yield _Log(lambda step, values: theirs.log(dict(values), step=step))
    finally:
        theirs.finish()


@contextmanager
def _mlflow(library: Any, run: Run) -> Iterator[Tracker]:
    """A run of MLflow in the experiment `mechgrok`, in MLflow's usual place.

    By default this is a store in the current folder; MLFLOW_TRACKING_URI selects another.
    """
    client = library.MlflowClient()
    experiment = client.get_experiment_by_name("mechgrok")
    number = experiment.experiment_id if experiment else client.create_experiment("mechgrok")
    theirs = client.create_run(number, run_name=run.path.name).info.run_id
    for name, value in _settings(run).items():
        client.log_param(theirs, name, value)

    def log(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            client.log_metric(theirs, name, value, step=step)

    ended = "FAILED"
    try:
        yield _Log(log)
        ended = "FINISHED"
    finally:
        client.set_terminated(theirs, ended)


TRACKERS: dict[str, Callable[[Any, Run], Any]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
"""Functions that open a tracker for a run, by name."""
LIBRARIES = {
    "tensorboard": ("torch.utils.tensorboard", "tensorboard"),
    "wandb": ("wandb", "wandb"),
    "mlflow": ("mlflow", "mlflow"),
}
"""The module to import and the package that provides it, by name."""
