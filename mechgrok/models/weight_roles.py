"""The roles of weights in a user's module, and their orientation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from mechgrok.errors import ActivationError, ConfigError, shown
from mechgrok.models.taps import no_such_path

ROLES = {
    "W_E": ("d_vocab", "d_model"),
    "W_pos": ("n_ctx", "d_model"),
    "W_in": ("d_model", "d_mlp"),
    "W_out": ("d_mlp", "d_model"),
    "W_U": ("d_model", "d_vocab_out"),
    "W_L": ("d_mlp", "d_vocab_out"),
}
"""Rows and columns of each weight, as sizes of the network."""

Find = Callable[[nn.Module], Tensor]


@dataclass(frozen=True)
class Weight:
    """A weight of a module in its current state, [rows, columns] as its role prescribes; called with the module.

    Attributes:
        find: returns the weight.
        transposed: whether it is stored the other way round.
        note: the assumption made, in readable form.
    """

    find: Find
    transposed: bool = False
    note: str = ""

    def __call__(self, module: nn.Module) -> Tensor:
        found = self.find(module)
        return found.T if self.transposed else found


def as_weights(module: nn.Module, weights: Any, cfg: Any) -> dict[str, Weight]:
    """The weights named by the user, by role.

    Args:
        weights: for each role, the path of a parameter, a Linear or an Embedding, or a function of the module.
        cfg: sizes of the network; 0 if unknown.

    Raises:
        ConfigError: an unknown role or path.
        ActivationError: a weight whose shape does not fit its role.
    """
    if not isinstance(weights, Mapping | None):
        raise ConfigError(f"weights are given by name, as in {{'W_E': 'embed.weight'}}; got {shown(weights)}")
    return {role: _weight(module, role, given, cfg) for role, given in (weights or {}).items()}


def _weight(module: nn.Module, role: str, given: Any, cfg: Any) -> Weight:
    if role not in ROLES:
        raise ConfigError(f"weights are called {', '.join(ROLES)}; got {shown(role)}")
    if not callable(given) and not isinstance(given, str):
        raise ConfigError(
            f"{role} is the path of a parameter, Linear or Embedding, or a function of the module that gives the "
            f"matrix; got {shown(given)}"
        )
    find, transposed = _at_path(module, given) if isinstance(given, str) else (cast(Find, given), False)
    found = find(module)
    if not isinstance(found, Tensor) or found.ndim != 2:
        raise ActivationError(f"{role} is a matrix {list(ROLES[role])}; {shown(given)} gives {shown(found)}")
    if _fits(found.shape[::-1] if transposed else found.shape, role, cfg):
        return Weight(find, transposed, "transposed" if transposed else "")
    if isinstance(given, str) and _fits(found.shape if transposed else found.shape[::-1], role, cfg):
        return Weight(find, not transposed, "" if transposed else "transposed")
    sizes = ", ".join(f"{name} = {getattr(cfg, name) or 'any'}" for name in ROLES[role])
    raise ActivationError(f"{role} has the shape [{sizes}]; {shown(given)} gives {shown(found)}")


def _at_path(module: nn.Module, path: str) -> tuple[Find, bool]:
    """A function that returns the weight at a path, and whether its owner stores it [out, in]."""
    named = dict(module.named_parameters())
    modules = dict(module.named_modules())
    if path in modules and isinstance(getattr(modules[path], "weight", None), Tensor):
        path = f"{path}.weight".lstrip(".")
    # For tied weights, named_parameters lists only one name.
    owner, _, name = path.rpartition(".")
    if path not in named and not isinstance(getattr(modules.get(owner), name, None), Tensor):
        raise no_such_path("weight", path, [*named, *(n for n in modules if f"{n}.weight" in named)])
    stored_out_in = isinstance(modules[owner], nn.Linear) and name == "weight"
    return lambda m: getattr(m.get_submodule(owner), name), stored_out_in


def _fits(shape: torch.Size | tuple[int, ...], role: str, cfg: Any) -> bool:
    """Whether a shape fits a role; tokens and classes beyond the task's are harmless."""
    for size, name in zip(shape, ROLES[role], strict=True):
        known = getattr(cfg, name)
        at_least = name in ("d_vocab", "d_vocab_out", "n_ctx")
        if known and (size < known if at_least else size != known):
            return False
    return True
