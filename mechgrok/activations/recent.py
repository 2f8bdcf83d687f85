"""The grids that were cached last, so that several analyses of one unchanged network run it once."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from types import MappingProxyType
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from mechgrok.activations.grid import ActivationGrid
from mechgrok.models.protocol import HookedModel
from mechgrok.models.unaltered import NetworkState, is_unaltered
from mechgrok.tasks import Task

MOST_GRIDS = 2
"""How many networks are remembered: two can be compared in turns."""
MOST_BYTES = 256 * 2**20
"""A larger grid is not kept, as memory is then dearer than time."""


@dataclass(frozen=True)
class _Remembered:
    """A grid without its network, which the dictionary must not keep alive."""

    state: NetworkState
    task: Task
    logits: Tensor
    activations: MappingProxyType[str, Tensor]


class RecentGrids:
    """The last grids, each valid as long as its network is in the very state in which it was run.

    Only analyses are given these grids. Their tensors never reach the user, who could change them.
    """

    def __init__(self) -> None:
        self._remembered: WeakKeyDictionary[HookedModel, _Remembered] = WeakKeyDictionary()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._remembered)

    def find(self, model: HookedModel, names: Sequence[str]) -> ActivationGrid | None:
        """A grid of the network as it is now that has these activations, if there is one.

        One that no longer fits is forgotten, before another takes its memory.
        """
        with self._lock:
            known = self._remembered.get(model)
        if (
            known is not None
            and known.activations.keys() >= set(names)
            and can_be_remembered(model, known.task)
            and known.state.is_that_of(model)
        ):
            return ActivationGrid(known.task, model, known.logits, known.activations)
        with self._lock:
            self._make_room(model)
        return None

    def remember(self, grid: ActivationGrid, state: NetworkState) -> None:
        """Keep a grid, if its network is still in the state in which it was when the run began."""
        size = sum(x.numel() * x.element_size() for x in (grid.logits, *grid.activations.values()))
        if size <= MOST_BYTES and state.is_that_of(grid.model):
            with self._lock:
                self._make_room(grid.model)  # again, as another thread may have taken it
                self._remembered[grid.model] = _Remembered(state, grid.task, grid.logits, grid.activations)

    def _make_room(self, model: HookedModel) -> None:
        self._remembered.pop(model, None)
        while len(self._remembered) >= MOST_GRIDS:
            self._remembered.pop(next(iter(self._remembered)), None)

    def forget(self) -> None:
        """Drop all of them."""
        with self._lock:
            self._remembered.clear()


RECENT = RecentGrids()
"""Of this process."""


def can_be_remembered(model: HookedModel, task: Task) -> bool:
    """Whether a run depends on nothing but the state of the network, not on hooks, code of the user's or autocast; and
    whether its logits and neurons are small enough."""
    if not is_unaltered(model) or any(map(torch.is_autocast_enabled, ("cpu", "cuda"))):
        return False
    columns = task.signature.d_out + (model.cfg.d_mlp or 0)
    return (
        task.n_inputs * task.signature.n_scored * columns * torch.finfo(torch.float32).bits // 8 <= MOST_BYTES
    )
