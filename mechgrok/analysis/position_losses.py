"""The loss of each scored position: which digit of a sum, or which token of a repetition, has been learned."""

from dataclasses import dataclass
from typing import Annotated, Any

from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.activations import fit_task, infer_task
from mechgrok.activations.forward import outputs_for
from mechgrok.activations.sources import Source, as_network
from mechgrok.analysis.losses import cross_entropy
from mechgrok.config import check_seed
from mechgrok.door import Between, door
from mechgrok.drawable import Drawable
from mechgrok.errors import UndefinedMetricError
from mechgrok.tasks import Batch, StreamTask, Task
from mechgrok.tasks.data import seeded

HowMany = Annotated[int, Between(1, 10**7)]
"""A number of inputs."""


@dataclass(frozen=True, eq=False)
class PositionLosses(Drawable):
    """Losses and accuracies of the scored positions, over some inputs.

    Attributes:
        labels: of the positions, such as "10^3" for a digit of a sum.
        losses: [scored], mean cross-entropy of each position in nats.
        accuracies: [scored], share of right answers at each position, 0..1.
        exact_match: share of the inputs with right answers at all positions, 0..1.
        n_inputs: over how many inputs that is.
        n_classes: number of answers.
    """

    labels: tuple[str, ...]
    losses: Float[Tensor, " scored"]
    accuracies: Float[Tensor, " scored"]
    exact_match: float
    n_inputs: int
    n_classes: int

    @property
    def loss(self) -> float:
        """The mean over all positions, in nats."""
        return self.losses.mean().item()

    @property
    def accuracy(self) -> float:
        """Share of right answers over all positions, 0..1."""
        return self.accuracies.mean().item()

    def records(self) -> list[dict[str, Any]]:
        """One row per position."""
        rows = zip(self.labels, self.losses.tolist(), self.accuracies.tolist(), strict=True)
        return [{"position": label, "loss": loss, "accuracy": accuracy} for label, loss, accuracy in rows]

    def __repr__(self) -> str:
        return (
            f"PositionLosses({len(self.labels)} positions, {self.n_inputs} inputs: loss {self.loss:z.3g} nats, "
            f"accuracy {self.accuracy:z.1%}, all right {self.exact_match:z.1%})"
        )


@door
def position_losses(
    model: Source, task: Task | None = None, n: HowMany = 2000, seed: int = 0
) -> PositionLosses:
    """Loss and accuracy of a network at each scored position.

    Args:
        model: a network, a run, or the name or file of one.
        task: what it is asked; None takes the task that it was trained on, or infers it.
        n: number of fresh inputs, of a task that draws its inputs. If the task has limited data, those that are train
            inputs are left out. Of a task with a fixed domain all inputs are taken.
        seed: of the fresh inputs.

    Raises:
        TaskError: the task does not fit the network, or none can be inferred.
        UndefinedMetricError: answers are values.

    >>> import mechgrok as mg
    >>> task = mg.digit_addition_task(1)
    >>> model = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    >>> mg.position_losses(model, n=100).labels
    ('10^1', '10^0')
    """
    network = as_network(model)
    task = fit_task(network, task or getattr(network, "task", None) or infer_task(network))
    batch = _inputs(task, n, check_seed(seed))
    outputs = outputs_for(network, task, batch)
    return losses_by_position(outputs, batch.targets, task)


def losses_by_position(
    outputs: Float[Tensor, "n scored classes"], targets: Tensor, task: Task
) -> PositionLosses:
    """Loss and accuracy at each scored position, of outputs that are there.

    Raises:
        UndefinedMetricError: answers are values.
    """
    if targets.is_floating_point():
        raise UndefinedMetricError(f"the answers of {task.name} are values, and have no cross-entropy")
    losses = cross_entropy(outputs.flatten(0, 1), targets.flatten()).view_as(targets)
    right: Bool[Tensor, "n scored"] = outputs.argmax(-1) == targets
    return PositionLosses(
        task.position_labels,
        losses.mean(0),
        right.double().mean(0),
        right.all(1).double().mean().item(),
        len(targets),
        outputs.shape[-1],
    )


def _inputs(task: Task, n: int, seed: int) -> Batch:
    """Fresh inputs, where the task draws them."""
    if isinstance(task, StreamTask):
        return task.sample_unseen(n, seeded("position losses", seed))
    return task.examples
