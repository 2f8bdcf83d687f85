"""How many inputs go through a hand-written step at a time."""

from torch import Tensor

CHUNK_BYTES = 6 * 2**20
"""Size of one activation buffer of a chunk, so that two or three fit into the caches of a few cores. From a third of it
to four times as much the step takes about as long."""
GPU_CHUNK_BYTES = 2**28
"""The same on a device where calls are dear and the memory of a chunk is not."""


def rows_that_fit(width: int, like: Tensor) -> int:
    """Inputs in a chunk, for rows of this width in the precision and on the device of a weight.

    >>> import torch
    >>> rows_that_fit(625, torch.zeros(1))
    2516
    """
    room = GPU_CHUNK_BYTES if like.is_cuda else CHUNK_BYTES
    return max(room // (width * like.element_size()), 1)


def chunk_length(total: int, most: int) -> int:
    """Length of chunks of equal length, `most` at the most.

    >>> chunk_length(3830, 2516)
    1915
    """
    return -(-total // -(-total // most))
