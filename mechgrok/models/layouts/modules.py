"""Tensors of a torch network grouped by module: the place of each module, and what its name says about it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from mechgrok.models.layouts.refusals import RefusedError

WEIGHT = {"weight", "w", "gamma", "g", "scale", "kernel"}
BIAS = {"bias", "b", "beta", "offset"}
EMPTY = re.compile(r"^(dense|net|linear|lin|fn|module|layers?|func|proj_layer|self|0|\d+)$")
"""Names that carry no information about the part."""
ATTENTION = re.compile(r"attn|attention|^mh?s?a$|^attns?$")
NORM = re.compile(r"(^|_)(ln|norm|layernorm|rmsnorm|lnorm)|norm(_|\d|$)|layer_?norm|^ln")
NUMBERED = re.compile(r"^(blocks?|layers?|blk|block_?list|transformer_?blocks?|encoder_?layers?|h)_?(\d+)$")
EXACT = re.compile(
    r"^(embed\.W_E|pos_embed\.W_pos|unembed\.W_U|blocks\.\d+\.(attn\.W_[QKVO]|mlp\.W_(in|out|gate)))$"
)
"""TransformerLens's names also determine the axes."""


@dataclass
class Module:
    """A weight with its bias.

    Attributes:
        block: number of its block; None outside the blocks.
        path: the rest of its name, in lower-case parts.
        name: name of its weight in the file.
        kind: "linear" if torch's name implies that its matrix is [outputs, inputs], "kernel" for [inputs, outputs],
            "raw" for a parameter whose name says nothing about it.
        exact: whether the name is TransformerLens's, which also fixes the order of the axes.
    """

    block: int | None
    path: tuple[str, ...]
    name: str
    weight: Tensor
    kind: str
    exact: bool
    bias: Tensor | None = None
    bias_name: str = ""

    @property
    def part(self) -> str:
        """The last informative name in the path."""
        telling = [part for part in self.path if not EMPTY.match(part)]
        return telling[-1] if telling else self.path[-1] if self.path else ""

    @property
    def in_attention(self) -> bool:
        return any(ATTENTION.search(part) for part in self.path)

    @property
    def is_norm(self) -> bool:
        return self.weight.ndim == 1


def modules_of(tensors: Mapping[str, Tensor]) -> tuple[list[Module], dict[str, Tensor]]:
    """All modules in the order of the file, and the tensors that belong to no module."""
    weights: dict[tuple[str, ...], Module] = {}
    biases: dict[tuple[str, ...], tuple[str, Tensor]] = {}
    blocks = _block_places(tensors)
    for name, tensor in tensors.items():
        path, kind = _parse(name, tensor)
        block, rest = _place(path, blocks)
        key = (str(block), *rest)
        if kind == "bias":
            biases[key] = name, tensor
        elif key in weights:
            raise RefusedError(
                f"{weights[key].name} and {name} both look like the same weight; say which with rename={{...}}"
            )
        else:
            weights[key] = Module(block, rest, name, tensor, kind, bool(EXACT.match(name)))
    left = {}
    for key, (name, tensor) in biases.items():
        if key in weights:
            weights[key].bias, weights[key].bias_name = tensor, name
        else:
            left[name] = tensor
    return list(weights.values()), left


def _parse(name: str, tensor: Tensor) -> tuple[tuple[str, ...], str]:
    """The path of the module, in lower case, and the role of the tensor in it."""
    *parts, last = name.split(".")
    low = last.lower()
    if low in BIAS:
        return _lower(parts), "bias"
    if low in WEIGHT and parts:
        return _lower(parts), "kernel" if low == "kernel" else "linear"
    if match := re.fullmatch(r"(?:(.+)_(weight|bias|gamma|beta)|([WwBb])_(.+))", last):
        stem = match[1] or match[4]
        word = (match[2] or match[3]).lower()
        if word in ("bias", "b", "beta") and tensor.ndim <= 2:
            return _lower([*parts, stem]), "bias"
        return _lower([*parts, stem]), "linear" if match[1] == "in_proj" else "raw"
    return _lower([*parts, last]), "raw"


def _lower(parts: list[str]) -> tuple[str, ...]:
    return tuple(part.lower() for part in parts)


@dataclass(frozen=True)
class _Blocks:
    """The places at which blocks are numbered: stems of names, and whether the stem itself identifies the part."""

    stems: frozenset[tuple[str, ...]]
    parallel: bool


