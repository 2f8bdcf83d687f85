"""The most recently cached grids, so that several analyses of one unchanged network run it once."""

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
"""How many networks are remembered: two can be compared alternately."""
MOST_BYTES = 256 * 2**20
"""A larger grid is not kept, because memory then matters more than time."""


@dataclass(frozen=True)
class _Remembered:
    """A grid without its network, which the dictionary must not keep alive."""

    state: NetworkState
    task: Task
    logits: Tensor
    activations: MappingProxyType[str, Tensor]


class RecentGrids:
    """The last grids, each valid as long as its network is in exactly the state in which it was run.

    Only analyses receive these grids. Their tensors never reach the user, who could change them.
    """

    def __init__(self) -> None:
        self._remembered: WeakKeyDictionary[HookedModel, _Remembered] = WeakKeyDictionary()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._remembered)

    def find(self, model: HookedModel, names: Sequence[str]) -> ActivationGrid | None:
        """A grid of the network in its current state that has these activations, if there is one.

        A grid that no longer fits is forgotten before another takes up memory.
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
        """Keep a grid, if its network is still in the state it was in when the run began."""
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
"""The grids remembered by this process."""


def can_be_remembered(model: HookedModel, task: Task) -> bool:
    """Whether a run depends only on the state of the network, not on hooks, user code or autocast, and its logits and
    neurons are small enough."""
    if not is_unaltered(model) or any(map(torch.is_autocast_enabled, ("cpu", "cuda"))):
        return False
    columns = task.signature.d_out + (getattr(model.cfg, "d_mlp", None) or 0)
    return (
        task.n_inputs * task.signature.n_scored * columns * torch.finfo(torch.float32).bits // 8 <= MOST_BYTES
    )
