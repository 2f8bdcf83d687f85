"""Memorisation, circuit formation and cleanup: the phases of training, found by a rule."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mechgrok.analysis.curves import History, LearningCurve, as_rows, curve, objective_of
from mechgrok.analysis.falls import Boundary, Fall, find_fall, lowest
from mechgrok.drawable import Drawable
from mechgrok.errors import UndefinedMetricError
from mechgrok.readable import Readable
from mechgrok.registries import NATS, OBJECTIVES

LEARNED = 0.5
"""Loss in nats below which inputs count as learned: the right answer is likelier than all others together."""
RISE = 2
"""Factor by which the excluded loss must rise to show that a circuit forms."""


@dataclass(frozen=True)
class Phase(Readable):
    """One phase of training.

    Attributes:
        start, end: None if there is none; a phase with a start and no end is still in progress at the last step.
        reason: why a boundary is missing; empty if both are present.
    """

    name: str
    start: Boundary | None = None
    end: Boundary | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.start is None:
            return f"{self.name}: {self.reason}"
        return f"{self.name}: {self.start} to {self.end or 'the last step'}"


@dataclass(frozen=True)
class Phases(Drawable):
    """The three phases of Nanda et al. 2023, as far as a training run has them.

    Attributes:
        memorisation, circuit_formation, cleanup: in this order.
        first, last: steps between which the training was observed.
        evidence: the curve from which the end of memorisation was read.
    """

    memorisation: Phase
    circuit_formation: Phase
    cleanup: Phase
    first: int
    last: int
    evidence: str

    def __iter__(self) -> Iterator[Phase]:
        return iter((self.memorisation, self.circuit_formation, self.cleanup))

    def records(self) -> list[dict[str, Any]]:
        """One row per phase."""
        return [
            {"phase": phase.name, "start": phase.start, "end": phase.end, "reason": phase.reason}
            for phase in self
        ]

    def __repr__(self) -> str:
        return f"Phases({'; '.join(map(str, self))})"


def find_phases(history: History) -> Phases:
    """Find the phases of training from its curves.

    Nanda et al. read them off their figures by eye; this is a rule for what they saw.

    - Memorisation lasts from the first step until the excluded loss is lowest before it rises by a factor of 2 or
      more: from there on the key frequencies are needed on the train inputs too. Without that loss it ends at
      the end of the train loss's fall before the test loss falls.
    - Circuit formation follows, until the fall of the test loss starts. Meanwhile the excluded loss rises, and
        the restricted loss, if given, must have fallen.
    - Cleanup is the fall of the test loss.

    `find_fall` determines where a fall begins and ends, and with what certainty: at the corners of the curve, in
    the logarithm of the loss. So nothing depends on the spacing of the rows or the depth of the losses.

    A phase is missing, with its reason, if it was not reached or is not a separate phase: memorisation, and then
    all three, if the test loss falls before the train loss is below 0.5 nats; circuit formation, if memorisation
    may last until cleanup begins.

    Args:
        history: rows with `step`, `loss_train` and `loss_test` in nats, and if known `excluded_loss` (over the
            train inputs) and `restricted_loss`; other columns are ignored. None is a missing value.

    Raises:
        UndefinedMetricError: no rows; losses that are no cross-entropies, or below 0, or 0 throughout.
        ConfigError: rows without a step, or out of order.

    Source: the phases are those of Nanda et al. 2023 (arXiv 2301.05217), section 5.2; the rule is ours.

    >>> import numpy as np
    >>> steps = range(0, 10_001, 100)
    >>> train = 10 ** np.interp(steps, [0, 1000], [0.7, -6])
    >>> test = 10 ** np.interp(steps, [0, 1000, 6000, 8000], [0.7, 1.4, 1.4, -6])
    >>> rows = [dict(step=s, loss_train=a, loss_test=b) for s, a, b in zip(steps, train, test)]
    >>> [str(phase) for phase in find_phases(rows)][1]
    'circuit formation: 1000 [900..1100] to 6000 [5700..6100]'
    """
    history = as_rows(history)
    if not history:
        raise UndefinedMetricError("there are no rows, so there are no phases")
    objective = objective_of(history)
    if OBJECTIVES[objective].unit != NATS:
        raise UndefinedMetricError(
            f"phases are read from cross-entropies in nats; the losses of this history are those of {objective!r}"
        )
    train, test, excluded, restricted = (
        curve(history, name) for name in ("loss_train", "loss_test", "excluded_loss", "restricted_loss")
    )
    first, last = int(history[0]["step"]), int(history[-1]["step"])
    fall = _generalisation(test)
    memorisation, source = _memorisation(train, excluded, fall, first)
    if isinstance(fall, str):
        cleanup = Phase("cleanup", reason=fall)
    elif not len(train):
        cleanup = Phase("cleanup", reason=memorisation.reason)
    elif memorisation.start is None:
        cleanup = Phase("cleanup", reason="there is nothing to clean up")
    else:
        cleanup = _until_end("cleanup", fall.start, fall, "the test loss still falls at the last step")
    formation = _formation(memorisation, cleanup, excluded, restricted, last)
    return Phases(memorisation, formation, cleanup, first, last, source)


def _generalisation(test: LearningCurve) -> Fall | str:
    """The fall of the test loss, or why there is none."""
    if not len(test):
        return "there is no test loss; ask for loss_test too"
    i = int(test.values.argmin())
    if test.values[i] >= LEARNED:
        return (
            f"the test loss stays above {LEARNED} nats; its lowest is {test.values[i]:z.3g} "
            f"at step {test.steps[i]}"
        )
    return _fall(test)


def _memorisation(
    train: LearningCurve, excluded: LearningCurve, fall: Fall | str, first: int
) -> tuple[Phase, str]:
    """The phase, and the curve from which its end was read."""
    name, start = "memorisation", Boundary(first, first, first)
    if not len(train):
        return Phase(name, reason="there is no train loss; ask for loss_train too"), train.name
    learned = next(iter(train.steps[train.values < LEARNED].tolist()), None)
    if isinstance(fall, Fall) and (learned is None or learned > fall.start.earliest):
        falls = f"the test loss falls from step {fall.start.earliest} on"
        reason = f"{falls}, before the train loss is below {LEARNED} nats"
        return Phase(name, reason=reason), train.name
    if learned is None:
        return Phase(name, start, None, f"the train loss stays above {LEARNED} nats"), train.name
    turn = lowest(excluded, RISE)
    if turn is not None:
        return Phase(name, start, turn), excluded.name
    if isinstance(fall, Fall):
        before = _fall(train.before(fall.start.step))
        known = isinstance(before, Fall)
        return Phase(name, start, before.end if known else None, "" if known else before), train.name
    return _until_end(name, start, _fall(train), "the train loss still falls at the last step"), train.name


def _fall(loss: LearningCurve) -> Fall | str:
    try:
        return find_fall(loss)
    except UndefinedMetricError as error:
        return str(error)


def _until_end(name: str, start: Boundary, fall: Fall | str, going_on: str) -> Phase:
    """A phase that lasts until a fall is over, and is still in progress if it is not."""
    if isinstance(fall, str):
        return Phase(name, start, None, fall)
    return Phase(name, start, fall.end) if fall.over else Phase(name, start, None, going_on)


def _formation(
    memorisation: Phase, cleanup: Phase, excluded: LearningCurve, restricted: LearningCurve, last: int
) -> Phase:
    name, start, end = "circuit formation", memorisation.end, cleanup.start
    if start is None:
        return Phase(name, reason="memorisation has not ended" if memorisation.start else memorisation.reason)
    if len(excluded) and lowest(excluded, RISE) is None:
        return Phase(name, reason=f"the excluded loss does not rise by a factor of {RISE}")
    if end is None and not len(excluded):
        return Phase(name, reason=f"without the excluded loss it cannot be seen: {cleanup.reason}")
    if end is not None and start.latest >= end.step:
        return Phase(
            name, reason=f"no phase of its own: memorisation ends at {start}, cleanup begins at {end}"
        )
    if len(restricted) > 1 and restricted.at(end.step if end else last) >= restricted.at(start.step):
        return Phase(name, reason="the restricted loss does not fall")
    return Phase(name, start, end, "" if end else cleanup.reason)
