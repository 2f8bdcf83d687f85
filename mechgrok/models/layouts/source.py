"""What a layout is made of: the tensors that it reads, and what it makes of them."""

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
"""Where a header holds the author's own configuration, as JSON."""


@dataclass(frozen=True)
class Source:
    """A file as a layout sees it.

    Attributes:
        tensors: by name, without buffers.
        header: text metadata of the file.
        settings: the author's own configuration; empty where there is none.
        known: what the caller says about the architecture, by field of the configuration.
        buffers: what the buffers of the file say.
        fixed: what the published code that the file comes from fixes, by field of the configuration.
        author: whose code that is.
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
    """A network of ours in waiting: its architecture, its weights, its task, and what was taken from where."""

    config: NetworkConfig
    state: dict[str, Tensor]
    task: Task | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A way to store a network: how to recognise it, and how to turn it into ours.

    Attributes:
        function: makes a network of ours of what is stored; raises `RefusedError`, with the reason, if ours cannot be
            the same network.
        title: what it is, for messages: "a network of Nanda et al. 2023's released code".
        detect: whether a file is in this layout.
        fallback: it takes whatever looks roughly like it, and is tried when no other layout fits.
    """

    function: Callable[[Source], Converted]
    title: str
    detect: Callable[[Source], bool]
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
"""All layouts by name, in the order in which they are tried, those last that are fallbacks."""


class LayoutNote(str):
    """What a file was taken for, as text; `notes` lists what its tensors do not tell, and where that is from.

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
