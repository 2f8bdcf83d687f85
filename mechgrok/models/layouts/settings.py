"""An author's configuration of the architecture, in all the spellings used in the field."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from mechgrok.models.layouts.refusals import RefusedError

_SPELLED = {
    "n_heads": (
        "n_heads num_heads n_head nhead nheads heads num_attention_heads n_attention_heads n_attn_heads "
        "attention_heads number_of_heads encoder_attention_heads decoder_attention_heads"
    ),
    "act_fn": (
        "act_fn act act_type act_func activation activation_fn activation_function activation_type "
        "hidden_act hidden_activation mlp_act mlp_activation nonlinearity non_linearity act_layer "
        "ffn_activation actv"
    ),
    "attention_dir": (
        "attention_dir attn_dir attention_direction causal is_causal use_causal_mask causal_mask "
        "causal_attention use_causal masked autoregressive bidirectional is_bidirectional is_decoder "
        "mask attn_mask attention_mask use_mask"
    ),
    "normalization": (
        "normalization_type normalization norm norm_type norm_layer use_ln use_layernorm use_layer_norm "
        "layer_norm layernorm use_norm rms_norm use_rms_norm rmsnorm"
    ),
    "norm_position": (
        "norm_position norm_first pre_norm prenorm pre_ln preln use_pre_norm is_pre_norm "
        "normalize_before do_layer_norm_before post_norm postnorm post_ln postln norm_style "
        "norm_placement norm_type norm ln_position ln_type"
    ),
    "final_norm": ("final_norm use_final_norm final_ln use_final_ln final_layer_norm final_layernorm"),
    "norm_eps": (
        "layer_norm_eps layer_norm_epsilon rms_norm_eps norm_eps ln_eps layernorm_eps layernorm_epsilon "
        "norm_epsilon rms_eps eps"
    ),
    "attention_rate": ("attention_rate attn_coeff"),
    "positions": (
        "positional_embedding_type position_embedding_type positions positional_embedding "
        "position_embedding pos_emb pos_embed pos_encoding positional_encoding pos_type pos_emb_type "
        "use_rope rope rotary use_rotary alibi"
    ),
    "gated_mlp": ("gated_mlp gated glu use_glu use_gated_mlp mlp_type ffn_type"),
    "attn_only": ("attn_only attention_only"),
    "n_layers": ("n_layers num_layers n_layer num_hidden_layers nlayers"),
    "d_model": ("d_model n_embd hidden_size"),
}
SPELLINGS: dict[str, Sequence[str]] = {field: text.split() for field, text in _SPELLED.items()}
"""For each field of our configuration, the names that others use for it."""

ACTIVATIONS = {
    "relu": "relu", "gelu": "gelu", "gelunew": "gelu_new", "gelutanh": "gelu_new", "gelupytorchtanh": "gelu_new",
    "gelufast": "gelu_new", "geluaccurate": "gelu_new", "gelunone": "gelu", "geluapproximatenone": "gelu",
    "geluapproximatetanh": "gelu_new", "silu": "silu", "swish": "silu", "tanh": "tanh", "sigmoid": "sigmoid",
    "logistic": "sigmoid", "square": "square", "squared": "square", "quadratic": "square", "x2": "square",
}  # fmt: skip
GATED_ACTIVATIONS = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu", "glu": "sigmoid"}
NORMS = {
    "ln": "LN", "layernorm": "LN", "lnpre": "LNPre", "rms": "RMS", "rmsnorm": "RMS", "rmspre": "RMSPre",
    "none": None, "no": None, "identity": None, "": None, "false": None,
}  # fmt: skip
PLACES = {
    "pre": "pre", "prenorm": "pre", "preln": "pre", "before": "pre",
    "post": "post", "postnorm": "post", "postln": "post", "after": "post",
}  # fmt: skip
DIRECTIONS = {
    "causal": "causal", "casual": "causal", "bidirectional": "bidirectional", "none": "bidirectional",
    "both": "bidirectional", "full": "bidirectional", "noncausal": "bidirectional",
}  # fmt: skip
REFUSED: dict[str, Callable[[Any], bool]] = {
    "parallel_attn_mlp": bool,
    "parallel_residual": bool,
    "use_parallel_residual": bool,
    "use_attn_scale": lambda v: v is False,
    "scale_attn_weights": lambda v: v is False,
    "scale_attn_by_inverse_layer_idx": bool,
    "post_embedding_ln": bool,
    "use_local_attn": bool,
    "attn_types": lambda v: bool(v) and "local" in v,
    "use_qk_norm": bool,
    "qk_norm": bool,
    "add_bias_kv": bool,
    "add_zero_attn": bool,
    "use_normalization_before_and_after": bool,
    "final_rms": bool,
    "output_logits_soft_cap": lambda v: isinstance(v, int | float) and v > 0,
    "attn_scores_soft_cap": lambda v: isinstance(v, int | float) and v > 0,
    **dict.fromkeys(
        (
            "scale_embedding",
            "scale_embeddings",
            "embed_scale",
            "emb_scale",
            "scale_emb",
            "embedding_scale",
            "embedding_multiplier",
            "residual_multiplier",
            "logit_scale",
            "logits_scaling",
        ),
        lambda v: v is True or v not in (None, False, 1, "none"),
    ),
    "final_logit_softcapping": bool,
    "attn_logit_softcapping": bool,
    "use_post_embedding_ln": bool,
    "embedding_norm": bool,
    "pooling": lambda v: str(v).lower() not in ("last", "none"),
    "pool": lambda v: str(v).lower() not in ("last", "none"),
}
"""Settings that change the function beyond what our networks support, and the values that do so."""
TRAINING = {"lr", "betas", "weight_decay", "optimizer", "learning_rate"}
_SKIP = object()


def said(settings: Mapping[str, Any], field: str) -> tuple[Any, str] | None:
    """The value of one of our fields in the author's configuration, and its name there; None if absent.

    Raises:
        RefusedError: the value is not supported, or there are two different values.

    >>> said({"model": {"hidden_act": "GELU"}}, "act_fn")
    ('gelu', 'hidden_act')
    """
    found: dict[str, Any] = {}
    for key, value in _entries(settings, SPELLINGS[field]):
        ours = _READERS.get(field, _as_it_is)(key, value)
        if ours is not _SKIP:
            found[key] = ours
    distinct = {repr(value) for value in found.values()}
    if len(distinct) > 1:
        both = " and ".join(f"{key} means {value!r}" for key, value in list(found.items())[:2])
        raise RefusedError(f"its configuration contradicts itself about {field}: {both}; say it with config=")
    return next(((value, key) for key, value in found.items()), None)


def mentions(settings: Mapping[str, Any], key: str) -> bool:
    """Whether the author's configuration has a key, nested or not.

    >>> mentions({"model_args": {"block_size": 3}}, "block_size")
    True
    """
    return any(True for _ in _entries(settings, (key,)))


def check_representable(settings: Mapping[str, Any]) -> None:
    """Refuse settings that our networks do not support, whatever the tensors are.

    Raises:
        RefusedError: names the setting.
    """
    for key, value in _entries(settings, tuple(REFUSED)):
        if REFUSED[key.lower()](value):
            raise RefusedError(f"its configuration says {key}={value!r}, which cannot be represented")
    for key, value in _entries(settings, ROTARY):
        if value:
            raise RefusedError(
                f"its configuration has {key}, so its positions are rotary, which cannot be represented"
            )
    heads = {key: value for key, value in _entries(settings, (*SPELLINGS["n_heads"], *GROUPED)) if value}
    width = settings.get("hidden_size")
    projected = settings.get("word_embed_proj_dim", width)
    if width is not None and projected != width:
        raise RefusedError(
            f"its configuration says word_embed_proj_dim={projected!r}, which cannot be represented"
        )
    if any(key in GROUPED for key in heads) and len(set(heads.values())) > 1:
        raise RefusedError(
            f"queries and keys differ in the number of heads ({heads}), which cannot be represented"
        )


ROTARY = ("rope_theta", "rope_parameters", "rope_scaling", "rotary_dim", "rotary_pct")
GROUPED = ("n_key_value_heads", "num_kv_heads", "num_key_value_heads", "n_kv_heads", "n_kv_head")


def check_scale(settings: Mapping[str, Any], d_head: int) -> None:
    """Refuse attention whose scores are divided by anything but the root of d_head; -1 stands for that root.

    Raises:
        RefusedError: names the setting.
    """
    for key, value in _entries(settings, ("attn_scale",)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and value > 0 and abs(value - d_head**0.5) > 1e-4:
            raise RefusedError(
                f"its configuration says {key}={value!r}; only the root of d_head={d_head} can be represented"
            )


def _entries(settings: Mapping[str, Any], keys: Collection[str]) -> Iterator[tuple[str, Any]]:
    trains = bool(TRAINING & settings.keys())
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _entries(value, keys)
        # Optimisers also have an eps.
        elif str(key).lower() in keys and not (key == "eps" and trains):
            yield str(key), value


def _squeeze(value: Any) -> str:
    """'nn.GELU(approximate="tanh")' becomes 'geluapproximatetanh'."""
    text = re.sub(r"<class '|'>|\b(torch|nn|modules|activation|functional|F)\.", "", str(value))
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _activation(key: str, value: Any) -> Any:
    text = _squeeze(value)
    if not isinstance(value, str):
        return _SKIP
    if text not in ACTIVATIONS | GATED_ACTIVATIONS:
        raise RefusedError(
            f"its configuration says {key}={value!r}; only the activation functions "
            f"{', '.join(sorted(set(ACTIVATIONS.values())))} can be represented. If it is one of them under another "
            "name, say config=ModelConfig(act_fn=...)"
        )
    return (ACTIVATIONS | GATED_ACTIVATIONS)[text]


def _direction(key: str, value: Any) -> Any:
    if isinstance(value, str) and value.lower() not in ("true", "false"):
        return _look_up(key, value, DIRECTIONS, "attention_dir")
    if value not in (True, False) and not isinstance(value, str):
        return _SKIP  # e.g. a share of masked tokens
    yes = str(value).lower() in ("true", "1")
    if key.lower() in ("bidirectional", "is_bidirectional"):
        return "bidirectional" if yes else "causal"
    return "causal" if yes else "bidirectional"


def _norm(key: str, value: Any) -> Any:
    text = _squeeze(value)
    if text in PLACES or not (value is None or isinstance(value, str | bool)):
        return _SKIP
    if value is None:
        return None
    if text == "true":
        return "RMS" if "rms" in key.lower() else _SKIP if key.lower() == "use_norm" else "LN"
    if text == "false" and "rms" in key.lower():
        return _SKIP
    return _look_up(key, text, NORMS, "normalization")


def _place(key: str, value: Any) -> Any:
    if isinstance(value, bool) and key.lower() not in ("norm_type", "norm"):
        before = value != ("post" in key.lower())
        return "pre" if before else "post"
    text = _squeeze(value)
    return PLACES.get(text, _SKIP)


def _positions(key: str, value: Any) -> Any:
    if key.lower() in ("use_rope", "rope", "rotary", "use_rotary", "alibi"):
        if value:
            raise RefusedError(
                f"its configuration says {key}={value!r}; such positions cannot be represented"
            )
        return _SKIP
    table = {"learned": "learned", "standard": "learned", "absolute": "learned", "none": "none", "no": "none"}
    table |= {"true": "learned", "false": "none", "learnable": "learned", "embedding": "learned"}
    fixed = dict.fromkeys(("sinusoidal", "sin", "sine", "fixed", "sincos"), "sinusoidal")
    if not isinstance(value, str | bool):
        return _SKIP
    return _look_up(key, _squeeze(value), table | fixed, "positions")


def _gated(key: str, value: Any) -> Any:
    text = _squeeze(value)
    if text in GATED_ACTIVATIONS:
        return True
    if isinstance(value, bool):
        return value
    return (
        _SKIP
        if value is None
        else _look_up(key, text, {"mlp": False, "standard": False, "gated": True}, "gated_mlp")
    )


def _look_up(key: str, value: Any, table: Mapping[str, Any], field: str) -> Any:
    text = _squeeze(value)
    if text not in table:
        raise RefusedError(
            f"its configuration says {key}={value!r}, which is not known or cannot be represented; if it can, say "
            f"config=ModelConfig({field}=...)"
        )
    return table[text]


def _as_it_is(key: str, value: Any) -> Any:
    del key
    return _SKIP if value is None else value


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "act_fn": _activation,
    "attention_dir": _direction,
    "normalization": _norm,
    "norm_position": _place,
    "positions": _positions,
    "gated_mlp": _gated,
}
