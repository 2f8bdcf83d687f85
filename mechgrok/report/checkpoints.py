"""Which checkpoints of a run can be shown, and warnings about those that cannot."""

from mechgrok.errors import MechgrokError
from mechgrok.runs import Run
from mechgrok.training.stopping import finished


def readable_steps(run: Run) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The steps whose checkpoint opens, and a warning for each that is damaged or unfinished.

    Every checkpoint is opened before anything is computed, so that damage is detected at once.

    Raises:
        CheckpointError: there is no checkpoint, or none that opens.
    """
    damaged: dict[int, MechgrokError] = {}
    for step in run.steps:
        try:
            run.model(step)
        except MechgrokError as error:
            damaged[step] = error
    steps = tuple(step for step in run.steps if step not in damaged)
    if not steps:
        raise next(iter(damaged.values())) if damaged else _without_checkpoints(run)
    warnings = [f"Left out: the checkpoint at step {step:,}. {error}." for step, error in damaged.items()]
    if not finished(run):
        most = run.config.train.steps
        warnings.append(
            f"This training is unfinished: its newest readable checkpoint is step {steps[-1]:,} of at most {most:,}."
        )
    return steps, tuple(warnings)


def _without_checkpoints(run: Run) -> MechgrokError:
    try:
        run.model()
    except MechgrokError as error:
        return error
    raise AssertionError("a run without steps has no network")
