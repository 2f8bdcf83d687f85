"""Where a training runs. It is a property of the machine, not of the result, and not stored with a run."""

import torch

from mechgrok.errors import ConfigError, shown


def find_device(device: str | torch.device | None = None) -> torch.device:
    """The device of that name, after a try; None is the CPU.

    A GPU is never chosen silently: it rounds differently, and a run begun on one and resumed on the other is
    not bit for bit the uninterrupted one.

    Raises:
        ConfigError: there is no such device here, or it lacks float64, in which losses are summed.

    >>> find_device()
    device(type='cpu')
    """
    try:
        found = torch.device("cpu" if device is None else device)
        torch.zeros(1, dtype=torch.float64, device=found).item()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0][:200]
        raise ConfigError(
            f"cannot train on device={shown(str(device))}: {reason}. Allowed are "
            "'cpu', and 'cuda' where torch finds a GPU"
        ) from None
    return found
