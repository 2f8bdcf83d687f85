"""Sparse parity: whether a few relevant bits among many contain an odd number of ones."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Int
from pydantic import model_validator
from torch import Tensor

from mechgrok.algebra.walsh import walsh_basis
from mechgrok.config import OpenSize, Seed, Size
from mechgrok.door import door
from mechgrok.tasks.configured import FiniteTask, InputsAndTargets
from mechgrok.tasks.data import seeded
from mechgrok.tasks.frames import Frame, function_frame

ALL_UP_TO = 12
"""Maximum number of bits for which a task holds all inputs, unless a number of samples is given."""
SAMPLES = 2000
"""Number of inputs of a task with more bits."""


class ParityTask(FiniteTask, kind="parity"):
    """See `parity_task`."""

    n_bits: Size = 30
    relevant: tuple[int, ...] = (0, 1, 2)
    n_samples: OpenSize = 0
    seed: Seed = 0

    @model_validator(mode="after")
    def _check(self) -> "ParityTask":
        places = self.relevant
        if not places or len(set(places)) < len(places) or not all(0 <= i < self.n_bits for i in places):
            raise ValueError(
                f"relevant bits are different places from 0 to {self.n_bits - 1}, at least one; got {places}"
            )
        return self

    @property
    def name(self) -> str:
        """A name such as "parity8 of 0 1"."""
        return f"parity{self.n_bits} of {' '.join(map(str, sorted(self.relevant)))}"

    @property
    def answer(self) -> str:
        """The parity as a sum mod 2."""
        return f"({'+'.join(f'x{place}' for place in sorted(self.relevant))}) mod 2"

    def all_inputs(self) -> InputsAndTargets:
        """All vectors of bits in the order of binary numbers, or a sample without replacement."""
        bits = self._sample() if self._is_sampled else bits_of(torch.arange(2**self.n_bits), self.n_bits)
        return bits, bits[:, list(self.relevant)].sum(1) % 2

    def make_structure(self) -> Frame | None:
        """All vectors of bits form Z_2^n, with the Walsh functions as its basis; a sample has no structure."""
        if self._is_sampled:
            return None
        return function_frame(walsh_basis(self.n_bits), self.labels, 2, self.answer)

    @property
    def _is_sampled(self) -> bool:
        return bool(self.n_samples) or self.n_bits > ALL_UP_TO

    def _sample(self) -> Int[Tensor, "inputs bits"]:
        wanted = min(self.n_samples or SAMPLES, 2**self.n_bits)
        generator = seeded("parity", self.seed)
        if self.n_bits <= ALL_UP_TO:
            return bits_of(torch.randperm(2**self.n_bits, generator=generator)[:wanted], self.n_bits)
        bits = torch.randint(2, (wanted, self.n_bits), generator=generator)
        while len(unique := bits.unique(dim=0)) < wanted:
            bits = torch.cat(
                [unique, torch.randint(2, (wanted - len(unique), self.n_bits), generator=generator)]
            )
        return unique[torch.randperm(wanted, generator=generator)]


@door
def parity_task(
    n_bits: int = 30, relevant: Iterable[int] = (0, 1, 2), *, n_samples: int = 0, seed: int = 0
) -> ParityTask:
    """Sparse parity, also known as "1s and 0s": the parity of a few relevant bits among many.

    Args:
        n_bits: number of bits; each is a token 0 or 1 at its own position.
        relevant: the positions of the relevant bits.
        n_samples: number of inputs to draw for the task; 0 means all inputs for up to 12 bits, else 2000.
        seed: determines the draw.

    Returns:
        A task with two classes. If it holds all inputs, it is analysed in the Walsh basis: its blocks are the subsets
        of the bits, and the planted block is `tuple(sorted(relevant))`. A sample has no basis.

    Raises:
        TaskError: positions that do not exist; numbers out of range.

    Source: Barak et al. 2022 (arXiv 2207.08799), section 2; Pearce et al. 2023 ("1s and 0s").

    >>> task = parity_task(n_bits=8, relevant=(0, 1))
    >>> task, task.frame.basis
    (Task(parity8 of 0 1: 8 tokens -> 2 classes, 256 inputs), WalshBasis(Z2xZ2xZ2xZ2xZ2xZ2xZ2xZ2))
    """
    values: dict[str, Any] = {
        "n_bits": n_bits,
        "relevant": tuple(relevant),
        "n_samples": n_samples,
        "seed": seed,
    }
    return ParityTask(**values)


def bits_of(numbers: Int[Tensor, " inputs"], n_bits: int) -> Int[Tensor, "inputs bits"]:
    """The binary representations of numbers, the highest bit first.

    >>> bits_of(torch.tensor([1, 6]), 3).tolist()
    [[0, 0, 1], [1, 1, 0]]
    """
    return numbers[:, None] >> torch.arange(n_bits - 1, -1, -1) & 1
