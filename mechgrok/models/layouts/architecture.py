"""The architecture of a transformer, from its weights under TransformerLens's names and further facts."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mechgrok.config import ModelConfig
from mechgrok.models.layouts.facts import Facts, compare_sizes
from mechgrok.models.layouts.refusals import RefusedError
from mechgrok.models.layouts.settings import check_scale, said
from mechgrok.models.layouts.stored_network import Converted

State = dict[str, Tensor]
PLAIN = (
    "embeddings and positions are added as they are, the first token at row 0",
    "scores are divided by the root of d_head",
    "the MLP reads what attention has written",
)
"""Defaults that nearly all code shares and no tensor shows."""
READ_AT_THE_END = "a single answer is read at the last position"


def as_transformer(
    state: State, facts: Facts, *, lens: bool, by_layout: Mapping[str, Any] | None = None
) -> Converted:
    """The conversion into our network, once everything about it is known.

    Args:
        state: every weight of the file, by TransformerLens's names and with its shapes.
        facts: facts about this file, possibly including some already found.
        lens: whether TransformerLens's conventions hold: pre-norm, RMSNorm if a norm has no bias, eps 1e-5.
        by_layout: facts that the layout fixes by definition.

    Raises:
        RefusedError: a fact is missing or contradicted.
        KeyError: a weight that determines a size is missing.
    """
    fixed = dict(by_layout or {})
    n_layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    n_heads, d_model, d_head = state["blocks.0.attn.W_Q"].shape
    compare_sizes(facts.stored.settings, facts.stored.known, {"n_layers": n_layers, "d_model": d_model})
    check_scale(facts.stored.settings, d_head)
    mlp = state.get("blocks.0.mlp.W_in")
    learned = "pos_embed.W_pos" in state
    values: dict[str, Any] = {"n_heads": facts.find("n_heads", seen=n_heads)}
    values["attn_only"] = facts.find("attn_only", seen=mlp is None)
    gated = facts.find("gated_mlp", seen="blocks.0.mlp.W_gate" in state)
    values["gated_mlp"] = gated and mlp is not None
    if mlp is not None:
        values["act_fn"] = _find(facts, "act_fn", fixed)
    values["attention_dir"] = _direction(facts, fixed, lens=lens)
    values["attention_rate"] = facts.find("attention_rate", granted=1.0, why="plain softmax")
    values["positions"] = _positions(facts, learned=learned)
    values |= _norms(state, facts, fixed, lens=lens)
    facts.refuse_if_missing()
    _fill_biases(state, n_layers)
    config = ModelConfig(
        d_vocab=state["embed.W_E"].shape[0],
        d_vocab_out=state["unembed.W_U"].shape[1],
        n_ctx=state["pos_embed.W_pos"].shape[0] if learned else 3,
        n_layers=n_layers,
        d_model=d_model,
        d_head=d_head,
        d_mlp=0 if mlp is None else mlp.shape[1],
        attn_bias="blocks.0.attn.b_Q" in state,
        mlp_bias=mlp is not None and "blocks.0.mlp.b_in" in state,
        unembed_bias="unembed.b_U" in state,
        **values,
    )
    return Converted(config, state, notes=(*facts.notes, *(() if lens else PLAIN), READ_AT_THE_END))


def _find(facts: Facts, field: str, fixed: Mapping[str, Any]) -> Any:
    return facts.find(field, by_layout=fixed[field]) if field in fixed else facts.find(field)


def _direction(facts: Facts, fixed: Mapping[str, Any], *, lens: bool) -> Any:
    """TransformerLens saves a causal mask with every network, whatever its direction; other code applies its masks."""
    mask = facts.stored.buffers
    if "attention_dir" in fixed or mask.direction is None or lens:
        return _find(facts, "attention_dir", fixed)
    return facts.find("attention_dir", seen=mask.direction, where=f"the mask {mask.mask}")


def _positions(facts: Facts, *, learned: bool) -> Any:
    if not learned:
        value = facts.find("positions")
        if value not in (None, "none"):
            raise RefusedError(
                f"its positions are said to be {value!r}, but no tensor holds them: if they are computed, add them "
                "to the state dict as pos_embed.W_pos; if there are none, say config=ModelConfig(positions='none')"
            )
        return value
    told = "positions" in facts.stored.known or said(facts.stored.settings, "positions") is not None
    value = facts.find("positions") if told else "learned"
    if value == "none":
        raise RefusedError(
            "no positions were said, but a tensor looks like them: say what it is with rename={...}"
        )
    return "learned"


def _norms(state: State, facts: Facts, fixed: Mapping[str, Any], *, lens: bool) -> dict[str, Any]:
    """Kind, position and eps of the norms."""
    weights = {name.rsplit(".", 1)[0] for name in state if name.endswith((".ln1.w", ".ln2.w", "ln_final.w"))}
    biased = any(name.endswith((".ln1.b", ".ln2.b", "ln_final.b")) for name in state)
    kind = _kind(facts, fixed, weighted=bool(weights), biased=biased, lens=lens)
    if kind is None:
        return {"normalization": None}
    found: dict[str, Any] = {"normalization": kind}
    if weights and not any("ln1" in name for name in weights):
        raise RefusedError("it has a final norm but none in its blocks, which cannot be represented")
    _fill_norm_biases(state, weights, kind)
    if lens:
        found["norm_position"] = facts.find("norm_position", granted="pre", why="as TransformerLens has it")
    elif "normalization" in facts.stored.known:
        # In our configuration it implies pre-norm, unless stated otherwise.
        found["norm_position"] = facts.find("norm_position", granted="pre", why="said with normalization=")
    else:
        found["norm_position"] = facts.find("norm_position")
    has_final = "ln_final" in weights
    if weights:
        found["final_norm"] = facts.find("final_norm", seen=has_final)
    elif lens:
        found["final_norm"] = facts.find("final_norm", granted=True, why="as TransformerLens has it")
    else:
        found["final_norm"] = facts.find("final_norm")
    usual = lens or kind.startswith("LN")
    found["norm_eps"] = (
        facts.find("norm_eps", granted=1e-5, why="the usual one") if usual else facts.find("norm_eps")
    )
    return {name: value for name, value in found.items() if value is not None}


def _kind(facts: Facts, fixed: Mapping[str, Any], *, weighted: bool, biased: bool, lens: bool) -> str | None:
    if biased:
        seen = "LN"
    elif weighted and lens:
        seen = "RMS"
    else:
        seen = None
    if "normalization" in fixed:
        kind = facts.find("normalization", by_layout=fixed["normalization"])
    elif not weighted and _speaks_of_norms(facts, lens=lens):
        kind = facts.find("normalization")
    elif not weighted:
        kind = facts.find("normalization", granted=None, why="no tensor of a norm, and nothing speaks of one")
    elif seen:
        kind = facts.find("normalization", seen=seen)
    else:
        kind = facts.find("normalization")
    if "normalization" in facts.missing:
        return None
    if weighted != (kind in ("LN", "RMS")) or (biased and kind == "RMS"):
        has = "have" if weighted else "have no"
        which = ", with biases" if biased else ""
        raise RefusedError(
            f"normalization={kind!r} is said, but its norms {has} weights{which}: 'LN' and 'RMS' have them, "
            "'LNPre' and 'RMSPre' have none; say config=ModelConfig(normalization=...)"
        )
    return kind


def _speaks_of_norms(facts: Facts, *, lens: bool) -> bool:
    """Whether there may be norms without weights, which leave no trace in the tensors.

    TransformerLens creates such norms itself when it folds the weights of norms into others; for its files, only a
    configuration that describes the network without mentioning norms is taken to mean that there are none.
    """
    known, settings = facts.stored.known, facts.stored.settings
    told = [
        name for name in ("norm_position", "final_norm", "norm_eps") if name in known or said(settings, name)
    ]
    return bool(told) or (lens and not facts.stored.fixed and said(settings, "act_fn") is None)


def _fill_norm_biases(state: State, weights: set[str], kind: str) -> None:
    """Give LayerNorms built without a bias a bias of 0."""
    for name in weights if kind == "LN" else ():
        state.setdefault(f"{name}.b", state[f"{name}.w"].new_zeros(state[f"{name}.w"].shape))


def _fill_biases(state: State, n_layers: int) -> None:
    """If some parts of attention, or one side of the MLP, have biases, give the others biases of 0."""
    for group, part in ((("b_Q", "b_K", "b_V", "b_O"), "attn"), (("b_in", "b_out"), "mlp")):
        names = [f"blocks.{i}.{part}.{bias}" for i in range(n_layers) for bias in group]
        if not any(name in state for name in names):
            continue
        for name in names:
            weight = state.get(name.replace(".b_", ".W_"))
            if name not in state and weight is not None:
                bias_shape = (weight.shape[0], weight.shape[2]) if name[-1] in "QKV" else (weight.shape[-1],)
                state[name] = weight.new_zeros(bias_shape)
