"""The disk space that a run may use."""

from mechgrok.config import TrainConfig
from mechgrok.training.assembly import Assembly
from mechgrok.training.checkpoint_times import most_checkpoints

ROW = 320
"""Maximum number of bytes of a row of the history."""
MARGIN = 16 * 2**20
"""Bytes for headers and small files, and for other processes that write to the same disk."""


def bytes_needed(assembly: Assembly) -> int:
    """An upper estimate for the rest of a run: one that settles early writes less.

    The state exists twice while a newer one is written.
    """
    done = max(assembly.plan.steps, default=0)
    weights = sum(weight.nbytes for weight in assembly.model.parameters())
    state = sum(tensor.nbytes for tensor in assembly.state_at(1).values())
    return (
        most_checkpoints(assembly.config, done) * weights
        + 2 * state
        + _history(assembly.config, done)
        + MARGIN
    )


def _history(config: TrainConfig, done: int) -> int:
    return ROW * (max(config.steps - done, 0) // config.eval_every + 2)
