"""Compute every measure at every checkpoint."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

from mechgrok.algebra.bases import Label
from mechgrok.analysis.curves import Rows
from mechgrok.analysis.frequencies import find_key_frequencies
from mechgrok.config import NetworkConfig
from mechgrok.door import door
from mechgrok.errors import ActivationError, ConfigError, TaskError, UndefinedMetricError
from mechgrok.measures.registry import Measure, find_measures
from mechgrok.measures.snapshot import Snapshot
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.progress.columns import About, column_name
from mechgrok.progress.sources import Checkpoints, Source, open_checkpoints
from mechgrok.progress.table import LOSSES, Number, ProgressTable
from mechgrok.tasks import Split, Task
from mechgrok.training.progress_bars import bar

Values = dict[str, Number | str]
"""Numbers by column, or by measure the reason why there is none."""


@door
def progress_measures(
    run: Source,
    measures: Sequence[str | Measure] | None = None,
    keys: Iterable[Label] | None = None,
    *,
    steps: Sequence[int] | None = None,
    task: Task | None = None,
    split: Split | None = None,
    config: NetworkConfig | None = None,
    layout: str | None = None,
    rename: Mapping[str, str] | None = None,
    key: str | None = None,
    model: WrappedNetwork | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> ProgressTable:
    """Compute measures at every checkpoint of a training run, with the key frequencies of the last one.

    Args:
        run: a run, its folder, or the name of one that comes with mechgrok; or a folder or a list of checkpoint
            files, other people's too, which are ordered by the number in their names.
        measures: names from `MEASURES`, or measures; None takes the default set.
        keys: labels of the key blocks; None finds them in the logits of the last checkpoint that opens.
        steps: the checkpoints to measure; None takes all that open, and warns of those that do not.
        task, split: of checkpoint files, what was learned and on which inputs. Without a split, measures of
            train and test inputs are undefined. Of a run, they replace its own.
        config, layout, rename, key: of checkpoint files, what they do not tell of themselves, as in `load_model`.
        model: of a module of the user's own, the network that `wrap` made of it, for files of its state dicts.
        out: .csv or .parquet file of the table, written at the end and when the computation is cut off, by
            Ctrl-C or an error. Steps that are in it already are not computed again.
        progress: show a progress bar on standard error.

    Returns:
        A table with one row per step. A measure without a value for this network or task is None, and
        `table.undefined` gives the reason.

    Raises:
        ConfigError: an unknown measure, key or step; a file with other measures or keys.
        CheckpointError: no checkpoints, none that opens, or one of `steps` that does not.
        TaskError: the task of the files is not given and cannot be inferred.

    >>> from mechgrok import ModelConfig, modular_task, train
    >>> run = train(modular_task("add", 5), model=ModelConfig(d_model=16), steps=20, progress=False)
    >>> table = progress_measures(run, ["loss_train", "restricted_loss"], keys=[1], progress=False)
    >>> table.steps, table["loss_train"][0] > table["loss_train"][1], table.undefined
    ((0, 20), True, {})
    """
    reading = {"config": config, "layout": layout, "rename": rename, "key": key}
    checkpoints = open_checkpoints(run, task, split, reading, model)
    chosen = find_measures(measures, checkpoints.task)
    readable = _readable(checkpoints) if steps is None or keys is None else checkpoints
    wanted = readable.steps if steps is None else checkpoints.chosen(steps)
    labels = _last_keys(readable) if keys is None else checked_keys(keys, checkpoints.task)
    empty = _table({}, chosen, checkpoints.task, labels)
    rows = _already_in(out, empty)
    try:
        with bar(f"{checkpoints.task.name} measures", len(wanted), "checkpoint", enabled=progress) as tell:
            for number, step in enumerate(wanted, start=1):
                if step not in rows:
                    rows[step] = _values_at(checkpoints, step, chosen, labels)
                tell(number, f"step {step}")
    finally:
        table = replace(_table(rows, chosen, checkpoints.task, labels), history=_history(checkpoints, chosen))
        if out is not None and rows:
            table.save(out)
    return table


class ProgressRecorder:
    """Measure a network during training: `train(..., callback=recorder)`, then `recorder.table`.

    The keys of the last checkpoint are not known until it exists. Measures that need keys are undefined, unless
    keys are given; `progress_measures(run)` computes them afterwards.

    Args:
        measures: as in `progress_measures`.
        keys: labels of the key blocks, if known, for example from another seed's run or for a planted circuit.
        task: what is learned; None means the task that the network was built for.
        split: the inputs that are trained on; give the same split to `train`.

    >>> from mechgrok import ModelConfig, modular_task, train
    >>> task = modular_task("add", 5)
    >>> recorder = ProgressRecorder(["loss_test", "excluded_loss"], split=task.split(0.5))
    >>> run = train(
    ...     task, model=ModelConfig(d_model=16), steps=20, split=recorder.split, callback=recorder, progress=False
    ... )
    >>> recorder.table.steps, recorder.table["excluded_loss"]
    ((0, 20), (None, None))
    """

    def __init__(
        self,
        measures: Sequence[str | Measure] | None = None,
        *,
        keys: Iterable[Label] | None = None,
        task: Task | None = None,
        split: Split | None = None,
    ) -> None:
        self.measures = find_measures(measures)
        self.keys = None if keys is None else tuple(keys)
        self.task, self.split = task, split
        self._rows: dict[int, Values] = {}

    def __call__(self, step: int, model: Any) -> None:
        """Measure the network in its current state."""
        self.task = self.task or model.task
        if self.task is None:
            raise ConfigError("the network does not say what it learns; give the recorder task=...")
        if self.keys is not None:
            self.keys = checked_keys(self.keys, self.task)
        hooks = _hooks_of(self.measures)
        snapshot = Snapshot(step, model, self.task, self.split, self.keys, hooks)
        self._rows[step] = measured(snapshot, self.measures)

    @property
    def table(self) -> ProgressTable:
        """The measurements so far.

        Raises:
            UndefinedMetricError: there are none yet.
        """
        if not self._rows or self.task is None:
            raise UndefinedMetricError(
                "nothing has been recorded yet; give the recorder to train(callback=...)"
            )
        return _table(self._rows, self.measures, self.task, self.keys)


def measured(snapshot: Snapshot, measures: Sequence[Measure]) -> Values:
    """The values of some measures for one snapshot.

    Raises:
        ConfigError: a measure returned something that is neither a number nor numbers by part.
    """
    values: Values = {}
    for measure in measures:
        try:
            values |= _by_column(measure.name, measure(snapshot))
        except (UndefinedMetricError, ActivationError, TaskError) as reason:
            values[measure.name] = str(reason)
    return values


def checked_keys(keys: Iterable[Label], task: Task) -> tuple[Label, ...]:
    """The keys in the order of the task's basis; without keys, no basis is needed.

    Raises:
        ConfigError: one of them is not a label of the basis.
    """
    labels = tuple(keys)
    return task.frame.basis.check_labels(labels) if labels else ()


def _values_at(
    checkpoints: Checkpoints, step: int, measures: Sequence[Measure], keys: tuple[Label, ...]
) -> Values:
    model = checkpoints.load(step)
    snapshot = Snapshot(step, model, checkpoints.task, checkpoints.split, keys, _hooks_of(measures))
    return measured(snapshot, measures)


def _readable(checkpoints: Checkpoints) -> Checkpoints:
    readable, left_out = checkpoints.readable()
    for line in left_out:
        warnings.warn(line, stacklevel=4)  # the caller of `progress_measures`, in front of its door
    return readable


def _history(checkpoints: Checkpoints, measures: Sequence[Measure]) -> Rows:
    """The evaluations of the run, if the phases need a loss that is not among the measures."""
    return () if {measure.name for measure in measures}.issuperset(LOSSES) else checkpoints.history()


def _last_keys(checkpoints: Checkpoints) -> tuple[Label, ...]:
    """The key frequencies of the last checkpoint; none if the task has no group or the network is broken."""
    last = checkpoints.steps[-1]
    try:
        return find_key_frequencies(Snapshot(last, checkpoints.load(last), checkpoints.task).grid).frequencies
    except (TaskError, ActivationError):
        return ()


def _by_column(name: str, value: Any) -> Values:
    if isinstance(value, Mapping):
        return {column_name(name, part): _number(name, number) for part, number in value.items()}
    return {name: _number(name, value)}


def _number(name: str, value: Any) -> Number:
    if getattr(value, "ndim", None) == 0:
        value = value.item()  # from torch or numpy
    if not isinstance(value, int | float):
        raise ConfigError(
            f"the measure {name!r} returned {value!r}; it returns a number, or a mapping from parts to numbers, and "
            "raises UndefinedMetricError where there is none"
        )
    if not isfinite(value):
        raise UndefinedMetricError(f"the measure returned {value}")
    return value


def _hooks_of(measures: Sequence[Measure]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(hook for measure in measures for hook in measure.hooks))


def _table(
    rows: Mapping[int, Values], measures: Sequence[Measure], task: Task, keys: tuple[Label, ...] | None
) -> ProgressTable:
    about = {measure.name: About(measure.unit, measure.direction) for measure in measures}
    return ProgressTable.of_rows(rows, about, task=task.name, keys=keys)


def _already_in(out: str | Path | None, empty: ProgressTable) -> dict[int, Values]:
    """The rows of an earlier, interrupted computation of the same table."""
    if out is None or not Path(out).exists():
        return {}
    there = ProgressTable.load(out)
    if (there.task, there.keys, there.about) != (empty.task, empty.keys, empty.about):
        raise ConfigError(f"{out} holds other measures, keys or another task; choose another file")
    return there.by_step()
