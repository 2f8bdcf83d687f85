"""What studies share: they sweep over some settings, and judge each network while its run is there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from mechgrok.experiments.kept import folder_for
from mechgrok.runs import Run
from mechgrok.sweeps.settings import Setting
from mechgrok.sweeps.sweep import Sweep, sweep

T = TypeVar("T")


@contextmanager
def swept(
    settings: Sequence[Setting], *, out: str | Path | None, workers: int | None, progress: bool
) -> Iterator[Sweep]:
    """Train each setting alone, so that it becomes bit for bit what `train` makes of it.

    Args:
        out, workers, progress: as in `sweep`; without a folder the runs are there within the context alone, but in a
            reproduction, see `mechgrok.experiments.kept`.
    """
    if out is None:
        out = folder_for(f"{settings[0].task.name}-sweep", [setting.digest for setting in settings])
    with TemporaryDirectory(prefix="mechgrok-") if out is None else nullcontext(out) as folder:
        yield sweep(settings, out=folder, keep="all", stacked=False, workers=workers, progress=progress)


def train_and_judge(
    settings: Sequence[Setting],
    judge: Callable[[Run], T],
    *,
    out: str | Path | None,
    workers: int | None,
    progress: bool,
) -> tuple[tuple[T, ...], dict[str, str]]:
    """What a study finds in the run of each setting, in their order, and name and error of those that failed."""
    with swept(settings, out=out, workers=workers, progress=progress) as found:
        judged = tuple(judge(member.run) for member in found.members if member.run is not None)
    return judged, {row.folder: row.error or "" for row in found.failed}
