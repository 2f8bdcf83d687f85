"""The loop of a training, the same for one network and for several side by side."""

from abc import ABC, abstractmethod
from pathlib import Path

from mechgrok.training.display import Report
from mechgrok.training.interrupts import deferred_interrupt


class Loop(ABC):
    """What is trained step by step.

    Attributes:
        step: number of updates taken.
        path: folder from which the same call goes on.
    """

    step: int
    path: Path

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
            KeyboardInterrupt: Ctrl-C; the state is saved.
        """
        with deferred_interrupt() as interrupted:
            while not self.visit(report):
                if interrupted():
                    self.save_state()
                    raise KeyboardInterrupt(
                        f"stopped at step {self.step}; the same call goes on from {self.path}"
                    )
                self.update()
