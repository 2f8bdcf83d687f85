"""What tests of trainings share."""

import signal
from collections.abc import Callable

import pytest

from mechgrok.training.optimizers import Updater


@pytest.fixture
def interrupt_at(monkeypatch) -> Callable[[int], None]:
    """interrupt_at(17): Ctrl-C is pressed while the 17th update from now is under way, and never again."""

    def arm(update: int) -> None:
        updates = {"left": update}

        def interrupt_after_some(self, step, _call=Updater.__call__):
            updates["left"] -= 1
            if updates["left"] == 0:
                signal.raise_signal(signal.SIGINT)
            _call(self, step)

        monkeypatch.setattr(Updater, "__call__", interrupt_after_some)

    return arm
