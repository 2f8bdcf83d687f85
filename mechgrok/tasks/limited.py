"""Tasks whose data can be unlimited or limited: fresh inputs in every update, or a fixed number of inputs."""

from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.config import OpenSize, Seed
from mechgrok.errors import TaskError
from mechgrok.tasks.batch import Batch
from mechgrok.tasks.configured import StreamTask
from mechgrok.tasks.data import Data, Finite, seeded
from mechgrok.tasks.splits import Split, SplitRule


class LimitedTask(StreamTask):
    """A task that draws its inputs, either anew for every update or once and for all.

    With limited data, the examples are the train inputs, followed by the held-out inputs. All of them are distinct, so
    no test input was trained on.

    Attributes:
        finite: number of train inputs; 0 for fresh inputs in every update.
        seed: determines the inputs that are drawn once and for all.
    """

    finite: OpenSize = 0
    seed: Seed = 0

    @property
    def is_finite(self) -> bool:
        """Whether the data are limited."""
        return self.finite > 0

    @property
    def of_how_many(self) -> str:
        """The end of the task's name: the number of train inputs, if it is limited."""
        return f", {self.finite} train inputs" if self.finite else ""

    @cached_property
    def examples(self) -> Batch:
        """The train inputs, if they are limited, and the held-out inputs."""
        if not self.finite:
            return super().examples
        drawn = self._distinct(self.finite + self.n_held_out)
        if len(drawn) <= self.finite:
            raise TaskError(
                f"finite={self.finite} leaves nothing to test on: there are no more than {len(drawn)} different "
                f"inputs of {self.kind}"
            )
        return Batch(drawn.inputs, drawn.targets, torch.arange(len(drawn)), drawn.positions)

    def data(self, split: Split, batch_size: int = 0, seed: int = 0) -> Data:
        """Fresh batches; for limited data, all train inputs at once, or mini-batches of them."""
        if self.finite:
            return Finite(self.examples, split.train, batch_size, seed)
        return super().data(split, batch_size, seed)

    def split(self, fraction: float, seed: int = 0, rule: SplitRule = "shuffle") -> Split:
        """The task itself determines the train inputs, regardless of fraction, seed and rule."""
        train = torch.arange(self.n_inputs) < self.finite
        return Split(train, self.finite / self.n_inputs if self.finite else float(fraction), seed, rule)

    def sample_unseen(self, n: int, generator: torch.Generator) -> Batch:
        """Draw n fresh inputs, and keep those that are not train inputs.

        Raises:
            TaskError: none are left.
        """
        batch = self.sample(n, generator)
        inputs = torch.cat([self.examples.inputs[: self.finite], batch.inputs])
        which = inputs.unique(dim=0, return_inverse=True)[1]
        unseen = ~torch.isin(which[self.finite :], which[: self.finite])
        if not unseen.any():
            raise TaskError(f"all of {n} fresh inputs of {self.name} are train inputs; draw more")
        return batch[unseen.nonzero().flatten()]

    def _distinct(self, n: int) -> Batch:
        """The first n distinct inputs, in the order in which they are drawn; fewer if there are no more."""
        generator = seeded("once and for all", self.kind, self.seed)
        found = self.sample(n, generator)
        found = found[first_of_each(found.inputs)]
        while len(found) < n:
            more = Batch.join([found, self.sample(n, generator)])
            more = more[first_of_each(more.inputs)]
            if len(more) == len(found):
                break
            found = more
        return found[:n]


def first_of_each(inputs: Tensor) -> Int[Tensor, " different"]:
    """Indices of the rows that do not repeat an earlier row.

    >>> first_of_each(torch.tensor([[3, 1], [0, 2], [3, 1], [0, 0]])).tolist()
    [0, 1, 3]
    """
    different, which = inputs.unique(dim=0, return_inverse=True)
    rows = torch.full((len(different),), len(inputs))
    return rows.scatter_reduce(0, which, torch.arange(len(inputs)), "amin").sort().values
