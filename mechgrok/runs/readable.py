"""The readable checkpoints of a run, and messages about unreadable ones."""

from collections.abc import Callable, Sequence

from mechgrok.errors import MechgrokError


def readable_steps(
    steps: Sequence[int], load: Callable[[int], object]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The steps whose checkpoint is readable, and a line for each that is skipped.

    Every checkpoint is opened before anything is computed, so that damage is found at once.

    Args:
        load: opens the checkpoint at a step.

    Raises:
        MechgrokError: there are checkpoints, but none is readable; the error is the first one's.
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
