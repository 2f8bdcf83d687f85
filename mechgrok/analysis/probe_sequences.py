"""The sequences that heads are recognised on: those of a task, or random tokens that come twice."""

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.activations import fit_task
from mechgrok.activations.attention import tokens_of
from mechgrok.errors import NoGroupError, UndefinedMetricError
from mechgrok.models.protocol import HookedModel
from mechgrok.signature import Tokens
from mechgrok.tasks import Task
from mechgrok.wording import in_words

SHORTEST, LONGEST = 3, 50
"""Random tokens that are repeated, at least and at most. Of two, what followed the last time is the previous token."""
N_REPEATED, MOST_EXAMPLES = 64, 1000
"""Sequences of random tokens, and of a task at most."""


def is_sequence(task: Task) -> bool:
    """Whether the inputs of a task are sequences that are looked at position by position and head by head.

    They are tokens in no group, long enough for three of them to come again.

    >>> import mechgrok as mg
    >>> is_sequence(mg.digit_addition_task(2)), is_sequence(mg.modular_task("add", 7))
    (True, False)
    """
    inputs = task.signature.inputs
    if not isinstance(inputs, Tokens) or inputs.n_ctx < 2 * SHORTEST:
        return False
    try:
        _ = task.frame
    except NoGroupError:
        return True
    return False


def sequences_for(model: HookedModel, task: Task | None, seed: int) -> tuple[Int[Tensor, "n pos"], str]:
    """The inputs of a task; where none is known, random tokens that come twice. And what they are, in words.

    Raises:
        UndefinedMetricError: the inputs are features; the network reads too few tokens for any to come again.
        TaskError: the task does not fit the network.
    """
    if task is None:
        tokens = repeated_tokens(model.cfg.d_vocab, model.cfg.n_ctx, seed)
        return tokens, f"{len(tokens)} times {tokens.shape[1] // 2} random tokens that come twice"
    task = fit_task(model, task)
    tokens = sequences_of(task, seed)
    return tokens, f"{in_words(len(tokens), 'input')} of {task.name}"


def sequences_of(task: Task, seed: int) -> Int[Tensor, "n pos"]:
    """The inputs of a task; of many a thousand, chosen at random.

    Raises:
        UndefinedMetricError: they are features.
    """
    inputs = tokens_of(task)
    if len(inputs) <= MOST_EXAMPLES:
        return inputs
    generator = torch.Generator().manual_seed(seed)
    return inputs[torch.randperm(len(inputs), generator=generator)[:MOST_EXAMPLES].sort().values]


def repeated_tokens(d_vocab: int, n_ctx: int, seed: int, n: int = N_REPEATED) -> Int[Tensor, "n pos"]:
    """Sequences of different random tokens, each of which comes twice in the same order.

    As many tokens are repeated as fit into `n_ctx` positions and as there are, up to 50.

    Raises:
        UndefinedMetricError: fewer than 3 tokens can be repeated.

    >>> x = repeated_tokens(d_vocab=8, n_ctx=9, seed=0)
    >>> x.shape, torch.equal(x[:, :4], x[:, 4:])
    (torch.Size([64, 8]), True)
    """
    period = min(n_ctx // 2, d_vocab, LONGEST)
    if period < SHORTEST:
        raise UndefinedMetricError(
            f"heads are recognised by what they do when {SHORTEST} tokens or more come again, and the network reads "
            f"{n_ctx} positions of {d_vocab} tokens; with a task, its own inputs are looked at"
        )
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(n, d_vocab, generator=generator).argsort(dim=1, stable=True)[:, :period]
    return torch.cat([drawn, drawn], 1)
