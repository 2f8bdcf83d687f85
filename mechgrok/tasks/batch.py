"""Batch: some inputs of a task with their answers."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs and what is right for them.

    Attributes:
        inputs: [n, n_ctx] tokens or [n, ...] features.
        targets: [n, scored] class numbers, or [n, scored, d_out] values.
        rows: [n], the number of each input in a finite domain; None for fresh ones.
    """

    inputs: Tensor
    targets: Tensor
    rows: Int[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def labels(self) -> Tensor:
        """The targets, without the axis of positions if a single one is scored: [n] class numbers."""
        return self.targets[:, 0] if self.targets.shape[1] == 1 else self.targets

    @property
    def flat_targets(self) -> Tensor:
        """The targets of all positions one after another, [n * scored] or [n * scored, d_out]."""
        return self.targets.flatten(0, 1)

    def __getitem__(self, rows: Int[Tensor, " some"]) -> "Batch":
        """Some of the inputs, by their number in this batch."""
        numbers = None if self.rows is None else self.rows[rows]
        return Batch(self.inputs[rows], self.targets[rows], numbers)

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        rows = None if self.rows is None else self.rows.to(device)
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device), rows=rows)
