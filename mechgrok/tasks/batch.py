"""Batches: some inputs of a task with their answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.errors import TaskError
from mechgrok.signature import Signature


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs and their right answers.

    Attributes:
        inputs: [n, n_ctx] tokens or [n, ...] features.
        targets: [n, scored] class numbers, or [n, scored, d_out] values.
        rows: [n], the index of each input in a finite domain; None for fresh inputs.
        positions: [n, scored], the positions at which each input is read, if they differ between inputs; None if the
            signature of the task gives them.
    """

    inputs: Tensor
    targets: Tensor
    rows: Int[Tensor, " n"] | None = None
    positions: Int[Tensor, "n scored"] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def labels(self) -> Tensor:
        """The targets, without the position axis if only one position is scored: [n] class numbers."""
        return self.targets[:, 0] if self.targets.shape[1] == 1 else self.targets

    @property
    def flat_targets(self) -> Tensor:
        """The targets of all positions, flattened: [n * scored] or [n * scored, d_out]."""
        return self.targets.flatten(0, 1)

    def read_at(self, signature: Signature) -> tuple[int, ...] | Int[Tensor, "n scored"]:
        """The positions at which outputs are scored: the batch's own, or else the signature's.

        Raises:
            TaskError: neither gives them.
        """
        if self.positions is not None:
            return self.positions
        if isinstance(signature.scored, int):
            raise TaskError(
                f"the task has {signature.scored} scored positions that differ from input to input, and the inputs "
                "come without them: draw or all_inputs gives inputs, targets, and positions [n, scored]"
            )
        return signature.scored

    def __getitem__(self, rows: Int[Tensor, " some"] | slice) -> "Batch":
        """Some of the inputs, by their indices in this batch."""
        return self._mapped(lambda tensor: tensor[rows])

    def split(self, size: int) -> Iterator["Batch"]:
        """The inputs in chunks of this size."""
        return (self[start : start + size] for start in range(0, len(self), size))

    @staticmethod
    def join(batches: Sequence["Batch"]) -> "Batch":
        """The concatenated inputs of several batches of one kind."""
        parts = zip(*(batch._parts for batch in batches), strict=True)
        return Batch(*(None if part[0] is None else torch.cat(part) for part in parts))  # pyright: ignore[reportArgumentType]

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        return self._mapped(lambda tensor: tensor.to(device))

    @property
    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.inputs, self.targets, self.rows, self.positions

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(*(part if part is None else change(part) for part in self._parts))  # pyright: ignore[reportArgumentType]
