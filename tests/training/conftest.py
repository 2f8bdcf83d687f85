"""Shared code for tests of training."""

import signal
from collections.abc import Callable

import pytest

from mechgrok.training.updates import Updater


@pytest.fixture
def interrupt_at(monkeypatch) -> Callable[[int], None]:
    """interrupt_at(17): Ctrl-C is pressed during the update that leads to step 17, and never again."""

    def arm(reached: int) -> None:
        waiting = [reached]

        def interrupt_once(self, step, _call=Updater.__call__):
            if waiting == [step + 1]:
                waiting.clear()
                signal.raise_signal(signal.SIGINT)
            _call(self, step)

        monkeypatch.setattr(Updater, "__call__", interrupt_once)

    return arm
