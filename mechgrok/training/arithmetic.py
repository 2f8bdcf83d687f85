"""Threads and floating-point settings of a run, so that it continues bit for bit in another process."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mechgrok.training.subnormals import flushed_subnormals


@contextmanager
def steady_arithmetic(threads: int) -> Iterator[None]:
    """Within the context, results depend only on the processor, not on what the process did before.

    Sums are divided among threads, and the division determines how they are rounded: a run is computed in as many
    threads as it was started with. Setting the number also keeps MKL from using fewer of its own accord.
    Products of float32 are computed in float32, whatever `torch.set_float32_matmul_precision` allows elsewhere in the
    process, and subnormals are flushed.

    Args:
        threads: CPU threads to compute in.

    >>> with steady_arithmetic(3):
    ...     torch.get_num_threads()
    3
    """
    before, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    try:
        with flushed_subnormals():
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.set_num_threads(before)
