"""How much a training may come to write."""

from mechgrok.config import TrainConfig
from mechgrok.training.assembly import Assembly
from mechgrok.training.checkpoint_times import most_checkpoints

ROW = 320
"""Bytes of a row of the history, at most."""
MARGIN = 16 * 2**20
"""Bytes for headers and small files, and for others that write to the same disk."""


def bytes_needed(assembly: Assembly) -> int:
    """An upper estimate for what is left of a training: one that settles early writes less.

    The state is there twice while a newer one is written.
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
