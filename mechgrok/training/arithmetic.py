"""How a training computes, so that it goes on bit for bit in another process: its threads and its floats."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mechgrok.training.subnormals import flushed_subnormals


@contextmanager
def steady_arithmetic(threads: int) -> Iterator[None]:
    """Within the context results depend on the processor alone, and not on what the process did before.

    Sums are divided among threads, and where they are divided decides how they are rounded: a training is computed in
    as many threads as it was begun with. Setting the number also keeps MKL from taking fewer on its own account.
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
