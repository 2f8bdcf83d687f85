"""Hugging Face's architectures: those equivalent to ours are read exactly, all others are refused by name.

Their code does much that leaves no trace in the tensors: positions that begin at row 2, scaled embeddings, unscaled
scores, ALiBi, rotations, parallel sublayers. The code's origin is identified by `model_type` in the configuration, or
by names that only that code uses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mechgrok.models.layouts.refusals import RefusedError
from mechgrok.models.layouts.settings import mentions
from mechgrok.models.layouts.stored_network import StoredNetwork

PRE_NORM = {"attention_dir": "causal", "norm_position": "pre", "normalization": "LN", "tied": True}
WITHOUT_TABLE = r"(^|\.)(wpe|pe|(\w+_)?pos(?!t)\w*)(\.|$)"
"""Name of a table of positions."""


@dataclass(frozen=True)
class Family:
    """An architecture that ours can represent.

    Attributes:
        signs: patterns, each of which matches the name of a tensor.
        fixed: facts fixed by the code, by field of our configuration; "tied": whether the embedding is also the
            read-out, unless a configuration says otherwise.
        first_row: row of the first token in the table of positions.
    """

    signs: tuple[str, ...]
    fixed: Mapping[str, Any] = field(default_factory=lambda: PRE_NORM)
    first_row: int = 0


READ = {
    "gpt2": Family((r"(^|\.)wte\.", r"(^|\.)wpe\.", r"\bh\.0\.attn\.c_attn\.")),
    "opt": Family((r"decoder\.embed_positions\.", r"decoder\.layers\.0\.self_attn\.q_proj\."), first_row=2),
}
"""The supported architectures, by Hugging Face's `model_type`."""


@dataclass(frozen=True)
class Kin:
    """Names shared by architectures, none or not all of which can be represented.

    Attributes:
        who: the architectures.
        signs: patterns, each of which matches the name of a tensor.
        hidden: facts that the tensors do not show.
        plain: replacements for `rename` to make in names, if the network is a different one after all.
        without: a pattern that matches no name.
    """

    who: str
    signs: tuple[str, ...]
    hidden: str
    plain: tuple[tuple[str, str], ...]
    without: str | None = None


TABLE_OF_POSITIONS = (r"^(.*\.)?embed_positions(\.weight)?$", "pos_embed.W_pos")
TABLE_OF_TOKENS = (r"^(.*\.)?embed_tokens(\.weight)?$", "embed.W_E")
KIN = (
    Kin(
        "OPT, BioGPT, BART and fairseq",
        (r"(^|\.)embed_positions(\.|$)",),
        "the first token is at row 2 of the positions, or at row 0, and embeddings are scaled, or not",
        (TABLE_OF_POSITIONS, TABLE_OF_TOKENS),
    ),
    Kin(
        "LLaMA, Gemma, Phi, XGLM and others",
        (r"(^|\.)embed_tokens(\.|$)", r"self_attn\.(q|qkv)_proj\."),
        "positions are rotary or computed, and embeddings may be scaled",
        (TABLE_OF_TOKENS,),
        without=WITHOUT_TABLE,
    ),
    Kin(
        "GPT-Neo",
        (r"attn\.attention\.q_proj\.",),
        "scores are not divided by the root of d_head, and attention may be local",
        ((r"attn\.attention\.", "attn."),),
    ),
    Kin(
        "GPT-NeoX, BLOOM, Falcon and Megatron",
        (r"query_key_value\.",),
        "queries, keys and values lie in turn for each head, positions are rotary or biases of the scores (ALiBi), and "
        "sublayers may stand side by side",
        ((r"query_key_value\.", "qkv."),),
    ),
    Kin(
        "MPT",
        (r"attn\.Wqkv\.", r"norm_1\.", r"ffn\.up_proj\."),
        "positions are biases of the scores (ALiBi)",
        ((r"attn\.Wqkv\.", "attn.qkv."),),
        without=WITHOUT_TABLE,
    ),
    Kin(
        "CTRL",
        (r"multi_head_attention\.Wq\.",),
        "embeddings are scaled, and positions computed",
        ((r"multi_head_attention\.", "attn."),),
    ),
)
BIGCODE = (
    r"(^|\.)wte\.",
    r"(^|\.)wpe\.",
    r"\bh\.0\.ln_1\.bias$",
    r"\bh\.0\.attn\.c_attn\.bias$",
    r"\bh\.0\.mlp\.c_fc\.bias$",
)
"""Names of GPT-BigCode without multi-query attention, and of nanoGPT with biases."""
OTHERS = frozenset({
    "bart", "bert", "biogpt", "blenderbot", "bloom", "codegen", "cohere", "ctrl", "distilbert", "electra",
    "falcon", "gemma", "gemma2", "gemma3_text", "gpt_bigcode", "gpt_neo", "gpt_neox", "gptj", "granite",
    "llama", "m2m_100", "marian", "mbart", "mistral", "mixtral", "mpt", "olmo", "olmo2", "openai-gpt",
    "pegasus", "persimmon", "phi", "phi3", "qwen2", "qwen3", "roberta", "stablelm", "starcoder2", "t5",
    "transfo-xl", "xglm", "xlnet",
})  # fmt: skip
"""Values of `model_type` that are Hugging Face's even without a version of their library next to them."""


