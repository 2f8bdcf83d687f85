"""What a training sees of a task: the batch of every update, and the examples that it is evaluated on."""

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
    """Batches, as a function of the number of the update alone, so that resuming is exact.

    Attributes:
        examples: what the training is evaluated on.
    """

    @property
    def examples(self) -> Batch: ...

    @property
    def parts(self) -> dict[str, Bool[Tensor, " examples"]]:
        """Which of the examples are "train" inputs and which "test"; a part may be empty."""
        ...

    def batch(self, update: int) -> Batch:
        """The inputs of an update, numbered from 0."""
        ...

    def to(self, device: torch.device) -> "Data":
        """The same on another device."""
        ...


@dataclass(frozen=True, eq=False)
class Finite:
    """A fixed domain, of which some inputs are trained on, all at once or in mini-batches.

    Mini-batches pass over the train inputs in a new order in every epoch; the last one of an epoch holds what is left.

    Attributes:
        examples: all inputs.
        train_mask: [n], which of them are trained on.
        batch_size: inputs of a mini-batch; 0 for all train inputs.
        seed: of the orders.
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
        """Numbers of the train inputs."""
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
        """Which of the train inputs make up the mini-batch of an update."""
        n = len(self.train_rows)
        epoch, position = divmod(update, -(-n // self.batch_size))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(n, generator=generator)
        return order[position * self.batch_size :][: self.batch_size].to(self.train_rows.device)

    def to(self, device: torch.device) -> "Finite":
        """The same on another device."""
        return replace(self, examples=self.examples.to(device))


Sample = Callable[[int, torch.Generator], Batch]
"""Draws so many inputs, with a generator."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Fresh inputs in every update.

    Attributes:
        sample: draws them.
        examples: held out; nothing keeps a small domain from showing them in training too.
        batch_size: inputs of an update.
        seed: of the training's inputs.
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
        """The same on another device."""
        return replace(self, examples=self.examples.to(device))


def seeded(*what: str | int) -> torch.Generator:
    """A generator whose numbers follow from some words and numbers, and from nothing else.

    >>> seeded("batch", 0, 1).initial_seed() == seeded("batch", 0, 1).initial_seed()
    True
    """
    digest = hashlib.sha256(repr(what).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
