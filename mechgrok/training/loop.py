"""The loop of a training, the same for one network and for several side by side."""

from abc import ABC, abstractmethod
from pathlib import Path

import torch

from mechgrok.training.arithmetic import steady_arithmetic
from mechgrok.training.interrupts import deferred_interrupt
from mechgrok.training.progress_bars import Report


class Loop(ABC):
    """What is trained step by step.

    Attributes:
        step: number of updates taken.
        threads: CPU threads to compute in; None takes those that the process has.
        path: folder from which the same call goes on; None for a temporary one.
    """

    step: int
    threads: int | None
    path: Path | None

    @abstractmethod
    def visit(self, report: Report) -> bool:
        """Evaluate and keep what is due at this step; whether the end is reached."""

    @abstractmethod
    def update(self) -> None:
        """Take one step."""

    @abstractmethod
    def save_state(self) -> None:
        """Write down all that is needed to go on from this step."""

    def go(self, report: Report) -> None:
        """Train to the end.

        Raises:
            KeyboardInterrupt: Ctrl-C; the state is saved, and the text says how to go on.
        """
        threads = self.threads or torch.get_num_threads()
        with deferred_interrupt() as interrupted, steady_arithmetic(threads):
            while not self.visit(report):
                if interrupted():
                    self.save_state()
                    raise KeyboardInterrupt(f"stopped at step {self.step}; {self._way_on()}")
                self.update()
            if interrupted():  # whoever trains one network after the other must hear of it
                raise KeyboardInterrupt(f"stopped at step {self.step}, the last; {self._way_on()}")

    def _way_on(self) -> str:
        if self.path is None:
            return "nothing of it is kept, because it was given no folder; out=... keeps it"
        return f"the same call goes on from {self.path}"
