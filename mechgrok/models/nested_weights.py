"""Weights nested in whatever a training script stored with them: find their mapping, and the facts around it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mechgrok.errors import CheckpointError
from mechgrok.models.pickles import as_plain

Place = tuple[Any, ...]
"""The keys that lead to a mapping, from the outside to the inside."""

DEPTH = 4
"""Maximum nesting depth of the search for weights."""
SETTINGS = (
    "config", "cfg", "conf", "model_config", "model_cfg", "model_args", "model_kwargs", "hparams", "hyper_parameters",
    "hyperparameters", "args", "kwargs", "opt", "options", "settings", "params", "metadata",
)  # fmt: skip
"""Names under which authors store the configuration of a network."""
PREFIXES = ("module.", "model.", "net.", "network.", "_forward_module.")
"""Prefixes that DataParallel, Lightning and wrappers put before every name."""
COMPILED = "_orig_mod."
"""Prefix that torch.compile puts before the names in whatever it compiles."""
SHOWN = 8
"""Maximum number of keys listed in an error."""


@dataclass(frozen=True)
class Found:
    """Named tensors, the other facts in the file, and the step of the tensors if there are several."""

    tensors: dict[str, Tensor]
    settings: dict[str, Any]
    step: str = ""


def find_weights(stored: Any, path: Path, key: str | None = None, step: int | None = None) -> Found:
    """The single mapping of named weights among a file's contents.

    Args:
        key: selects one of several mappings: the keys that lead to it, joined by dots.
        step: selects from a mapping from steps to weights; None means the newest.

    Raises:
        CheckpointError: there are no weights, none under this key or at this step, or several and no key.
    """
    places = dict(_weights_in(stored))
    if not places and isinstance(stored, Mapping):
        places = {(): stored} if _is_mixed(stored) else {}
    if not places:
        raise CheckpointError(f"{path} holds {_described(stored)}; expected a state dict, tensors by name")
    if key is not None:
        places = _under(key, places, path)
    chosen, said = _one_of(places, step, path)
    tensors = {name: _as_tensor(value) for name, value in places[chosen].items() if _is_tensor(value)}
    return Found(tensors, _settings_around(stored, chosen), said)


def without_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors without the prefixes that wrappers put before all of their names.

    >>> list(without_prefixes({"module._orig_mod.W_E": torch.ones(1), "module._orig_mod.W_U": torch.ones(1)}))
    ['W_E', 'W_U']
    """
    names = {name: name.replace(COMPILED, "") for name in tensors}
    while prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in names.values())), None):
        if not names or any(name == prefix for name in names.values()):
            break
        names = {name: short.removeprefix(prefix) for name, short in names.items()}
    if len(set(names.values())) < len(names):
        return dict(tensors)
    return {names[name]: tensor for name, tensor in tensors.items()}


def joined_settings(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """The facts about a network from several places; contradictory facts are omitted, as if unspecified.

    >>> joined_settings({"n_heads": 4, "lr": 1.0}, {"n_heads": 4, "lr": 2.0})
    {'n_heads': 4}
    """
    joined: dict[str, Any] = {}
    contradicted = set()
    for source in sources:
        for name, value in source.items():
            if name in joined and json.dumps(joined[name]) != json.dumps(value):
                contradicted.add(name)
            joined.setdefault(name, value)
    return {name: value for name, value in joined.items() if name not in contradicted}


def _weights_in(stored: Any, place: Place = ()) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """All mappings of only named tensors, at least one a matrix; optimiser states are excluded."""
    if isinstance(stored, Mapping):
        if stored and all(isinstance(name, str) and _is_tensor(value) for name, value in stored.items()):
            if any(_is_matrix(value) for value in stored.values()) or not place:
                yield place, stored
            return
        if "param_groups" in stored or "exp_avg" in stored:
            return
        inner: Any = stored.items()
    elif isinstance(stored, list | tuple):
        inner = enumerate(stored)
    else:
        return
    if len(place) < DEPTH:
        for name, value in inner:
            yield from _weights_in(value, (*place, name))


def _under(key: str, places: Mapping[Place, Any], path: Path) -> dict[Place, Any]:
    found = {
        place: weights for place, weights in places.items() if f"{_dotted(place)}.".startswith(f"{key}.")
    }
    if not found:
        raise CheckpointError(f"{path} has no weights under key={key!r}; it has them under {_listed(places)}")
    return found


def _one_of(places: Mapping[Place, Any], step: int | None, path: Path) -> tuple[Place, str]:
    """The chosen place, and its step if there are several."""
    steps = {number: place for place in places if (number := _step_of(place)) is not None}
    several = len(places) > 1 and len(steps) == len(places) and len({place[:-1] for place in places}) == 1
    if several:
        chosen = max(steps) if step is None else step
        if chosen not in steps:
            raise CheckpointError(
                f"{path} has no weights at step={step}; it has the steps {_some(sorted(steps))}"
            )
        return steps[chosen], f"step {chosen} of {_some(sorted(steps))}"
    if len(places) > 1:
        raise CheckpointError(
            f"{path} holds weights in {len(places)} places: {_listed(places)}. Say which with "
            f"load_model(path, key={_dotted(next(iter(places)))!r})"
        )
    (only,) = places
    if step is not None and steps.get(step) != only:
        raise CheckpointError(
            f"{path} does not hold weights of several steps, but of one network; leave step={step} out"
        )
    return only, ""


def _step_of(place: Place) -> int | None:
    """The number at the end of the last key: 100, "100", "step_100"."""
    last = str(place[-1]) if place else ""
    digits = last[len(last.rstrip("0123456789")) :]
    return int(digits) if digits and len(digits) < 16 else None


def _settings_around(stored: Any, place: Place) -> dict[str, Any]:
    """The facts about the network in the mappings around the weights: configurations, and facts next to the weights."""
    facts: list[dict[str, Any]] = []
    configurations: list[dict[str, Any]] = []
    for name in (*place, None):
        if not isinstance(stored, Mapping):
            break
        plain = {
            str(key): value
            for key, value in stored.items()
            if isinstance(value, str | bool | int | float | np.generic)
        }
        facts.append(as_plain(plain))
        for key in SETTINGS:
            inside = None if key == name else as_plain(stored.get(key))
            if isinstance(inside, dict):
                configurations.append(inside)
        stored = stored.get(name) if name is not None else None
    return joined_settings(*configurations, *facts)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, np.ndarray) and value.dtype.kind in "fiub")


def _is_matrix(value: Any) -> bool:
    return _is_tensor(value) and value.ndim >= 2


def _is_mixed(stored: Mapping[Any, Any]) -> bool:
    """Whether weights share a mapping with other facts."""
    tensors = [value for name, value in stored.items() if isinstance(name, str) and _is_tensor(value)]
    return sum(_is_matrix(value) for value in tensors) >= 2 and all(isinstance(name, str) for name in stored)


def _as_tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value).copy())


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))


def _listed(places: Mapping[Place, Any]) -> str:
    return _some([repr(_dotted(place)) for place in places])


def _some(values: Sequence[Any]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(str(value)[:60] for value in values[:SHOWN]) + more


def _described(stored: Any) -> str:
    if isinstance(stored, Mapping):
        return f"a mapping with the keys {_some(list(stored))}"
    return type(stored).__name__
