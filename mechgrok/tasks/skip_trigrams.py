"""Skip trigrams: one token among many determines the answer, wherever it occurs."""

from typing import Annotated

import torch
from pydantic import Field

from mechgrok.door import door
from mechgrok.signature import Classes, Signature, Tokens
from mechgrok.tasks.configured import InputsAndTargets
from mechgrok.tasks.limited import LimitedTask

START, QUERY = 0, 1
"""The tokens at the ends of every sequence."""


class SkipTrigramTask(LimitedTask, kind="skip_trigram"):
    """See `skip_trigram_task`."""

    n_keys: Annotated[int, Field(ge=2, le=2**20)] = 10
    length: Annotated[int, Field(ge=3, le=4096)] = 42

    @property
    def name(self) -> str:
        """A name such as "skip trigrams of 10 keys in 42"."""
        return f"skip trigrams of {self.n_keys} keys in {self.length}{self.of_how_many}"

    @property
    def answer(self) -> str:
        """The rule, in readable form."""
        return "which key token there is"

    @property
    def signature(self) -> Signature:
        """Two tokens for the ends, as many noise tokens as keys, and the keys."""
        return Signature(
            inputs=Tokens(d_vocab=2 * self.n_keys + 2, n_ctx=self.length), outputs=Classes(n=self.n_keys)
        )

    @classmethod
    def of_sizes(cls, d_vocab: int, n_ctx: int, n_outputs: int) -> "SkipTrigramTask | None":
        if d_vocab != 2 * n_outputs + 2 or not 3 <= n_ctx <= 4096 or not 2 <= n_outputs <= 2**20:
            return None
        return cls(n_keys=n_outputs, length=n_ctx)

    def draw(self, n: int, generator: torch.Generator) -> InputsAndTargets:
        """Uniform noise, with a uniformly drawn key at a uniformly drawn position."""
        tokens = QUERY + 1 + torch.randint(self.n_keys, (n, self.length), generator=generator)
        tokens[:, 0], tokens[:, -1] = START, QUERY
        keys = torch.randint(self.n_keys, (n, 1), generator=generator)
        places = torch.randint(1, self.length - 1, (n, 1), generator=generator)
        return tokens.scatter_(1, places, QUERY + 1 + self.n_keys + keys), keys[:, 0]


@door
def skip_trigram_task(
    n_keys: int = 10, length: int = 42, *, finite: int = 0, seed: int = 0
) -> SkipTrigramTask:
    """Skip trigrams A ... B -> C: a sequence of noise with one key token somewhere, to be identified.

    The tokens are 0 at the beginning, 1 at the end, where the answer is read, 2..n_keys+1 for the noise between
    them, and n_keys+2..2*n_keys+1 for the keys. The answer is the number of the key, 0..n_keys-1.

    Args:
        n_keys: number of keys, and of noise tokens.
        length: length of a sequence.
        finite: number of train sequences; 0 draws fresh ones for every update.
        seed: determines these sequences and the held-out sequences, all of which are distinct.

    Raises:
        TaskError: numbers out of range; so many train sequences that none are left to test on.

    Source: Nanda et al. 2023 (arXiv 2301.05217), appendix on other tasks.

    >>> task = skip_trigram_task()
    >>> task, task.d_vocab
    (Task(skip trigrams of 10 keys in 42: 42 tokens -> 10 classes, 2000 inputs), 22)
    """
    return SkipTrigramTask(n_keys=n_keys, length=length, finite=finite, seed=seed)
