"""The data that a run draws from a task: the batch of every update, and the evaluation examples."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mechgrok.errors import ConfigError
from mechgrok.tasks.batch import Batch


@runtime_checkable
class Data(Protocol):
    """Batches as a function of only the update's number, so that resuming is exact.

    Attributes:
        examples: the inputs on which the network is evaluated.
    """

    @property
    def examples(self) -> Batch: ...

    @property
    def parts(self) -> dict[str, Bool[Tensor, " examples"]]:
        """Masks of the "train" and "test" inputs among the examples; a part may be empty."""
        ...

    def batch(self, update: int) -> Batch:
        """The inputs of an update; updates are numbered from 0."""
        ...

    def to(self, device: torch.device) -> "Data":
        """The data on another device."""
        ...


@dataclass(frozen=True, eq=False)
class Finite:
    """A fixed domain, some of whose inputs are trained on, all at once or in mini-batches.

    Mini-batches go through the train inputs in a new order every epoch; the last one of an epoch holds the remainder.

    Attributes:
        examples: all inputs.
        train_mask: [n], mask of the train inputs.
        batch_size: inputs per mini-batch; 0 for all train inputs.
        seed: determines the orders.
    """

    examples: Batch
    train_mask: Bool[Tensor, " examples"]
    batch_size: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        mask, n = self.train_mask, len(self.examples)
        if mask.dtype != torch.bool or mask.shape != (n,) or not mask.any():
            raise ConfigError(
                f"a train mask holds one boolean for each of the {n} inputs and selects some; got "
                f"{mask.dtype} of shape {tuple(mask.shape)} selecting {int(mask.count_nonzero())}. "
                "task.split(fraction).train is one"
            )

    @cached_property
    def train_rows(self) -> Int[Tensor, " train"]:
        """Indices of the train inputs."""
        return self.train_mask.nonzero().flatten().to(self.examples.inputs.device)

    @cached_property
    def train(self) -> Batch:
        """All train inputs."""
        return self.examples[self.train_rows]

    @property
    def parts(self) -> dict[str, Bool[Tensor, " examples"]]:
        """The train inputs and the others."""
        train = self.train_mask.to(self.examples.inputs.device)
        return {"train": train, "test": ~train}

    def batch(self, update: int) -> Batch:
        """All train inputs, or the mini-batch of an update."""
        return self.train[self.mini_batch(update)] if self.batch_size else self.train

    def mini_batch(self, update: int) -> Int[Tensor, " batch"]:
        """The train inputs that form the mini-batch of an update."""
        n = len(self.train_rows)
        epoch, position = divmod(update, -(-n // self.batch_size))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(n, generator=generator)
        return order[position * self.batch_size :][: self.batch_size].to(self.train_rows.device)

    def to(self, device: torch.device) -> "Finite":
        """The data on another device."""
        return replace(self, examples=self.examples.to(device))


Sample = Callable[[int, torch.Generator], Batch]
"""Draws a given number of inputs, using a generator."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Fresh inputs in every update.

    Attributes:
        sample: draws the inputs.
        examples: held-out inputs; in a small domain they may also occur in training.
        batch_size: inputs per update.
        seed: determines the train inputs.
    """

    sample: Sample
    examples: Batch
    batch_size: int
    seed: int = 0

    @property
    def parts(self) -> dict[str, Bool[Tensor, " examples"]]:
        """All examples are test inputs: no input is trained on twice."""
        everything = torch.ones(len(self.examples), dtype=torch.bool, device=self.examples.inputs.device)
        return {"train": ~everything, "test": everything}

    def batch(self, update: int) -> Batch:
        """The inputs of an update."""
        generator = seeded("batch", self.seed, update)
        return self.sample(self.batch_size, generator).to(self.examples.inputs.device)

    def to(self, device: torch.device) -> "Stream":
        """The data on another device."""
        return replace(self, examples=self.examples.to(device))


def seeded(*what: str | int) -> torch.Generator:
    """A generator whose numbers are determined entirely by some strings and numbers.

    >>> seeded("batch", 0, 1).initial_seed() == seeded("batch", 0, 1).initial_seed()
    True
    """
    digest = hashlib.sha256(repr(what).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