def family_of(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[str, Family] | None:
    """The Hugging Face architecture of a file, with its `model_type`; None for all other files.

    Raises:
        RefusedError: it cannot be represented, or several different architectures share the names.
    """
    said = settings.get("model_type")
    said = said if isinstance(said, str) else ""
    theirs = "transformers_version" in settings or said in OTHERS
    if said in READ and _has(tensors, READ[said].signs):
        return said, READ[said]
    if said in READ and theirs:
        raise RefusedError(
            f"its configuration is that of Hugging Face's {said!r}, but no tensor is called as there: is it that of "
            "another file? If the network is another one, leave model_type and transformers_version out of its "
            "configuration"
        )
    if theirs:
        raise RefusedError(
            f"its configuration is that of Hugging Face's {said!r}, whose code has parts of its own (offsets, scales, "
            f"rotations); of theirs only {' and '.join(READ)} can be represented. If the network is another one, leave "
            "model_type and transformers_version out of its configuration"
        )
    for kin in KIN:
        if _has(tensors, kin.signs) and not (kin.without and _has(tensors, (kin.without,))):
            raise RefusedError(_several(kin, tensors))
    return None


def check_order_of_fused(stored: StoredNetwork) -> None:
    """Refuse fused multi-head matrices [outputs, inputs] if two architectures with the same names differ.

    nanoGPT's configuration, or the mask stored by its early versions, shows that they are nanoGPT's.

    Raises:
        RefusedError: they may hold all queries, then all keys, then all values, or the three of each head in turn.
    """
    told = stored.author or stored.buffers.direction or mentions(stored.settings, "block_size")
    if told or not _has(stored.tensors, BIGCODE):
        return
    fused = [name for name in stored.tensors if ".c_attn." in name]
    raise RefusedError(
        f"its names are those of nanoGPT, whose {fused[0]} holds all queries, then all keys, then all values, and of "
        "Hugging Face's GPT-BigCode, where these three lie in turn for each head. If it is nanoGPT's, put its "
        "configuration, the one with block_size, beside the weights, or say so with "
        f"{_renaming({name: name.replace('.c_attn.', '.qkv.') for name in fused})}; the other cannot be represented"
    )


def in_our_rows(family: Family, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors with positions that begin at the first row, and a line for each table that was cut."""
    first = family.first_row
    cut = {name: t[first:] for name, t in tensors.items() if first and re.search(r"embed_positions\.", name)}
    return {**tensors, **cut}, tuple(f"the first token is at row {first} of {name}" for name in cut)


def _has(tensors: Mapping[str, Tensor], signs: tuple[str, ...]) -> bool:
    return all(any(re.search(sign, name) for name in tensors) for sign in signs)


def _several(kin: Kin, tensors: Mapping[str, Tensor]) -> str:
    new = {name: re.sub(old, new, name) for old, new in kin.plain for name in tensors if re.search(old, name)}
    return (
        f"its names are those of Hugging Face's {kin.who}, where tensors do not show that {kin.hidden}. If it is "
        f"one of {' and '.join(READ)}, put their config.json beside the file; the others cannot be represented. If it "
        f"is a network without any of this, say so with {_renaming(new)}"
    )


def _renaming(new: Mapping[str, str]) -> str:
    renamed = ", ".join(f"{name!r}: {other!r}" for name, other in list(new.items())[:2])
    return f"rename={{{renamed}{', ...' if len(new) > 2 else ''}}}"
