"""The device of a run. It is a property of the machine, not of the result, and not stored with a run."""

import torch

from mechgrok.errors import ConfigError, shown


def find_device(device: str | torch.device | None = None) -> torch.device:
    """The device of this name, after a trial; None means the CPU.

    A GPU is never chosen silently: it rounds differently, and a run started on one device and resumed on the other is
    not bit for bit the same as the uninterrupted one.

    Raises:
        ConfigError: there is no such device, or it lacks float64, in which losses are summed.

    >>> find_device()
    device(type='cpu')
    """
    try:
        found = torch.device("cpu" if device is None else device)
        torch.zeros(1, dtype=torch.float64, device=found).item()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ConfigError(
            f"cannot train on device={shown(str(device))}: {_reason(error)}. Allowed are 'cpu', and 'cuda' "
            "where torch finds a GPU"
        ) from None
    return found


def _reason(error: Exception) -> str:
    """The reason in one sentence; if torch was built without a device, its message lists all of its others."""
    if "float64" in str(error):  # like Apple's GPUs, under the name "mps"
        return "it has no float64, in which losses are summed"
    if isinstance(error, NotImplementedError):
        return "torch was built without this device, or finds none here"
    return str(error).partition("\n")[0].partition(". ")[0].rstrip(".")[:300]