def _block_places(tensors: Mapping[str, Tensor]) -> _Blocks:
    paths = [_parse(name, tensor)[0] for name, tensor in tensors.items()]
    stems = {split[0] for path in paths if (split := _split(path)) and _looks_like_attention(split)}
    in_lists = [split for path in paths if (split := _split(path)) and split[0] in stems]
    # Attention modules in a separate list: the other parts are in parallel lists, with the same numbers.
    parallel = bool(in_lists) and all(
        ATTENTION.search(stem[-1]) and not _other(rest) for stem, _, rest in in_lists
    )
    if parallel:
        numbers = {number for _, number, _ in in_lists}
        lists: dict[tuple[str, ...], set[int]] = {}
        for stem, number, _ in filter(None, map(_split, paths)):
            lists.setdefault(stem, set()).add(number)
        stems = {stem for stem, found in lists.items() if found == numbers}
    return _Blocks(frozenset(stems), parallel)


def _other(rest: tuple[str, ...]) -> bool:
    """Whether a path within a block denotes a part other than attention."""
    return any(re.search(r"mlp|ff|fc|ln|norm|linear|dense", part) for part in rest)


def _looks_like_attention(split: tuple[tuple[str, ...], int, tuple[str, ...]]) -> bool:
    stem, _, rest = split
    whole = (*stem, *rest)
    before = bool(ATTENTION.search(stem[-1])) if stem else False
    within = any(ATTENTION.search(part) or QUERY.match(part) or _fused_order(part) for part in rest)
    heads = any(part == "heads" for part in stem)
    return bool(whole) and (within or before) and not heads


def _split(path: tuple[str, ...]) -> tuple[tuple[str, ...], int, tuple[str, ...]] | None:
    """Everything before the first number in a path, the number, and everything after it."""
    for i, part in enumerate(path):
        if part.isdigit():
            return path[:i], int(part), path[i + 1 :]
        if match := NUMBERED.match(part):
            return (*path[:i], match[1]), int(match[2]), path[i + 1 :]
    return None


def _place(path: tuple[str, ...], blocks: _Blocks) -> tuple[int | None, tuple[str, ...]]:
    split = _split(path)
    if split is None:
        return None, path
    stem, number, rest = split
    if stem == ("blocks",):  # given by rename={...}, whatever the other names are
        return number, rest
    if stem in blocks.stems:
        return number, (*stem, *rest) if blocks.parallel else rest
    return None, path


QUERY = re.compile(
    r"^(to_?|w_?|fc_?|lin(ear)?_?)?(q|quer(y|ies))(_?(proj|projection|lin|linear|layer|net))?$"
)
LETTERS = {
    "q": "Q",
    "query": "Q",
    "queries": "Q",
    "k": "K",
    "key": "K",
    "keys": "K",
    "v": "V",
    "value": "V",
    "values": "V",
    "val": "V",
    "vals": "V",
}
OUTPUT = {"o", "out", "output"}


def bare(part: str) -> str:
    """A name without uninformative affixes: 'q_proj', 'to_q', 'Wq' and 'w_q' are all 'q'."""
    part = re.sub(r"^(to|w|fc|lin|linear)_", "", part)
    part = re.sub(r"_(proj|projection|lin|linear|layer|net|matrix|mat|weight)$", "", part)
    return part[1:] if re.fullmatch(r"w(q|k|v|o|qkv|query|key|value)", part) else part


def letter_of(module: Module) -> str | None:
    """Q, K or V for a module that is just one of them; O for a module named after its output."""
    name = bare(module.part)
    if name in LETTERS:
        return LETTERS[name]
    outputs = OUTPUT if module.in_attention else {"o"}
    explicit = module.part in ("out_proj", "o_proj", "w_o", "wo")
    return "O" if name in outputs or explicit else None


def _fused_order(part: str) -> str | None:
    name = bare(part)
    if part in ("in_proj", "c_attn", "qkv_proj") or name == "qkv":
        return "QKV"
    match = re.fullmatch(r"(?:attn_?)?([qkv]{3})(?:_?proj)?s?", name)
    return match[1].upper() if match and set(match[1]) == set("qkv") else None


def fused_order(module: Module) -> str | None:
    """The order of queries, keys and values in a fused matrix; None for other modules."""
    return _fused_order(module.part)


def in_order(modules: list[Module], what: str) -> Iterator[Module]:
    """Order modules whose names do not say which comes first, by their numbers, or else by their order in the file.

    A file with sorted names gives no order: safetensors sorts them, whatever the order in the network.

    Raises:
        RefusedError: nothing decides; the message names both readings.
    """
    names = [module.name for module in modules]
    numbers = [[int(n) for n in re.findall(r"\d+", name)] for name in names]
    stems = {re.sub(r"\d+", "#", name) for name in names}
    if len(stems) == 1 and len({tuple(n) for n in numbers}) == len(numbers):
        return iter(
            [module for _, module in sorted(zip(numbers, modules, strict=True), key=lambda pair: pair[0])]
        )
    if names != sorted(names):
        return iter(modules)
    first, second = names[:2]
    raise RefusedError(
        f"nothing tells the order of {what}: {first} before {second}, or {second} before {first}. Say it with "
        f"rename={{...}}, which gives them names that do"
    )
