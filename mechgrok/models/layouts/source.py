"""What a layout is made of: the tensors that it reads, and what it makes of them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mechgrok.config import NetworkConfig
from mechgrok.tasks import Task

Tensors = Mapping[str, Tensor]
Header = Mapping[str, str]

SETTINGS_KEY = "config"
"""Where a header holds the author's own configuration, as JSON."""
HEAD_NAMES = ("n_heads", "num_heads", "n_head", "nhead", "heads")
"""Names under which such configurations have the number of attention heads."""


@dataclass(frozen=True)
class Source:
    """A file as a layout sees it.

    Attributes:
        tensors: by name, without buffers.
        header: text metadata of the file.
        settings: the author's own configuration; empty where there is none.
        known: what the caller says about the architecture, by field of the configuration.
    """

    tensors: Tensors
    header: Header = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Converted:
    """A network of ours in waiting: its architecture, its weights, and its task where the file tells it."""

    config: NetworkConfig
    state: dict[str, Tensor]
    task: Task | None = None


@dataclass(frozen=True)
class Layout:
    """A way to store a network: how to recognise it, and how to turn it into ours."""

    name: str
    what: str
    detect: Callable[[Source], bool]
    convert: Callable[[Source], Converted]


class RefusedError(ValueError):
    """The layout is clear, but the network in it cannot be represented; the text is the reason."""


def settings_of(header: Header) -> dict[str, Any]:
    """The author's configuration in a header; empty where it is absent or is no JSON object.

    >>> settings_of({"config": '{"attn_coeff": 0.5}'})
    {'attn_coeff': 0.5}
    """
    try:
        settings = json.loads(header.get(SETTINGS_KEY, "{}"))
    except json.JSONDecodeError:
        return {}
    return settings if isinstance(settings, dict) else {}


def has_shape(source: Source, name: str, ndim: int) -> bool:
    """Whether there is a tensor of this name with this number of axes."""
    return name in source.tensors and source.tensors[name].ndim == ndim


def number_of_heads(source: Source) -> int:
    """The number of attention heads, for layouts that keep them side by side in one matrix.

    Raises:
        RefusedError: neither the caller nor the author's configuration says it.
    """
    given = source.known.get("n_heads") or next(
        (source.settings[name] for name in HEAD_NAMES if name in source.settings), None
    )
    if not given:
        raise RefusedError(
            "the number of attention heads is not in the tensors: say config=ModelConfig(n_heads=...), or put "
            "n_heads into a config_<name>.json beside the file"
        )
    return int(given)
