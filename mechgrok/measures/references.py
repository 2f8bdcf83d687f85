"""Values of measures for simple reference networks: one that guesses, and one that is perfect."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log


@dataclass(frozen=True)
class Reference:
    """The value of a measure in a reference case.

    Attributes:
        case: the reference network, such as "guessing".
        value: a number, or a function of the number of answers.
        formula: the function in readable form.
    """

    case: str
    value: float | Callable[[int], float]
    formula: str = ""

    def at(self, n_answers: int) -> float:
        """The number, for a task with `n_answers` answers."""
        return self.value(n_answers) if callable(self.value) else float(self.value)

    def __str__(self) -> str:
        return f"{self.formula or format(self.value, 'g')} for {self.case}"


GUESSING = Reference("guessing", log, "ln(number of answers)")
"""For a cross-entropy in nats: the same logit for every answer."""
NO_MARGIN = Reference("guessing", 0.0)
ALL = Reference("a perfect network", 1.0)
"""For a fraction: a clock that always answers correctly, and consists of its keys alone."""
UNEVEN = Reference("a flat spectrum", 0.0)
EVEN = Reference("a flat spectrum", 1.0)
SYMMETRIC = Reference("a network that adds up the embeddings", 1.0)
ROUND = Reference("one circle", 1.0)
