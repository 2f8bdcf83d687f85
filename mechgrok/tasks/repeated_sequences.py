"""Random tokens with a repeated subsequence: the task that induction heads solve."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator

from mechgrok.door import door
from mechgrok.signature import Classes, Signature, Tokens
from mechgrok.tasks.configured import InputsAndTargets
from mechgrok.tasks.limited import LimitedTask

BOS = 0
"""The token that begins every sequence and occurs nowhere else."""
Length = Annotated[int, Field(ge=2, le=4096)]


class RepeatedSequenceTask(LimitedTask, kind="repeated_sequence"):
    """See `repeated_sequence_task`."""

    n_held_out: ClassVar[int] = 500
    default_batch: ClassVar[int] = 128

    n_tokens: Annotated[int, Field(ge=3, le=2**20)] = 128
    length: Length = 85
    subsequence: Length = 16
    repeats: Length = 3
    every_token: bool = False

    @model_validator(mode="after")
    def _check(self) -> "RepeatedSequenceTask":
        if self.subsequence > self._interval:
            raise ValueError(
                f"{self.repeats} subsequences of {self.subsequence} tokens, each in an interval of its own, and the "
                f"token before them do not fit into length={self.length}; they need "
                f"length={self.repeats * self.subsequence + 1} or more"
            )
        return self

    @property
    def _interval(self) -> int:
        return (self.length - 1) // self.repeats

    @property
    def name(self) -> str:
        """A name such as "subsequences of 16, 3 times in 85"."""
        scored = ", every token" if self.every_token else ""
        return f"subsequences of {self.subsequence}, {self.repeats} times in {self.length}{scored}{self.of_how_many}"

    @property
    def answer(self) -> str:
        """The rule, in readable form."""
        return "the token that followed the last time"

    @property
    def signature(self) -> Signature:
        """Read within each repetition, whose position differs between sequences; or before every token."""
        return Signature(
            inputs=Tokens(d_vocab=self.n_tokens, n_ctx=self.length),
            outputs=Classes(n=self.n_tokens),
            scored=tuple(range(self.length - 1))
            if self.every_token
            else (self.repeats - 1) * (self.subsequence - 1),
        )

    @property
    def position_labels(self) -> tuple[str, ...]:
        """The predicted token and its repetition; the first occurrence, and each first token, are unpredictable."""
        if self.every_token:
            return super().position_labels
        return tuple(
            f"repeat {repeat}: token {token}"
            for repeat in range(2, self.repeats + 1)
            for token in range(2, self.subsequence + 1)
        )

    @classmethod
    def of_sizes(cls, d_vocab: int, n_ctx: int, n_outputs: int) -> "RepeatedSequenceTask | None":
        """The published lengths, with this vocabulary: a head that finds one repetition finds others."""
        long_enough = 3 * 16 + 1 <= n_ctx <= 4096
        if d_vocab != n_outputs or not 3 <= d_vocab <= 2**20 or not long_enough:
            return None
        return cls(n_tokens=d_vocab, length=n_ctx)

    def draw(self, n: int, generator: torch.Generator) -> InputsAndTargets:
        """Uniform tokens, with the first subsequence copied over the subsequences in the other intervals."""
        tokens = torch.randint(BOS + 1, self.n_tokens, (n, self.length), generator=generator)
        tokens[:, 0] = BOS
        starts = torch.randint(self._interval - self.subsequence + 1, (n, self.repeats), generator=generator)
        starts += 1 + self._interval * torch.arange(self.repeats)
        places = starts[:, :, None] + torch.arange(self.subsequence)  # [n, repeats, subsequence]
        first = tokens.gather(1, places[:, 0])
        for repeat in range(1, self.repeats):
            tokens.scatter_(1, places[:, repeat], first)
        if self.every_token:
            return tokens, tokens[:, 1:]
        positions = places[:, 1:, :-1].flatten(1)
        return tokens, tokens.gather(1, positions + 1), positions


@door
def repeated_sequence_task(
    n_tokens: int = 128,
    length: int = 85,
    *,
    subsequence: int = 16,
    repeats: int = 3,
    every_token: bool = False,
    finite: int = 0,
    seed: int = 0,
) -> RepeatedSequenceTask:
    """Random tokens with a repeated subsequence: predict the next token wherever it has been seen before.

    Token 0 begins every sequence, the others are uniform in 1..n_tokens-1. The rest of the sequence is cut into as many
    equal intervals as there are repeats; the subsequence lies somewhere in each. All tokens of the second and later
    occurrences except the first token are scored: the network is read one position before them, which differs between
    sequences. Guessing gives ln(n_tokens - 1), 4.84 nats for 128 tokens.

    Args:
        n_tokens: number of tokens.
        length: length of a sequence, including token 0.
        subsequence: length of the repeated subsequence.
        repeats: number of its occurrences, including the first.
        every_token: whether every next token is scored, as in training language models; most are then unpredictable,
            and the remaining loss is several nats.
        finite: number of train sequences; 0 draws fresh ones for every update.
        seed: determines these sequences and the held-out sequences, all of which are distinct.

    Raises:
        TaskError: the repeats do not fit into a sequence.

    Source: Nanda et al. 2023 (arXiv 2301.05217), appendix on other tasks; Olsson et al. 2022 (arXiv 2209.11895).

    >>> task = repeated_sequence_task(9, 11, subsequence=4, repeats=2)
    >>> task
    Task(subsequences of 4, 2 times in 11: 11 tokens -> 9 classes at 3 positions, 500 inputs)
    >>> task.position_labels
    ('repeat 2: token 2', 'repeat 2: token 3', 'repeat 2: token 4')
    """
    return RepeatedSequenceTask(
        n_tokens=n_tokens,
        length=length,
        subsequence=subsequence,
        repeats=repeats,
        every_token=every_token,
        finite=finite,
        seed=seed,
    )
