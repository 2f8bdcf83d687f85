"""In-context learning: how much better a network predicts late in a sequence than early."""

from collections.abc import Sequence
from dataclasses import dataclass

from mechgrok.activations import Source
from mechgrok.analysis.position_losses import HowMany, PositionLosses, position_losses
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, shown
from mechgrok.spelling import unknown
from mechgrok.tasks import Task

Place = int | str
Places = Place | Sequence[Place]
"""Scored positions, by their number or their label."""


@dataclass(frozen=True, eq=False)
class InContextScore(Drawable):
    """The loss late in a sequence less the loss early; below 0 a network learns from the context.

    Attributes:
        score: the difference, in nats.
        early, late: labels of the positions that are compared.
        loss_early, loss_late: mean losses there, in nats.
        positions: the losses of all positions.
    """

    score: float
    early: tuple[str, ...]
    late: tuple[str, ...]
    loss_early: float
    loss_late: float
    positions: PositionLosses

    def __repr__(self) -> str:
        return (
            f"InContextScore({self.score:z.3f} nats: {self.loss_late:z.3f} at {_named(self.late)}, "
            f"{self.loss_early:z.3f} at {_named(self.early)})"
        )


@door
def in_context_score(
    source: Source,
    task: Task | None = None,
    early: Places = 0,
    late: Places = -1,
    n: HowMany = 2000,
    seed: int = 0,
) -> InContextScore:
    """The loss of a network late in its sequences less that early.

    Olsson et al. compare the 500th with the 50th token of a text. In short sequences the positions are a choice, and
    several of each make the score more certain. With random tokens it is about 0 until a network makes use of
    repetitions, and falls when induction heads form.

    Args:
        source: a network; the run, name or file of one.
        task: what it is asked; None takes the task that it was trained on, or infers it.
        early, late: scored positions, by number from 0 on (-1 is the last), by label, or several in a list. By default
            the first and the last.
        n, seed: of a task that draws its inputs, how many fresh ones, and from which seed.

    Raises:
        ConfigError: a position that the task does not have, or none.
        TaskError: the task does not fit the network, or none can be inferred.
        UndefinedMetricError: answers are values.

    Source: Olsson et al. 2022 (arXiv 2209.11895).

    >>> import mechgrok as mg
    >>> task = mg.repeated_sequence_task(20, 25, subsequence=10, repeats=2, every_token=True)
    >>> found = in_context_score(mg.induction_network(20, 25), task, early=range(10), late=range(18, 24), n=200)
    >>> found.score < -1
    True
    """
    losses = position_losses(source, task, n, seed)
    first, last = (_numbers(losses, places, name) for places, name in ((early, "early"), (late, "late")))
    return compared(losses, first, last)


def compared(losses: PositionLosses, early: Sequence[int], late: Sequence[int]) -> InContextScore:
    """The score between two sets of positions, given by their numbers."""
    before, after = (losses.losses[list(places)].mean().item() for places in (early, late))
    names = [tuple(losses.labels[place] for place in places) for places in (early, late)]
    return InContextScore(after - before, names[0], names[1], before, after, losses)


def _numbers(losses: PositionLosses, places: Places, name: str) -> list[int]:
    """The numbers of positions, each from 0 on and once."""
    given = [places] if isinstance(places, Place) else list(places)
    found = list(dict.fromkeys(_number(losses.labels, place, name) for place in given))
    if not found:
        raise ConfigError(f"{name} names the positions that are compared, one or more; got {shown(places)}")
    return found


def _number(labels: tuple[str, ...], place: Place, name: str) -> int:
    if isinstance(place, str):
        if place not in labels:
            raise ConfigError(f"{name}: {unknown('scored position', place, labels)}")
        return labels.index(place)
    if isinstance(place, bool) or not -len(labels) <= place < len(labels):
        raise ConfigError(f"{name} is a number from {-len(labels)} to {len(labels) - 1}, got {shown(place)}")
    return place % len(labels)


def _named(labels: tuple[str, ...]) -> str:
    return labels[0] if len(labels) == 1 else f"{labels[0]} .. {labels[-1]}"
