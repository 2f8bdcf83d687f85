"""Other people's weight files: which layout they are in, and the same network as ours.

A layout is detected from the names and shapes of the tensors alone; the header is only asked for what
shapes cannot tell (an attention rate, say). What a `HookedTransformer` cannot represent is refused.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mechgrok.config import ModelConfig
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.transformer import HookedTransformer

Tensors = Mapping[str, Tensor]
Header = Mapping[str, str]

CONFIG_KEY = "mechgrok_config"
"""Where our own files keep the configuration of the network in their header."""
BUFFERS = ("mask", "IGNORE")
"""Buffers that old versions of TransformerLens and the papers' code save with the weights."""


@dataclass(frozen=True)
class Layout:
    """A way to store a network: how to recognise it, and how to turn it into ours."""

    name: str
    what: str
    detect: Callable[[Tensors, Header], bool]
    convert: Callable[[Tensors, Header], tuple[ModelConfig, dict[str, Tensor]]]


def model_from_tensors(
    tensors: Tensors,
    header: Header | None = None,
    *,
    layout: str | None = None,
    config: ModelConfig | None = None,
) -> HookedTransformer:
    """The network in a set of named tensors, whoever wrote them.

    Args:
        header: text metadata of the file.
        layout: name of the layout; None detects it.
        config: overrides the architecture that the shapes suggest, for what they cannot tell (activation
            function, attention direction and rate).

    Returns:
        The network; `model.layout` says what the tensors were taken for.

    Raises:
        CheckpointError: no layout fits, or the tensors are not those of the layout.
    """
    header = header or {}
    found = _choose(tensors, header, layout)
    inferred, state = found.convert({k: t for k, t in tensors.items() if not _is_buffer(k)}, header)
    model = HookedTransformer(config.for_sizes(
        d_vocab=inferred.d_vocab, n_classes=inferred.d_vocab_out, n_ctx=inferred.n_ctx
    ) if config else inferred)  # fmt: skip
    _load_exactly(model, state, found)
    model.layout = found.what
    return model


def _choose(tensors: Tensors, header: Header, layout: str | None) -> Layout:
    if layout is not None and layout not in LAYOUTS:
        raise ConfigError(f"unknown layout {layout!r}; allowed: {', '.join(LAYOUTS)}")
    candidates = [LAYOUTS[layout]] if layout else list(LAYOUTS.values())
    for candidate in candidates:
        if candidate.detect(tensors, header):
            return candidate
    names = ", ".join(f"{name} {tuple(t.shape)}" for name, t in list(tensors.items())[:6])
    raise CheckpointError(
        f"the tensors are in no layout that is known ({', '.join(c.name for c in candidates)}); they are "
        f"{names}, ... "
        "Build the network yourself and pass it to cache_grid(model, task)"
    )


def _load_exactly(model: HookedTransformer, state: Tensors, layout: Layout) -> None:
    """Every parameter from the file, every tensor of the file used, all shapes equal."""
    expected = {name: tuple(p.shape) for name, p in model.named_parameters()}
    given = {name: tuple(t.shape) for name, t in state.items()}
    problems = [f"{n} is missing" for n in expected.keys() - given.keys()]
    problems += [f"{n} {given[n]} is not part of the network" for n in given.keys() - expected.keys()]
    problems += [
        f"{n} has shape {given[n]}, expected {expected[n]}"
        for n in expected.keys() & given.keys()
        if expected[n] != given[n]
    ]
    if problems:
        raise CheckpointError(
            f"the file looks like {layout.what}, but {'; '.join(sorted(problems)[:5])}. "
            "Name another layout with layout=..., or the architecture with config=..."
        )
    if all(tensor.dtype == torch.float64 for tensor in state.values()):
        model.double()
    model.load_state_dict(dict(state))


def _is_buffer(name: str) -> bool:
    return name.rsplit(".", 1)[-1] in BUFFERS


def _number_of_layers(tensors: Tensors) -> int:
    return 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks."))


def _is_own(tensors: Tensors, header: Header) -> bool:
    return CONFIG_KEY in header


def _from_own(tensors: Tensors, header: Header) -> tuple[ModelConfig, dict[str, Tensor]]:
    return ModelConfig(**json.loads(header[CONFIG_KEY])), dict(tensors)


def _has_shape(tensors: Tensors, name: str, ndim: int) -> bool:
    return name in tensors and tensors[name].ndim == ndim


def _is_transformer_lens(tensors: Tensors, header: Header) -> bool:
    return _has_shape(tensors, "blocks.0.attn.W_O", 3) and _has_shape(tensors, "embed.W_E", 2)


def _from_transformer_lens(tensors: Tensors, header: Header) -> tuple[ModelConfig, dict[str, Tensor]]:
    """State dict of a `HookedTransformer` of TransformerLens 0.2 to 3.9."""
    n_heads, d_model, d_head = tensors["blocks.0.attn.W_Q"].shape
    d_vocab_out = tensors["unembed.W_U"].shape[1]
    learned = "pos_embed.W_pos" in tensors
    mlp = tensors.get("blocks.0.mlp.W_in")
    config = ModelConfig(
        d_vocab=tensors["embed.W_E"].shape[0],
        d_vocab_out=d_vocab_out,
        n_ctx=tensors["pos_embed.W_pos"].shape[0] if learned else 3,
        n_layers=_number_of_layers(tensors),
        d_model=d_model,
        n_heads=n_heads,
        d_head=d_head,
        d_mlp=0 if mlp is None else mlp.shape[1],
        attn_only=mlp is None,
        positions="learned" if learned else "none",
        normalization="LN" if "ln_final.w" in tensors else None,
        attn_bias="blocks.0.attn.b_Q" in tensors,
        mlp_bias="blocks.0.mlp.b_in" in tensors,
        unembed_bias="unembed.b_U" in tensors,
    )
    return config, dict(tensors)


def _is_nanda(tensors: Tensors, header: Header) -> bool:
    return _has_shape(tensors, "blocks.0.attn.W_O", 2) and _has_shape(tensors, "embed.W_E", 2)


def _from_nanda(tensors: Tensors, header: Header) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Released code of Nanda et al. 2023: matrices act from the left, heads are rows of W_O's columns."""
    n_heads, d_head, d_model = tensors["blocks.0.attn.W_Q"].shape
    state = {}
    for name, tensor in tensors.items():
        match name.rsplit(".", 1)[-1]:
            case "W_E" | "W_in" | "W_out":
                state[name] = tensor.T
            case "W_Q" | "W_K" | "W_V":
                state[name] = tensor.transpose(1, 2)
            case "W_O":
                state[name] = tensor.T.reshape(n_heads, d_head, d_model)
            case _:
                state[name] = tensor
    config, state = _from_transformer_lens({k: t.contiguous() for k, t in state.items()}, header)
    return config, state


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("mechgrok", "a mechgrok network", _is_own, _from_own),
        Layout(
            "transformer_lens",
            "a TransformerLens HookedTransformer (0.2 to 3.9)",
            _is_transformer_lens,
            _from_transformer_lens,
        ),
        Layout("nanda", "a network of Nanda et al. 2023's released code", _is_nanda, _from_nanda),
    )
}
"""All layouts by name, in the order in which they are tried."""
