"""sweep: train many settings in one folder, with one table of their outcomes."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from joblib import cpu_count
from rich.console import Console

from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import CheckpointError, ConfigError, shown
from mechgrok.measures.registry import find_measures
from mechgrok.readable import Records
from mechgrok.runs import Run, load_run
from mechgrok.sweeps.members import Finish, Keep, clear, row_of
from mechgrok.sweeps.settings import Setting, check_settings
from mechgrok.sweeps.table import TABLE, MemberRow, read_row, read_rows, write_sweep_table
from mechgrok.training.devices import find_device
from mechgrok.training.engines import Backend, check_engine, engine_of
from mechgrok.training.folders import as_folder
from mechgrok.training.groups import in_groups
from mechgrok.training.many import Member
from mechgrok.training.processes import Job, train_in_processes
from mechgrok.training.trackers import check_tracker


@dataclass(frozen=True, eq=False)
class Sweep(Drawable):
    """Trainings that differ in a few settings, and their outcomes.

    `sweep.frame()` is the table as a pandas frame, `sweep.figure(x="lr", y="weight_decay", value="kind")` a phase
    diagram.

    Attributes:
        path: the folder of the members.
        rows: one for each member, in order. Its `settings`, and its `outcome`: `last_step`, `kind` of learning (Liu et
            al. 2022), first step of each milestone, `grokked` and `grokked_for_good`, the last evaluation, and the
            measures that were asked for; or the `error` of a member that failed.
    """

    path: Path
    rows: Records[MemberRow]

    @property
    def varied(self) -> tuple[str, ...]:
        """The fields in which the members differ."""
        names = dict.fromkeys(name for row in self.rows for name in row.settings)
        return tuple(name for name in names if len({row.settings.get(name) for row in self.rows}) > 1)

    def records(self) -> list[dict[str, Any]]:
        return self.rows.records()

    @property
    def failed(self) -> Records[MemberRow]:
        """The rows of the members that failed, each with its `error`."""
        return Records(row for row in self.rows if row.error is not None)

    @cached_property
    def members(self) -> Records[Member]:
        """Every member with its run; which checkpoints remain depends on `keep`."""
        return Records(self._member(row) for row in self.rows)

    def run(self, **fields: Any) -> Run:
        """The run of the only member with these values, as in `sweep.run(lr=1e-2, seed=0)`.

        Raises:
            ConfigError: no member has them, or several have; the member failed.
        """
        found = [row for row in self.rows if fields.items() <= row.settings.items()]
        if len(found) != 1:
            raise ConfigError(
                f"{len(found)} members have {shown(fields)}; the members differ in {', '.join(self.varied)}"
            )
        member = self._member(found[0])
        if member.run is None:
            raise ConfigError(f"{member.name} failed: {member.error}")
        return member.run

    def _member(self, row: MemberRow) -> Member:
        return Member(row.folder, None if row.error else load_run(self.path / row.folder), row.error)

    def __repr__(self) -> str:
        bad = f", {len(self.failed)} failed" if self.failed else ""
        grokked = sum(row.outcome.get("grokked") is not None for row in self.rows)
        differ = f" over {', '.join(self.varied)}" if self.varied else ""
        return f"Sweep({len(self.rows)} networks{differ}; {grokked} grokked{bad})"


@door
def sweep(
    runs: Sequence[Setting],
    *,
    out: str | Path,
    measures: Iterable[str] = (),
    keep: Keep = "last",
    stacked: bool | None = None,
    workers: int | None = None,
    backend: Backend | None = None,
    device: str | torch.device | None = None,
    tracker: str | None = None,
    progress: bool = True,
) -> Sweep:
    """Train all settings in parallel and collect their outcomes.

    The same call goes on where it was stopped, by Ctrl-C or by a kill: finished members are recognised by a digest
    of their whole configuration and are not trained again, interrupted ones go on. A sweep with more values trains
    only what is new. A member that fails is tried once more; its error stands in the table, and the others are kept.

    Args:
        runs: what `vary` gives; such lists can be added.
        out: folder for the members, each in a folder of its own, and for their table.
        measures: names from `mechgrok.MEASURES`; the table has their values at the last checkpoint.
        keep: the checkpoints that stay on the disk: "all" that the configurations ask for, the "last" of each member,
            or "none". Configuration, history and row always stay.
        stacked: train members of one architecture as one network. None does so where it is measured to take less time;
            their losses are then those of the members alone up to rounding. False trains each alone, and it becomes
            bit for bit what `train` makes of it. True stacks wherever there is a step by hand.
        workers: processes at a time; None takes one for each processor.
        backend: "dask" or "ray", whose workers train in place of processes on this machine: of the cluster that this
            process is connected with, or that the engine finds by itself, else of a new one on this machine.
        device: where to train, as in `train`.
        tracker: name of what is told the evaluations of every member, as in `train`.
        progress: show a progress bar on standard error.

    Raises:
        ConfigError: no settings, or one twice; an unknown measure; a device that is not there.
        KeyboardInterrupt: Ctrl-C; the same call goes on.

    >>> from mechgrok import ModelConfig, modular_task, vary
    >>> runs = vary(task=modular_task("add", 5), lr=[1e-3, 1e-2], d_model=16, steps=20)
    >>> found = sweep(runs, out="sweeps/lr", progress=False)  # doctest: +SKIP
    >>> found.frame()[["lr", "accuracy_test"]]  # doctest: +SKIP
    """
    settings = _checked(runs)
    names = tuple(measures)
    if names:
        find_measures(list(names))
    check_tracker(tracker)
    check_engine(backend, workers)
    folder, device = as_folder(out), find_device(device)
    if folder is None:
        raise ConfigError("sweep needs a folder for its members, out=...; got None")
    folder = folder.absolute()  # a process that is used again may have been started in another folder
    places = _places(folder, settings)
    stored = _stored(folder)
    left = [setting for setting in settings if not _is_done(stored.get(setting.digest), names)]
    for digest in places.keys() - {setting.digest for setting in left}:
        clear(places[digest], keep)  # killed between its row and this, or another `keep` before
    errors: dict[str, str] = {}
    try:
        for _ in range(2):  # whatever fails is tried once more
            jobs = {
                s.digest: Job(
                    s.task,
                    s.config,
                    s.seed,
                    places[s.digest],
                    then=Finish(s, names, keep),
                    tracker=tracker,
                    checkpoints=keep == "all",
                )
                for s in left
            }
            errors = _train(jobs, workers, backend, device, stacked, progress)
            left = [setting for setting in left if setting.digest in errors]
    finally:
        rows = _rows(settings, places, stored, errors)
        if rows:
            write_sweep_table(folder / TABLE, (stored | rows).values())
    return Sweep(folder, Records(rows.values()))


@door
def load_sweep(path: str | Path) -> Sweep:
    """Open a folder written by `sweep`, with all of its members, even from several calls.

    The table is read in one piece; if it is lost, or a call was killed before it was written, the rows that lie in the
    folders of the members take its place.

    Raises:
        CheckpointError: there is no sweep in the folder.
    """
    try:
        rows = _stored(Path(path))
    except OSError as error:  # a name that no file can have
        raise CheckpointError(f"{shown(str(path))} holds no sweep: {error.strerror}") from None
    if not rows:
        raise CheckpointError(f"{path} holds no sweep; mechgrok.sweep(runs, out=...) writes one")
    return Sweep(Path(path), Records(rows.values()))


def _stored(folder: Path) -> dict[str, MemberRow]:
    """All rows in a folder by digest, from the table and from members that are not in it yet."""
    rows = read_rows(folder / TABLE)
    names = {row.folder for row in rows.values()}
    members = (
        [place for place in folder.iterdir() if place.name not in names and place.is_dir()]
        if folder.is_dir()
        else []
    )
    found = [row for place in sorted(members) if (row := read_row(place)) is not None]
    return rows | {row.digest: row for row in found}


def _checked(runs: Sequence[Setting]) -> list[Setting]:
    wrong = [run for run in runs if not isinstance(run, Setting)]
    if wrong:
        raise ConfigError(f"sweep takes the settings that mechgrok.vary gives; got {shown(wrong[0])}")
    settings = list(runs)
    check_settings(settings)
    return settings


def _is_done(row: MemberRow | None, measures: tuple[str, ...]) -> bool:
    """Whether a member has been trained and all requested measures exist."""
    if row is None or row.error is not None:
        return False
    measured = {column.partition("[")[0] for column in row.outcome}
    return measured.issuperset(measures)


def _places(folder: Path, settings: Sequence[Setting]) -> dict[str, Path]:
    """The folder of each setting, by digest: the one that an earlier call began under another name, or a new one."""
    begun = {place.name.rpartition("-")[2]: place for place in folder.iterdir()} if folder.is_dir() else {}
    return {s.digest: begun.get(s.digest, folder / s.folder) for s in settings}


def _train(
    jobs: Mapping[str, Job],
    workers: int | None,
    backend: Backend | None,
    device: torch.device,
    stacked: bool | None,
    progress: bool,
) -> dict[str, str]:
    """Train the members and return the errors of the failed ones, by digest."""
    if not jobs:
        return {}
    with nullcontext() if backend is None else engine_of(backend) as engine:
        side_by_side = (workers or cpu_count()) if engine is None else engine.workers
        found = in_groups(list(jobs.values()), side_by_side, stacked)
        if progress:
            Console(stderr=True).print("; ".join(found.words), highlight=False)
        failures = train_in_processes(
            found.groups, device=device, workers=workers, progress=progress, engine=engine
        )
    return {digest: failures[job.path] for digest, job in jobs.items() if job.path in failures}


def _rows(
    settings: Sequence[Setting],
    places: Mapping[str, Path],
    stored: Mapping[str, MemberRow],
    errors: Mapping[str, str],
) -> dict[str, MemberRow]:
    """The rows of all finished settings, in order, by digest."""
    ended: dict[str, MemberRow] = {}
    for setting in settings:
        digest, place = setting.digest, places[setting.digest]
        error = errors.get(digest)
        row = row_of(setting, place, {}, error) if error else read_row(place) or stored.get(digest)
        if row is not None:
            ended[digest] = replace(row, settings=setting.record())  # what varies, varies in this call
    return ended
