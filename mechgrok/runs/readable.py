"""Which checkpoints of a training open, and what is said about those that do not."""

from collections.abc import Callable, Sequence

from mechgrok.errors import MechgrokError


def readable_steps(
    steps: Sequence[int], load: Callable[[int], object]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The steps whose checkpoint opens, and a line for each that is left out.

    Every checkpoint is opened before anything is computed, so that damage is found at once.

    Args:
        load: opens the checkpoint at a step.

    Raises:
        MechgrokError: there are checkpoints, and none of them opens; the error is that of the first.
    """
    damaged: dict[int, MechgrokError] = {}
    for step in steps:
        try:
            load(step)
        except MechgrokError as error:
            damaged[step] = error
    readable = tuple(step for step in steps if step not in damaged)
    if damaged and not readable:
        raise next(iter(damaged.values()))
    return readable, tuple(
        f"Left out: the checkpoint at step {step:,}. {error}" for step, error in damaged.items()
    )
