"""Memory that the process may still use, and refusal of work that does not fit, before the allocator fails."""

from pathlib import Path

from mechgrok.errors import ConfigError

_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
_MEMINFO = Path("/proc/meminfo")


def memory_free() -> int | None:
    """Bytes that this process may still use, according to the system; None if unknown."""
    found = [limit for files in _LIMITS if (limit := _limit(*files)) is not None]
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError):
        pass
    return min(found, default=None)


ALL_INPUTS = (
    "All inputs with all their answers are evaluated: a smaller modulus or group takes less, "
    "by its third power"
)
"""Remedy for large tasks, which takes less memory."""


ANALYSED_LOGIT, ANALYSED_NEURON = 30, 25
"""Peak bytes of an analysis per logit and per neuron over all inputs, including the grid."""


def analysis_bytes(n_logits: int, n_neurons: int) -> int:
    """Estimate the peak memory of `summarize`, including the grid."""
    return ANALYSED_LOGIT * n_logits + ANALYSED_NEURON * n_neurons


def check_memory(what: str, needed: int, remedy: str = ALL_INPUTS) -> None:
    """Refuse work that does not fit before it begins, instead of letting the allocator fail.

    Args:
        what: the work, as the beginning of a sentence.
        needed: bytes needed.
        remedy: an alternative that takes less.

    Raises:
        ConfigError: there is too little memory; the text states the estimate, and what would take less.
    """
    free = memory_free()
    if free is not None and needed > free:
        raise ConfigError(
            f"{what} takes about {in_gib(needed)} of memory, and {in_gib(free)} are free. {remedy}"
        )


def in_gib(size: int) -> str:
    """Format a number of bytes.

    >>> in_gib(3 * 2**29)
    '1.5 GiB'
    """
    return f"{size / 2**30:z.1f} GiB" if size < 2**60 else f"more than {2**30} GiB"


def _limit(most: Path, taken: Path) -> int | None:
    try:
        limit, used = (int(file.read_text(encoding="ascii")) for file in (most, taken))
    except (OSError, ValueError):  # no such files, or "max" for no limit
        return None
    return max(limit - used + _cached(taken.with_name("memory.stat")), 0)


def _cached(statistics: Path) -> int:
    """Bytes of cached files, which the system releases on demand: they count as used, but are free."""
    try:
        lines = statistics.read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError):
        return 0
