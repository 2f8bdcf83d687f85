"""Transformers of torch modules: MultiheadAttention, fused or separate queries, keys and values, any usual names."""

import re
from dataclasses import replace

import torch
from torch import Tensor

from mechgrok.models.layouts.architecture import as_transformer
from mechgrok.models.layouts.facts import Facts
from mechgrok.models.layouts.families import check_order_of_fused
from mechgrok.models.layouts.modules import Module, fused_order, letter_of, modules_of
from mechgrok.models.layouts.part_names import DOWN, FIRST_NORM, SECOND_NORM, UP, is_attention
from mechgrok.models.layouts.refusals import RefusedError
from mechgrok.models.layouts.sides import Sides
from mechgrok.models.layouts.stored_network import LAYOUTS, Converted, StoredNetwork
from mechgrok.models.layouts.torch_blocks import block_state

POSITIONS = re.compile(r"pos|wpe|^pe$")
READOUT = re.compile(
    r"unemb|head|out|decoder|classif|logit|readout|predict|score|^lm|^u$|^fc$|^fc_|^linear$|^proj"
)
EMBEDDING = re.compile(r"emb|tok|wte|vocab|word|^e$|^input")
LAST_NORM = re.compile(
    r"^(ln|norm|layer_?norm|rms_?norm)_?(f|final|out|last)$|^final_?(ln|norm|layer_?norm|rms_?norm)"
)
FIRST_OF_ALL = re.compile(
    r"emb|^(ln|norm|layer_?norm|rms_?norm)_?(in|input|pre|first|start|0)$|^(in|input|pre|first)_?(ln|norm|layer_?norm|rms_?norm)"
)
"""Names of a norm before the blocks."""
TIED = ("tie_word_embeddings", "tie_weights", "tied_embeddings", "weight_tying", "tied", "tie_embeddings")


OFTEN_OUTSIDE = {
    "fc", "out", "output", "fc_out", "proj", "input", "in", "hidden", "proj_out", "out_proj", "linear_out", "lin_out",
    "intermediate",
}  # fmt: skip
"""Names that are equally common for MLP layers and for a read-out."""


def _is_torch(stored: StoredNetwork) -> bool:
    try:
        modules, _ = modules_of(stored.tensors)
    except RefusedError:
        return False
    attention = [m for m in modules if is_attention(m)]
    return any(fused_order(m) for m in attention) or {"Q", "K", "V"} <= {letter_of(m) for m in attention}


@LAYOUTS.add("torch_attention", title="a transformer of torch modules", detect=_is_torch, fallback=True)
def _from_torch(stored: StoredNetwork) -> Converted:
    """Blocks of attention and an MLP; tensors are identified by names, shapes and the order in the file."""
    modules, left = modules_of(stored.tensors)
    _refuse_unused(left)
    blocks, outside = _split(modules)
    d_model = _width(blocks, outside)
    facts = Facts(stored)
    n_heads = _heads(facts, blocks[0], d_model)
    sides = Sides(d_model, n_heads, _is_conv(blocks, d_model))
    if n_heads > 1 and not sides.conv:
        check_order_of_fused(stored)
    granted: set[str] = set()
    state = _outer_state(outside, d_model, stored, granted)
    for i, block in enumerate(blocks):
        parts = block_state(block, sides, granted)
        state |= {f"blocks.{i}.{name}": tensor.contiguous() for name, tensor in parts.items()}
    facts.notes += sorted(granted)
    return as_transformer(state, facts, lens=False)


def _refuse_unused(left: dict[str, Tensor]) -> None:
    for name, tensor in left.items():
        extra = (
            "; keys and values that are learned cannot be represented"
            if re.search(r"bias_[kv]$", name)
            else ""
        )
        raise RefusedError(
            f"{name} {tuple(tensor.shape)} is not part of the network{extra}. If it has no effect, drop it "
            "from the state dict; if it is known by another name, say it with rename={...}"
        )


