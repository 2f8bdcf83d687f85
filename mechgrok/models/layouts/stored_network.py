"""Building blocks of a layout: the tensors that it reads, and the result of the conversion."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mechgrok.config import NetworkConfig
from mechgrok.models.layouts.buffers import Buffers
from mechgrok.registry import Registry
from mechgrok.tasks import Task

Tensors = Mapping[str, Tensor]
Header = Mapping[str, str]

SETTINGS_KEY = "config"
"""Key under which a header holds the author's own configuration, as JSON."""


@dataclass(frozen=True)
class StoredNetwork:
    """A file as a layout sees it.

    Attributes:
        tensors: the tensors by name, without buffers.
        header: text metadata of the file.
        settings: the author's own configuration; empty if there is none.
        known: facts about the architecture given by the caller, by field of the configuration.
        buffers: the information in the buffers of the file.
        fixed: facts fixed by the published code that wrote the file, by field of the configuration.
        author: the author of that code.
    """

    tensors: Tensors
    header: Header = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, Any] = field(default_factory=dict)
    buffers: Buffers = field(default_factory=Buffers)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    author: str = ""


@dataclass(frozen=True)
class Converted:
    """A converted network before it is built: its architecture, weights and task, and the origin of each fact."""

    config: NetworkConfig
    state: dict[str, Tensor]
    task: Task | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A way to store a network: how to recognise it, and how to turn it into ours.

    Attributes:
        function: converts the stored network into ours; raises `RefusedError`, with the reason, if ours cannot
            represent exactly the same network.
        title: description for messages: "a network of Nanda et al. 2023's released code".
        detect: whether a file is in this layout.
        fallback: whether it accepts anything that looks roughly like it, and is tried only if no other layout fits.
    """

    function: Callable[[StoredNetwork], Converted]
    title: str
    detect: Callable[[StoredNetwork], bool]
    fallback: bool = False


LAYOUTS: Registry[Layout] = Registry(
    "layout",
    (
        *("mechgrok", "transformer_lens", "pizza", "nanda", "nanda_attention_only", "transformer_bridge"),
        *("chughtai", "linearformer", "pizza_linear", "torch_attention", "torch_mlp"),
    ),
    "mechgrok.models.layouts",
    of=Layout,
)
"""All layouts by name, in the order in which they are tried, with fallbacks last."""


class LayoutNote(str):
    """The interpretation of a file, as text; `notes` lists facts that its tensors do not show, with their origin.

    >>> note = LayoutNote("a network of torch modules", ("act_fn='relu' (config=)",))
    >>> print(note)
    a network of torch modules: act_fn='relu' (config=)
    >>> note.heading
    'a network of torch modules'
    """

    heading: str
    notes: tuple[str, ...]

    def __new__(cls, heading: str, notes: tuple[str, ...] = ()) -> "LayoutNote":
        note = super().__new__(cls, f"{heading}: {', '.join(notes)}" if notes else heading)
        note.heading, note.notes = heading, notes
        return note


def settings_of(header: Header) -> dict[str, Any]:
    """The author's configuration in a header; empty if it is absent or not a JSON object.

    >>> settings_of({"config": '{"attn_coeff": 0.5}'})
    {'attn_coeff': 0.5}
    """
    try:
        settings = json.loads(header.get(SETTINGS_KEY, "{}"))
    except json.JSONDecodeError:
        return {}
    return settings if isinstance(settings, dict) else {}


def has_shape(stored: StoredNetwork, name: str, ndim: int) -> bool:
    """Whether there is a tensor of this name with this number of axes."""
    return name in stored.tensors and stored.tensors[name].ndim == ndim
