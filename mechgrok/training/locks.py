"""A run is trained by one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from mechgrok.errors import CheckpointError
from mechgrok.runs import SPLIT, Run

try:
    import fcntl
except ImportError:  # Windows, where there is no lock
    fcntl = None


@contextmanager
def only_here(run: Run) -> Iterator[None]:
    """Within the context nobody else can train a run; a process that dies leaves it free.

    The lock lies on the file of the split, which a run always has and never writes again.

    Raises:
        CheckpointError: somebody trains it already.
    """
    with (run.path / SPLIT).open("rb") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CheckpointError(
                    f"another process trains the run in {run.path} right now; wait for it, or choose another folder"
                ) from None
            except OSError:
                pass  # a file system without locks
        yield
