"""How much memory a training takes, and whether there is so much."""

from pathlib import Path

import torch

from mechgrok.config import CustomConfig, NetworkConfig, TrainConfig
from mechgrok.errors import ConfigError
from mechgrok.tasks import Task
from mechgrok.training.devices import find_device

AT_LEAST = 128 * 2**20
"""Bytes of a small training or analysis, beside what Python and torch take."""
PER_LOGIT = 30
"""Bytes of a training for each logit over all inputs, which an evaluation has in several copies and in float64."""
ANALYSED_LOGIT, ANALYSED_NEURON = 21, 50
"""Bytes of an analysis for each logit and each neuron over all inputs."""
LARGE = 2**30
"""Bytes from which it is worth a word."""
_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
_MEMINFO = Path("/proc/meminfo")


def training_memory(task: Task, config: TrainConfig) -> int:
    """An estimate of the bytes that a training takes at its peak, which is in its evaluations.

    >>> from mechgrok.tasks import modular_task
    >>> training_memory(modular_task("add", 251), TrainConfig()) / 2**20 < 800
    True
    """
    n_logits = task.n_inputs * (task.n_classes + (config.model.kind == "transformer"))
    return AT_LEAST + PER_LOGIT * n_logits


def check_training_memory(task: Task, config: TrainConfig, device: str | torch.device | None = None) -> int:
    """The estimate of a training, refused where it does not fit; on a GPU the memory is the GPU's, which torch checks.

    Raises:
        ConfigError: there is too little memory, or no such device.
    """
    needed = training_memory(task, config)
    if find_device(device).type == "cpu":
        check_memory(f"training on {task.name}", needed)
    return needed


def analysis_memory(task: Task, model: NetworkConfig | CustomConfig) -> int:
    """An estimate of the bytes that `summarize` takes for a network with a grid of all inputs."""
    return AT_LEAST + task.n_inputs * (
        ANALYSED_LOGIT * task.n_classes + ANALYSED_NEURON * getattr(model, "d_mlp", 0)
    )


def memory_free() -> int | None:
    """Bytes that this process may still take, as the system says; None where it does not say."""
    found = [limit for files in _LIMITS if (limit := _limit(*files)) is not None]
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError):
        pass
    return min(found, default=None)


def check_memory(what: str, needed: int) -> None:
    """Refuse work that does not fit, before it begins and in place of the allocator.

    Args:
        what: the work, at the beginning of a sentence.
        needed: bytes.

    Raises:
        ConfigError: there is too little memory; the text has the estimate, and what would take less.
    """
    free = memory_free()
    if free is not None and needed > free:
        raise ConfigError(
            f"{what} takes about {in_gib(needed)} of memory, and {in_gib(free)} are free. All inputs with all their "
            "answers are evaluated: a smaller modulus or group takes less, by its third power. A machine with more "
            "memory goes on from the same folder"
        )


def in_gib(size: int) -> str:
    """A number of bytes in words.

    >>> in_gib(3 * 2**29)
    '1.5 GiB'
    """
    return f"{size / 2**30:.1f} GiB"


def _limit(most: Path, taken: Path) -> int | None:
    try:
        limit, used = (int(file.read_text(encoding="ascii")) for file in (most, taken))
    except (OSError, ValueError):  # no such files, or "max" for no limit
        return None
    return max(limit - used, 0)
