"""Locks that let only one process at a time train a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from filelock import FileLock, Timeout

from mechgrok.errors import CheckpointError
from mechgrok.runs import LOCK, Run

_PATIENCE: ContextVar[float] = ContextVar("patience", default=0.0)


@contextmanager
def waiting_for_others() -> Iterator[None]:
    """Within the context a run that another process trains is waited for, and is no error."""
    token = _PATIENCE.set(-1.0)
    try:
        yield
    finally:
        _PATIENCE.reset(token)


@contextmanager
def only_here(run: Run | Path) -> Iterator[None]:
    """Within the context, no other process can start or train the run; a process that dies releases it.

    The lock is held on a separate file that is never replaced, so that two processes that start in the same folder
    at once meet there.

    Args:
        run: the run, or the folder in which one is to be created.

    Raises:
        CheckpointError: another process is training it, or the folder cannot be written.
    """
    folder = run.path if isinstance(run, Run) else run
    lock = FileLock(folder / LOCK, timeout=_PATIENCE.get())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise CheckpointError(
            f"another process trains the run in {folder} right now; wait for it, or choose another folder"
        ) from None
    except OSError as error:
        why = "it is a file, and a run needs a folder" if folder.is_file() else str(error)
        raise CheckpointError(f"cannot write {folder}: {why}") from error
    try:
        yield
    finally:
        lock.release()


def tidy(run: Run) -> None:
    """Remove files left half-written by a killed process in a run that is no longer being trained."""
    if not run.partial():
        return
    try:
        with only_here(run):
            run.remove_partial()
    except CheckpointError:
        pass  # another process is training it, or it is read-only
