"""How the embedding of a training came to be what it is in the end: its checkpoints along the final components."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import cache_grid
from mechgrok.analysis.embeddings import EmbeddingComponents, embedding_components, embeddings_of
from mechgrok.config import NetworkConfig
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.progress.sources import Checkpoints, Source, open_checkpoints
from mechgrok.tasks import Task


@dataclass(frozen=True, eq=False)
class EmbeddingCourse(Drawable):
    """The token embedding at the checkpoints of a training, along the principal components that it has in the end.

    Attributes:
        steps: number of updates of each checkpoint, ascending.
        final: the principal components of the last checkpoint of the training.
        scores: [steps, order, components], the tokens along its directions, about their mean at that step.
        variance: [steps, components], share of the embedding's variance at that step along each direction, 0..1.
        purity: [steps, components], share of the power along each direction that lies in the frequency which the
            component has in the end, 0..1.
    """

    steps: tuple[int, ...]
    final: EmbeddingComponents
    scores: Float[Tensor, "steps order components"]
    variance: Float[Tensor, "steps components"]
    purity: Float[Tensor, "steps components"]

    def rows(self) -> list[dict[str, Any]]:
        """One row per step: what share of the variance, and how purely, each pair of components had then."""
        pairs = self.final.rows()
        return [
            {"step": step}
            | {
                f"{name} of components {i} and {j}": values[at, [i - 1, j - 1]].tolist()
                for i, j in (pair["components"] for pair in pairs)
                for name, values in (("variance", self.variance), ("purity", self.purity))
            }
            for at, step in enumerate(self.steps)
        ]

    def records(self) -> list[dict[str, Any]]:
        """The rows, for a table."""
        return self.rows()

    def __repr__(self) -> str:
        return f"EmbeddingCourse({len(self.steps)} checkpoints, steps {self.steps[0]} to {self.steps[-1]})"


@door
def embedding_course(
    run: Source,
    *,
    steps: Sequence[int] | None = None,
    operand: Literal[0, 1] = 0,
    task: Task | None = None,
    config: NetworkConfig | None = None,
    model: WrappedNetwork | None = None,
) -> EmbeddingCourse:
    """The embedding at the checkpoints of a training, projected on the principal components of the last one.

    Components of every checkpoint for itself would be others each time; along the final ones the circles are seen to
    form.

    Args:
        run: a run, its folder, or the name of one that comes with mechgrok; or a folder or a list of checkpoint files.
        steps: the checkpoints to look at; None takes all. The components are those of the last one of all.
        operand: 0 or 1; they differ where the operands have separate embeddings or vocabularies.
        task, config, model: of checkpoint files, what was learned and how they are read, as in `progress_measures`.

    Raises:
        ConfigError: a step without a checkpoint.
        CheckpointError: no checkpoints, or unreadable ones.
        UndefinedMetricError: the embedding of the last checkpoint is the same for all tokens.
        NoGroupError: the task has no group.

    Source: the notebook of scienceetonnante (2023).

    >>> course = embedding_course("pizza59", steps=[0, 8000])
    >>> bool(course.purity[0, :6].max() < 0.7), bool(course.purity[1, :6].min() > 0.9)  # the circles grow
    (True, True)
    """
    checkpoints = open_checkpoints(
        run, task, reading={} if config is None else {"config": config}, model=model
    )
    wanted = checkpoints.chosen(steps)
    final = _final_components(checkpoints, operand)
    embeddings = [embeddings_of(checkpoints.load(step), checkpoints.task)[operand] for step in wanted]
    scores = torch.stack([final.project(embedding) for embedding in embeddings])
    total = torch.stack([(e - e.mean(0)).double().square().sum() for e in embeddings])
    basis = checkpoints.task.frame.basis
    blocks = [basis.blocks.index(basis.block(label)) for label in final.frequency]
    power = basis.power(scores, dim=1)
    own = power[:, blocks, range(len(blocks))]
    return EmbeddingCourse(
        steps=wanted,
        final=final,
        scores=scores,
        variance=scores.square().sum(1) / total.clamp(min=1e-300)[:, None],
        purity=own / power.sum(1).clamp(min=1e-300),
    )


def _final_components(checkpoints: Checkpoints, operand: Literal[0, 1]) -> EmbeddingComponents:
    grid = cache_grid(checkpoints.load(checkpoints.steps[-1]), checkpoints.task, names=[])
    return embedding_components(grid, operand)
