"""Flush subnormal floats to zero while a network is trained, in every thread that computes."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import ThreadpoolController

_Work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@contextmanager
def flushed_subnormals() -> Iterator[None]:
    """Within the context, subnormal floats count as zero; afterwards the previous setting is restored.

    Once a network has memorised, most of its probabilities are subnormal, and arithmetic on them is several times
    slower. Each thread of a process has its own setting, inherited by the threads that it starts. torch's threads
    start with the first parallel operation, usually long before training, so each one must be set.

    This needs an OpenMP library with GNU's entry point, which torch has on Linux; elsewhere only the calling thread is
    set, with the threads started later. Processors without the setting are left unchanged.

    >>> with flushed_subnormals():
    ...     (torch.full((4,), 1e-38) * 1e-2).count_nonzero().item()
    0
    """
    before, threads = _flushed_here(), torch.get_num_threads()
    try:
        _set_everywhere(True, threads)
        yield
    finally:
        _set_everywhere(before, max(threads, torch.get_num_threads()))


def _flushed_here() -> bool:
    return (torch.tensor(1e-38, dtype=torch.float32, device="cpu") * 1e-2).item() == 0


def _set_everywhere(flush: bool, threads: int) -> None:
    torch.set_flush_denormal(flush)
    if threads == 1:
        return

    @_Work
    def set_this_thread(_: int | None) -> None:
        torch.set_flush_denormal(flush)

    for library in ThreadpoolController().select(user_api="openmp").lib_controllers:
        run_in_threads = getattr(library.dynlib, "GOMP_parallel", None)
        if run_in_threads:
            run_in_threads(set_this_thread, None, threads, 0)
