"""The logit lens: what the residual stream would answer if it were read out at every stage and position."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.analysis.losses import cross_entropy
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.models.protocol import Hook, HookedModel
from mechgrok.models.readout import index_of, outputs_everywhere

INPUTS = 1024
"""How many are run at a time."""


@dataclass(frozen=True, eq=False)
class LogitLens(Drawable):
    """Answers read off the residual stream at each stage, over positions.

    Attributes:
        stages: "embed", then after attention and after the MLP of each layer: "L0 attn", "L0 mlp".
        positions: what the columns are, in words: of a task with one answer the positions of the input, which are all
            compared with that answer; of others the scored positions, each with its own.
        loss: [stages, positions], mean cross-entropy in nats.
        accuracy: [stages, positions], 0..1.
        n_inputs: how many were looked at.
    """

    stages: tuple[str, ...]
    positions: tuple[str, ...]
    loss: Float[Tensor, "stages positions"]
    accuracy: Float[Tensor, "stages positions"]
    n_inputs: int

    def records(self) -> list[dict[str, Any]]:
        """One row per stage and position."""
        values = {"loss": self.loss.tolist(), "accuracy": self.accuracy.tolist()}
        return [
            {"stage": stage, "position": position} | {name: table[i][j] for name, table in values.items()}
            for i, stage in enumerate(self.stages)
            for j, position in enumerate(self.positions)
        ]

    def __repr__(self) -> str:
        last = zip(self.stages, self.accuracy[:, -1].tolist(), strict=True)
        course = ", ".join(f"{stage} {accuracy:z.1%}" for stage, accuracy in last)
        return f"LogitLens(accuracy at {self.positions[-1]}: {course})"


@door
def logit_lens(source: Source, mask: Bool[Tensor, " inputs"] | None = None) -> LogitLens:
    """Read the residual stream out after every attention and MLP, at every position, with the network's own read-out.

    The final norm, if there is one, is applied to each stage with a scale of its own.

    Args:
        source: a network, or a grid with its network.
        mask: inputs to look at; None takes all.

    Raises:
        UndefinedMetricError: answers are values; norms after the blocks, which leave no stream to read.
        ActivationError: a network without TransformerLens's residual stream; a grid of bare tensors.

    Source: nostalgebraist 2020 ("interpreting GPT: the logit lens").

    >>> import mechgrok as mg
    >>> lens = logit_lens(mg.clock_transformer(11, {3: 9.0}))
    >>> lens.stages, [round(x, 2) for x in lens.accuracy[:, -1].tolist()]
    (('embed', 'L0 attn', 'L0 mlp'), [0.09, 0.09, 1.0])
    """
    grid = as_grid(source, names=[])
    if grid.labels.is_floating_point():
        raise UndefinedMetricError(f"the answers of {grid.task.name} are values, and no logits compete")
    model: Any = grid.model
    stages = _stages(model)
    rows = grid.selection(mask).nonzero().flatten()
    losses = rights = 0.0
    for some in rows.split(INPUTS):
        for_stage = list(_read_out(grid, some, list(stages.values())))
        loss, right = (torch.stack(column).sum(1) for column in zip(*for_stage, strict=True))
        losses, rights = losses + loss, rights + right
    return LogitLens(tuple(stages), _positions(grid), losses / len(rows), rights / len(rows), len(rows))  # pyright: ignore[reportArgumentType]


def _stages(model: HookedModel) -> dict[str, str]:
    """The hooks on the residual stream by stage."""
    found = {"embed": "blocks.0.hook_resid_pre"}
    for layer in range(getattr(model.cfg, "n_layers", 1)):
        block = f"blocks.{layer}"
        has_mlp = f"{block}.hook_resid_mid" in model.hook_dict
        found[f"L{layer} attn"] = f"{block}.hook_resid_mid" if has_mlp else f"{block}.hook_resid_post"
        if has_mlp:
            found[f"L{layer} mlp"] = f"{block}.hook_resid_post"
    if not model.hook_dict.keys() >= {*found.values()} or not hasattr(model, "unembed"):
        raise ActivationError(
            "the logit lens reads the residual stream of a transformer, which this network has not"
        )
    if any(name.endswith("hook_normalized_resid_post") for name in model.hook_dict):
        raise UndefinedMetricError(
            "the norms of this network stand after the blocks: its stream is not read as it is"
        )
    return found


def _positions(grid: ActivationGrid) -> tuple[str, ...]:
    task = grid.task
    if task.signature.n_scored > 1:
        return tuple(f"answer {i}" for i in range(task.signature.n_scored))
    return tuple(f"position {i}" for i in range(task.examples.inputs.shape[1]))


def _read_out(grid: ActivationGrid, rows: Tensor, names: list[str]) -> Iterator[tuple[Tensor, Tensor]]:
    """Loss and right answers [inputs, positions] of each stage."""
    model: Any = grid.model
    task, signature = grid.task, grid.task.signature
    batch, kept = task.examples[rows], {}

    def keep(activation: Tensor, hook: Any, name: str) -> None:
        kept[name] = activation.detach()

    hooks: list[Hook] = [(name, lambda x, hook, name=name: keep(x, hook, name)) for name in names]
    outputs_everywhere(model, batch.inputs, hooks)
    labels = grid.labels[rows]
    for name in names:
        stream = kept[name]
        if signature.n_scored > 1:
            stream, wanted = stream[index_of(batch.read_at(signature))], labels
        else:
            wanted = labels[:, None].expand(-1, stream.shape[1])
        with torch.no_grad():
            norm = getattr(model, "ln_final", None)
            logits = model.unembed(stream if norm is None else norm(stream))[..., : signature.d_out].cpu()
        loss = cross_entropy(logits.flatten(0, 1), wanted.flatten()).view(wanted.shape)
        yield loss, (logits.argmax(-1) == wanted).double()
