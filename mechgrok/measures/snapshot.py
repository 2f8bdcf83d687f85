"""The input of a measure: one checkpoint with its task, split and key frequencies."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from jaxtyping import Bool, Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, cache_grid, fit_task
from mechgrok.algebra.bases import Label
from mechgrok.errors import UndefinedMetricError
from mechgrok.models.protocol import HookedModel, neuron_hook
from mechgrok.tasks import Frame, Split, Task

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A network at one step of its training.

    Attributes:
        step: number of updates taken.
        model: the network; do not change it.
        asked: the task that was learned; `task` is the same, written as the network reads it.
        split: the inputs that were trained on; None if unknown. Measures use `train` and `test`.
        found: labels of the key blocks of the last checkpoint; None if it does not exist yet. Measures use
            `keys`.
        hooks: hooks to be cached besides the neurons.
    """

    step: int
    model: HookedModel
    asked: Task
    split: Split | None = None
    found: tuple[Label, ...] | None = None
    hooks: tuple[str, ...] = ()
    _known: dict[Callable[..., Any], Any] = field(default_factory=dict, repr=False)

    @cached_property
    def task(self) -> Task:
        """The task that was learned, as the network reads it."""
        return fit_task(self.model, self.asked)

    @property
    def frame(self) -> Frame:
        """The frame of the task in its own group.

        Raises:
            TaskError: it has none.
        """
        return self.task.frame

    @cached_property
    def grid(self) -> ActivationGrid:
        """Neurons, logits and the requested hooks, over all inputs."""
        neurons = [neuron_hook(self.model)] if getattr(self.model.cfg, "d_mlp", None) else []
        return cache_grid(self.model, self.task, [*neurons, *self.hooks])

    @cached_property
    def logits(self) -> Float[Tensor, "inputs *scored classes"]:
        """The logits over all inputs, in float64."""
        return self.grid.logits.double()

    @property
    def keys(self) -> tuple[Label, ...]:
        """Labels of the key blocks; at every step, those of the last checkpoint.

        Raises:
            UndefinedMetricError: there are none, or they are not known yet.
        """
        what = self.frame.basis.what
        if self.found is None:
            raise UndefinedMetricError(
                f"no key {what} is known before the last checkpoint: give keys=..., or call "
                "progress_measures(run) after the training"
            )
        if not self.found:
            raise UndefinedMetricError(
                f"the last checkpoint has no key {what}: it has not learned a circuit in this basis"
            )
        return self.found

    @property
    def train(self) -> Bool[Tensor, " inputs"]:
        """Mask of the train inputs.

        Raises:
            UndefinedMetricError: they are not known, or there are none.
        """
        if not self._known_split.train.any():
            raise UndefinedMetricError("every update has fresh inputs: there are no train inputs")
        return self._known_split.train

    @property
    def test(self) -> Bool[Tensor, " inputs"]:
        """Mask of the other inputs.

        Raises:
            UndefinedMetricError: they are not known, or there are none.
        """
        if not self._known_split.test.any():
            raise UndefinedMetricError("the network was trained on all inputs: there are no test inputs")
        return self._known_split.test

    def once(self, compute: Callable[["Snapshot"], T]) -> T:
        """The value of a function of this snapshot, computed when the first measure asks for it.

        Measures share intermediates this way: `snapshot.once(losses)`.
        """
        if compute not in self._known:
            self._known[compute] = compute(self)
        return self._known[compute]

    @property
    def _known_split(self) -> Split:
        if self.split is None:
            raise UndefinedMetricError("nobody said which inputs were trained on: give split=...")
        return self.split