def _split(modules: list[Module]) -> tuple[list[list[Module]], list[Module]]:
    """The modules of each block, and the modules outside blocks."""
    learned = [m.name for m in modules if re.search(r"(^|\.)bias_[kv]$", m.name)]
    if learned:
        raise RefusedError(
            f"{' and '.join(learned)} are learned keys and values, which cannot be represented"
        )
    numbers = sorted({m.block for m in modules if m.block is not None and is_attention(m)})
    if not numbers:
        inside = [m for m in modules if _within_block(m)]
        return [inside], [m for m in modules if m not in inside]
    if any(m.block not in (None, *numbers) for m in modules):
        odd = next(m.name for m in modules if m.block not in (None, *numbers))
        raise RefusedError(f"{odd} is in a block without attention, which cannot be represented")
    return [[m for m in modules if m.block == i] for i in numbers], [m for m in modules if m.block is None]


def _within_block(module: Module) -> bool:
    """Whether a module belongs to the block, in a network whose only block has no number."""
    if module.block is not None or is_attention(module):
        return True
    if any(re.match(r"mlp|ffn?$|ff$|feed_?forward|block", part) for part in module.path):
        return True
    if module.is_norm:
        return not any(LAST_NORM.search(part) for part in module.path) and any(
            FIRST_NORM.search(part) or SECOND_NORM.search(part) for part in module.path
        )
    return module.part in (UP | DOWN) - OFTEN_OUTSIDE


def _width(blocks: list[list[Module]], outside: list[Module]) -> int:
    """d_model: the length of a norm, the width of the embedding, or the one size that all matrices share."""
    for module in (m for block in blocks for m in block if m.is_norm):
        return module.weight.shape[0]
    matrices = [m.weight for m in (*outside, *blocks[0]) if m.weight.ndim >= 2]
    shared = set.intersection(*(set(w.shape) for w in matrices)) if matrices else set()
    for module in outside:
        if module.kind == "linear" and module.weight.ndim == 2:
            shared &= {module.weight.shape[1]}
    fused = [m for m in blocks[0] if fused_order(m) and m.weight.ndim == 2]
    if len(shared) > 1 and fused:
        shared &= {min(fused[0].weight.shape)}
    if len(shared) != 1:
        raise RefusedError(
            f"the width of its residual stream is not told: its matrices share the sizes {sorted(shared)}; "
            "say which tensor is what with rename={...} and TransformerLens's names"
        )
    return shared.pop()


def _heads(facts: Facts, block: list[Module], d_model: int) -> int:
    queries = [m for m in block if letter_of(m) == "Q" and is_attention(m)]
    if queries and queries[0].weight.ndim == 3:
        return facts.find("n_heads", seen=queries[0].weight.shape[0])
    if queries and "heads" in queries[0].path:
        return facts.find("n_heads", seen=len(queries))
    del d_model
    # If missing, it is refused together with everything else that is missing.
    return int(facts.find("n_heads") or 1)


def _is_conv(blocks: list[list[Module]], d_model: int) -> bool:
    """Whether matrices are stored [inputs, outputs], as in GPT-2: its fused matrix, which is not square, shows it."""
    fused = [m.weight for block in blocks for m in block if fused_order(m) and m.kind == "linear"]
    turned = {tuple(w.shape) == (d_model, 3 * d_model) for w in fused if w.ndim == 2}
    return turned == {True}


