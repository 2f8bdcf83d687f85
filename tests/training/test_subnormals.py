"""Subnormal floats during training, in threads that ran before it."""

import sys

import pytest
import torch

from mechgrok import modular_task, train
from mechgrok.training.subnormals import flushed_subnormals

pytestmark = pytest.mark.bits

SUBNORMAL = torch.full((1_000_000,), 1e-40)
"""Enough for two threads."""


@pytest.fixture(autouse=True)
def two_running_threads():
    """Threads that torch has started before anybody asks for the setting, as in any process of a user."""
    if sys.platform != "linux":
        pytest.skip("the threads of torch can be told on Linux alone")
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal floats")
    torch.set_flush_denormal(False)
    torch.set_num_threads(2)
    assert left_over() == len(SUBNORMAL)


def left_over() -> int:
    """How many products come out as subnormal numbers; compared as integers, which nothing flushes."""
    return int((SUBNORMAL * torch.ones_like(SUBNORMAL)).view(torch.int32).count_nonzero())


def test_within_the_context_no_thread_computes_with_subnormals():
    with flushed_subnormals():
        assert left_over() == 0
    assert left_over() == len(SUBNORMAL)


def test_the_setting_is_put_back_after_an_error():
    with pytest.raises(KeyboardInterrupt), flushed_subnormals():
        raise KeyboardInterrupt
    assert left_over() == len(SUBNORMAL)


def test_who_flushes_already_goes_on_doing_so():
    with flushed_subnormals(), flushed_subnormals():
        pass
    with flushed_subnormals():
        with flushed_subnormals():
            pass
        assert left_over() == 0


def test_it_holds_with_float64_as_the_default():
    torch.set_default_dtype(torch.float64)
    try:
        with flushed_subnormals():
            with flushed_subnormals():
                pass
            assert left_over() == 0
    finally:
        torch.set_default_dtype(torch.float32)
    assert left_over() == len(SUBNORMAL)


def test_threads_that_were_sent_to_sleep_meanwhile_are_set_back():
    with flushed_subnormals():
        torch.set_num_threads(1)
    torch.set_num_threads(2)
    assert left_over() == len(SUBNORMAL)


def test_a_training_flushes_in_every_thread():
    counts = []
    train(
        modular_task("add", 5),
        steps=1,
        progress=False,
        callback=lambda step, model: counts.append(left_over()),
    )
    assert counts
    assert set(counts) == {0}
    assert left_over() == len(SUBNORMAL)
