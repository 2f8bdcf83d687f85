"""Sequences with answers at several positions."""

import torch

from mechgrok.config import Size
from mechgrok.door import door
from mechgrok.signature import Classes, Signature, Tokens
from mechgrok.tasks.configured import InputsAndTargets, StreamTask


class RunningSumTask(StreamTask, kind="running_sum"):
    """See `running_sum_task`."""

    n_terms: Size = 4
    p: Size = 10

    @property
    def name(self) -> str:
        """A name such as "running sum of 4 mod 10"."""
        return f"running sum of {self.n_terms} mod {self.p}"

    @property
    def signature(self) -> Signature:
        """A number and an answer at every position."""
        return Signature(
            inputs=Tokens(d_vocab=self.p, n_ctx=self.n_terms),
            outputs=Classes(n=self.p),
            scored=tuple(range(-self.n_terms, 0)),
        )

    def draw(self, n: int, generator: torch.Generator) -> InputsAndTargets:
        """Uniformly distributed numbers, and their running sums."""
        terms = torch.randint(self.p, (n, self.n_terms), generator=generator)
        return terms, terms.cumsum(1) % self.p


@door
def running_sum_task(n_terms: int = 4, p: int = 10) -> RunningSumTask:
    """The sum mod p of all numbers so far, at every position, on fresh sequences in every update.

    Args:
        n_terms: length of a sequence.
        p: the numbers are 0..p-1.

    >>> running_sum_task(4, 10)
    Task(running sum of 4 mod 10: 4 tokens -> 10 classes at 4 positions, 2000 inputs)
    """
    return RunningSumTask(n_terms=n_terms, p=p)
