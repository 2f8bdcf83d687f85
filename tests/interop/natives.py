"""Networks in the classes of the installed TransformerLens, for the tests in this folder."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any

import torch
from planted import phase_grid, wave_network

import mechgrok as mg
from mechgrok.models.transformer_lens import to_transformer_lens

IS_4 = int(version("transformer-lens").split(".")[0]) >= 4
"""Whether the native class is `TransformerBridge`; before, it is TransformerLens's `HookedTransformer`."""
KINDS = ("native", "compatibility mode") if IS_4 else ("native",)

P, KEYS = 11, (2, 5)
"""Modulus and key frequencies of the planted network."""


def as_native(model: mg.HookedTransformer, kind: str = "native") -> Any:
    """The network as TransformerLens's own, in one of the KINDS."""
    native = to_transformer_lens(model)
    if kind == "compatibility mode":
        native.enable_compatibility_mode(no_processing=True)
    return native


def planted_network(rate: float = 1.0) -> mg.HookedTransformer:
    """A network for a+b mod P with the frequencies KEYS, in parts that TransformerLens has too.

    The attention is even, so that W_O can make up for any attention rate: all rates give the same logits.
    """
    task = mg.modular_task("add", P, sequence=("a", "b"))
    squared = wave_network(task, phase_grid(KEYS), gain=2.0)
    network = mg.HookedTransformer(squared.cfg.replace(act_fn="relu", attention_rate=rate)).double()
    state = squared.state_dict()
    state["blocks.0.attn.W_O"] /= rate / 2 + 1 - rate
    network.load_state_dict(state)
    return network


def random_network(seed: int = 0, **architecture: Any) -> mg.HookedTransformer:
    """A network for a b = mod 7 with random weights everywhere, biases and LayerNorm included."""
    sizes = {"d_vocab": 8, "d_vocab_out": 7, "n_ctx": 3, "d_model": 16}
    network = mg.HookedTransformer(mg.ModelConfig(**{**sizes, **architecture})).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network


def foreign_network(**settings: Any) -> Any:
    """A network that a user of TransformerLens builds by hand, with random biases too."""
    settings = {"d_model": 16, "n_heads": 4, "d_head": 4, "n_layers": 1, "n_ctx": 3, **settings}
    torch.manual_seed(settings.pop("seed", 0))
    library: Any = import_module("transformer_lens")
    if IS_4:
        from transformer_lens.model_bridge import TransformerBridge

        network = TransformerBridge.boot_native(library.TransformerBridgeConfig(**settings))
    else:
        with expected_deprecation():
            network = library.HookedTransformer(library.HookedTransformerConfig(**settings))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return network


@contextmanager
def expected_deprecation() -> Iterator[None]:
    """TransformerLens 3.9 announces the end of the class that these tests are about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "HookedTransformer is deprecated", DeprecationWarning)
        yield
