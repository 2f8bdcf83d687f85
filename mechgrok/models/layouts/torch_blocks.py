"""One block of a transformer of torch modules, with weights under TransformerLens's names and in its shapes."""

import re
from collections.abc import Sequence

from mechgrok.models.layouts.block_attention import AttentionPart
from mechgrok.models.layouts.block_mlp import MLPPart
from mechgrok.models.layouts.modules import Module, in_order
from mechgrok.models.layouts.part_names import FIRST_NORM, SECOND_NORM, is_attention
from mechgrok.models.layouts.refusals import RefusedError
from mechgrok.models.layouts.sides import Sides, State


def block_state(modules: Sequence[Module], sides: Sides, granted: set[str]) -> State:
    """All weights of a block.

    Args:
        granted: receives the assumptions made.

    Raises:
        RefusedError: something fits in no way, or in two ways.
    """
    norms = [m for m in modules if m.is_norm]
    attention = [m for m in modules if not m.is_norm and is_attention(m)]
    mlp = [m for m in modules if not m.is_norm and not is_attention(m)]
    state = AttentionPart(attention, sides, granted).state()
    state |= _norms(norms, 2 if mlp else 1) if norms else {}
    return state | (MLPPart(mlp, sides).state() if mlp else {})


def _norms(norms: list[Module], wanted: int) -> State:
    if len(norms) != wanted:
        names = ", ".join(m.name for m in norms)
        raise RefusedError(
            f"a block has {len(norms)} norms with weights ({names}); only {wanted}, one for each sublayer, "
            "can be represented"
        )
    out: State = {}
    for i, module in enumerate(_by_sublayer(norms), start=1):
        out[f"ln{i}.w"] = module.weight
        if module.bias is not None:
            out[f"ln{i}.b"] = module.bias
    return out


def _by_sublayer(norms: list[Module]) -> list[Module]:
    """The norm of attention, then the norm of the MLP."""
    first = [m for m in norms if _is_first(m)]
    second = [m for m in norms if m not in first and _is_second(m)]
    if len(first) == 1 and len(second) == len(norms) - 1:
        return [*first, *second]
    if len(norms) == 1:
        return norms
    if len(first) == 1 or len(second) == 1:
        rest = [m for m in norms if m not in (first or second)]
        return [*first, *rest] if first else [*rest, *second]
    return list(in_order(norms, "the norms"))


def _is_first(module: Module) -> bool:
    named = any(FIRST_NORM.search(part) for part in module.path)
    return named or (module.in_attention and not _is_second(module))


def _is_second(module: Module) -> bool:
    within = any(re.match(r"mlp|ff|feed", part) for part in module.path[:-1])
    return within or any(SECOND_NORM.search(part) for part in module.path)
