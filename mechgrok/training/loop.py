"""The training loop, shared by single networks and by several in parallel."""

from abc import ABC, abstractmethod
from pathlib import Path

import torch

from mechgrok.training.arithmetic import steady_arithmetic
from mechgrok.training.interrupts import deferred_interrupt
from mechgrok.training.progress_bars import Report


class Loop(ABC):
    """Something that is trained step by step.

    Attributes:
        step: number of updates taken.
        threads: CPU threads to compute in; None uses the process's own number.
        path: folder from which the same call resumes; None for a temporary one.
    """

    step: int
    threads: int | None
    path: Path | None

    @abstractmethod
    def visit(self, report: Report) -> bool:
        """Evaluate and save whatever is due at this step; return whether the end is reached."""

    @abstractmethod
    def update(self) -> None:
        """Take one step."""

    @abstractmethod
    def save_state(self) -> None:
        """Write everything needed to resume from this step."""

    def go(self, report: Report) -> None:
        """Train to the end.

        Raises:
            KeyboardInterrupt: Ctrl-C; the state is saved, and the message says how to resume.
        """
        threads = self.threads or torch.get_num_threads()
        with deferred_interrupt() as interrupted, steady_arithmetic(threads):
            while not self.visit(report):
                if interrupted():
                    self.save_state()
                    raise KeyboardInterrupt(f"stopped at step {self.step}; {self._way_on()}")
                self.update()
            if interrupted():  # code that trains one network after the other must notice it
                raise KeyboardInterrupt(f"stopped at step {self.step}, the last; {self._way_on()}")

    def _way_on(self) -> str:
        if self.path is None:
            return "nothing of it is kept, because it was given no folder; out=... keeps it"
        return f"the same call goes on from {self.path}"
