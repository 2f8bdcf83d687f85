"""Which checkpoints of a run can be shown, and warnings about those that cannot."""

from mechgrok.errors import MechgrokError
from mechgrok.runs import Run, readable_steps
from mechgrok.training.stopping import finished


def shown_steps(run: Run) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The steps whose checkpoint opens, and a warning for each that is damaged or unfinished.

    Raises:
        CheckpointError: there is no checkpoint, or none that opens.
    """
    steps, left_out = readable_steps(run.steps, run.model)
    if not steps:
        raise _without_checkpoints(run)
    warnings = [f"{line}." for line in left_out]
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
