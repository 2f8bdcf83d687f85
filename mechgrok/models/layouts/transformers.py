"""Transformers: our own files, TransformerLens, and the released code of two papers."""

import json
from dataclasses import replace
from typing import Any

from torch import Tensor

from mechgrok.config import NetworkConfig, as_architecture
from mechgrok.models.layouts.architecture import as_transformer
from mechgrok.models.layouts.facts import Facts
from mechgrok.models.layouts.settings import said
from mechgrok.models.layouts.stored_network import LAYOUTS, Converted, StoredNetwork, has_shape
from mechgrok.models.layouts.zhong import task_of

CONFIG_KEY = "mechgrok_config"
"""Key under which our own files hold the configuration of the network in their header."""


def _is_own(stored: StoredNetwork) -> bool:
    return CONFIG_KEY in stored.header


@LAYOUTS.add("mechgrok", title="a mechgrok network", detect=_is_own)
def _from_own(stored: StoredNetwork) -> Converted:
    config: NetworkConfig = as_architecture(json.loads(stored.header[CONFIG_KEY]))
    return Converted(config, dict(stored.tensors))


def _is_transformer_lens(stored: StoredNetwork) -> bool:
    return has_shape(stored, "blocks.0.attn.W_O", 3) and has_shape(stored, "embed.W_E", 2)


@LAYOUTS.add(
    "transformer_lens", title="a TransformerLens HookedTransformer (0.2 to 3.9)", detect=_is_transformer_lens
)
def _from_transformer_lens(stored: StoredNetwork) -> Converted:
    """State dict of a `HookedTransformer` of TransformerLens 0.2 to 3.9, or tensors with the same names."""
    return as_transformer(dict(stored.tensors), Facts(stored), lens=True)


def _is_nanda(stored: StoredNetwork) -> bool:
    return has_shape(stored, "blocks.0.attn.W_O", 2) and has_shape(stored, "embed.W_E", 2)


NANDA: dict[str, Any] = {"act_fn": "relu", "attention_dir": "causal", "normalization": None}
"""Facts fixed by the code, unless a configuration says otherwise."""


@LAYOUTS.add("nanda", title="a network of Nanda et al. 2023's released code", detect=_is_nanda)
def _from_nanda(stored: StoredNetwork) -> Converted:
    """Released code of Nanda et al. 2023."""
    return as_transformer(_turned(stored), Facts(_by_nanda(stored)), lens=True)


def _by_nanda(stored: StoredNetwork) -> StoredNetwork:
    return replace(stored, fixed=NANDA, author="Nanda et al. 2023's code")


def _turned(stored: StoredNetwork) -> dict[str, Tensor]:
    """Their weights in our form: their matrices act from the left, and heads are the rows of W_O's columns."""
    n_heads, d_head, d_model = stored.tensors["blocks.0.attn.W_Q"].shape
    state: dict[str, Tensor] = {}
    for name, tensor in stored.tensors.items():
        match name.rsplit(".", 1)[-1]:
            case "W_E" | "W_in" | "W_out":
                state[name] = tensor.mT
            case "W_Q" | "W_K" | "W_V":
                state[name] = tensor.transpose(1, 2)
            case "W_O":
                state[name] = tensor.mT.reshape(n_heads, d_head, d_model)
            case _:
                state[name] = tensor
    return {name: tensor.contiguous() for name, tensor in state.items()}


ATTENTION_ONLY = "attn_blocks."


def _is_attention_only(stored: StoredNetwork) -> bool:
    return has_shape(stored, f"{ATTENTION_ONLY}0.attn.W_O", 2) and has_shape(stored, "embed.W_E", 2)


@LAYOUTS.add(
    "nanda_attention_only",
    title="an attention-only network of Nanda et al. 2023's released notebook, whose blocks double the residual stream",
    detect=_is_attention_only,
)
def _from_attention_only(stored: StoredNetwork) -> Converted:
    """The attention-only networks of the same authors' other tasks, whose blocks map x to 2x + attention(x).

    Ours map x to x + attention(x). With a residual stream that is half of theirs after each block, the function is
    exactly the same: before block i the stream is smaller by 2^i, which its queries, keys and values compensate;
    block i writes half of that; and the unembedding compensates for the rest. Multiplying by powers of two loses no
    precision.
    """
    renamed = {name.replace(ATTENTION_ONLY, "blocks."): t for name, t in stored.tensors.items()}
    state = _turned(replace(stored, tensors=renamed))
    n_layers = sum(name.endswith("attn.W_O") for name in state)
    for i in range(n_layers):
        for letter in "QKV":
            state[f"blocks.{i}.attn.W_{letter}"] = state[f"blocks.{i}.attn.W_{letter}"] * 2**i
        state[f"blocks.{i}.attn.W_O"] = state[f"blocks.{i}.attn.W_O"] / 2 ** (i + 1)
    state["unembed.W_U"] = state["unembed.W_U"] * 2**n_layers
    return as_transformer(state, Facts(_by_nanda(stored)), lens=True)


def _is_pizza(stored: StoredNetwork) -> bool:
    positions = stored.tensors.get("pos_embed.W_pos")
    reads_two = positions is not None and len(positions) == 2
    return _is_nanda(stored) and ("attn_coeff" in stored.settings or reads_two)


@LAYOUTS.add(
    "pizza", title="a transformer of Zhong et al. 2023's released code (clock and pizza)", detect=_is_pizza
)
def _from_pizza(stored: StoredNetwork) -> Converted:
    """Released code of Zhong et al. 2023: Nanda's, with an attention rate and without a causal mask.

    The mask is saved but never applied, whatever `attention_dir` says.
    """
    facts = Facts(stored)
    facts.find("attention_rate")
    facts.refuse_if_missing()
    fixed = {"attention_dir": "bidirectional", "normalization": None}
    if "act_fn" not in stored.known and said(stored.settings, "act_fn") is None:
        fixed["act_fn"] = "relu"
    plain = as_transformer(_turned(stored), Facts(stored), lens=True, by_layout=fixed)
    config = plain.config.replace(init="pizza")
    return replace(plain, config=config, task=task_of(stored, config.d_vocab))