def _outer_state(
    outside: list[Module], d_model: int, stored: StoredNetwork, granted: set[str]
) -> dict[str, Tensor]:
    """Embedding, positions, final norm and read-out, distinguished by their names."""
    found: dict[str, Module] = {}
    for module in outside:
        role = _role(module)
        if role in found:
            raise RefusedError(
                f"{found[role].name} and {module.name} both look like the {role}; say what they are with rename={{...}}"
            )
        found[role] = module
    if "other" in found:
        open_roles = {"embedding", "read-out"} - found.keys()
        if len(open_roles) != 1:
            raise RefusedError(
                f"{found['other'].name} has no known part in it; say what it is with rename={{...}}"
            )
        found[open_roles.pop()] = found.pop("other")
    _tie(found, stored, granted)
    missing = {"embedding", "read-out"} - found.keys()
    if missing:
        raise RefusedError(
            f"no tensor looks like the {' or the '.join(sorted(missing))}; say which it is with rename={{...}}. If the "
            'read-out is tied to the embedding, put "tie_word_embeddings": true into a config.json beside the file'
        )
    state = {
        "embed.W_E": _rows(found["embedding"], d_model),
        "unembed.W_U": _columns(found["read-out"], d_model),
    }
    if (positions := found.get("positions")) is not None:
        rows = (
            positions.weight.reshape(-1, d_model) if positions.weight.ndim > 2 else _rows(positions, d_model)
        )
        state["pos_embed.W_pos"] = rows
    if (norm := found.get("norm")) is not None:
        state["ln_final.w"] = norm.weight
    for role, ours in (("norm", "ln_final.b"), ("read-out", "unembed.b_U")):
        if role in found and (bias := found[role].bias) is not None:
            state[ours] = bias
    for role in ("embedding", "positions"):
        if role in found and found[role].bias is not None:
            raise RefusedError(
                f"{found[role].bias_name} is a bias of the {role}, which cannot be represented"
            )
    return {name: tensor.contiguous() for name, tensor in state.items()}


def _tie(found: dict[str, Module], stored: StoredNetwork, granted: set[str]) -> None:
    """Use the embedding as the read-out if that is stated, or fixed by the code that wrote the file.

    Raises:
        RefusedError: weights are declared tied, but the file has a different read-out.
    """
    told = [stored.settings[key] for key in TIED if isinstance(stored.settings.get(key), bool)]
    embedding, readout = found.get("embedding"), found.get("read-out")
    if embedding is None or not (any(told) or (not told and stored.fixed.get("tied"))):
        return
    if readout is None:
        found["read-out"] = replace(embedding, path=("unembed",), bias=None, exact=False)
        granted.add(f"the read-out is {embedding.name}")
    elif any(told) and not torch.equal(readout.weight, embedding.weight):
        raise RefusedError(
            f"its configuration says that the read-out is tied to the embedding, but {readout.name} and "
            f"{embedding.name} differ"
        )


def _role(module: Module) -> str:
    if module.is_norm:
        if any(FIRST_OF_ALL.search(part) for part in module.path):
            raise RefusedError(
                f"{module.name} looks like a norm of the embedding, before the blocks, which cannot be represented; if "
                f"it is the norm before the read-out, say rename={{{module.name!r}: 'ln_final.weight'}}"
            )
        return "norm"
    for part in (module.part, ".".join(module.path)):
        if POSITIONS.search(part):
            return "positions"
        if READOUT.search(part):
            return "read-out"
        if EMBEDDING.search(part):
            return "embedding"
    return "other"


def _rows(module: Module, d_model: int) -> Tensor:
    """A table of vectors, [rows, d_model]."""
    return _oriented(module, d_model, last=True)


def _columns(module: Module, d_model: int) -> Tensor:
    """The read-out as ours, [d_model, d_vocab_out]: torch's linear layers store it transposed."""
    if module.exact or module.kind == "kernel":
        return _oriented(module, d_model, last=False)
    if module.kind == "linear":
        return _oriented(module, d_model, last=True).mT
    return _oriented(module, d_model, last=False)


def _oriented(module: Module, d_model: int, *, last: bool) -> Tensor:
    w, shape = module.weight, tuple(module.weight.shape)
    if w.ndim != 2 or d_model not in shape:
        raise RefusedError(
            f"{module.name} {shape} has no side of {d_model}, the width of the residual stream"
        )
    fits = shape[1 if last else 0] == d_model
    if module.kind != "raw" or module.exact:
        if not fits:
            raise RefusedError(
                f"{module.name} {shape} has its {d_model} dimensions on the wrong side; "
                "say what it is with rename={...}"
            )
        return w
    if shape[0] == shape[1]:
        raise RefusedError(
            f"{module.name} {shape} is square, so either side may be the residual stream; say rename={{...}} with "
            "TransformerLens's embed.W_E [d_vocab, d_model], pos_embed.W_pos [n_ctx, d_model], unembed.W_U [d_model, "
            "d_vocab_out]"
        )
    return w if fits else w.mT
