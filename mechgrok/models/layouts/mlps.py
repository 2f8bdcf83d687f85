"""Feed-forward networks on two operands: the networks of three papers, and plain torch modules."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, permutations

from torch import Tensor

from mechgrok.config import MLPConfig
from mechgrok.models.layouts.facts import Facts
from mechgrok.models.layouts.modules import Module, in_order, modules_of
from mechgrok.models.layouts.refusals import RefusedError
from mechgrok.models.layouts.stored_network import LAYOUTS, Converted, StoredNetwork, has_shape
from mechgrok.models.layouts.zhong import task_of


def _is_chughtai(stored: StoredNetwork) -> bool:
    return {"W_x", "W_y", "W_U"} <= stored.tensors.keys()


@LAYOUTS.add("chughtai", title="an MLP of Chughtai et al. 2023's released code", detect=_is_chughtai)
def _from_chughtai(stored: StoredNetwork) -> Converted:
    """Released code of Chughtai et al. 2023: relu([W_x[x], W_y[y]] @ W) @ W_U, no biases."""
    tensors = dict(stored.tensors)
    if "W" not in tensors:
        raise RefusedError(
            "it is their bilinear network, which multiplies the embeddings; that cannot be represented"
        )
    facts = Facts(stored, "MLPConfig")
    config = MLPConfig(
        d_vocab=tensors["W_x"].shape[0],
        d_vocab_out=tensors["W_U"].shape[1],
        embeddings="separate",
        combine="concat",
        d_embed=tensors["W_x"].shape[1],
        d_mlp=tensors["W"].shape[1],
        mlp_bias=False,
        act_fn=facts.find("act_fn", by_layout="relu"),
        init="fan_in",
    )
    names = {"W_x": "embed.W_E", "W_y": "embed_b.W_E", "W": "blocks.0.mlp.W_in", "W_U": "unembed.W_U"}
    state = {names.get(name, name): tensor for name, tensor in tensors.items()}
    return Converted(config, state, notes=(*facts.notes, SIDE_BY_SIDE))


def _is_linearformer(stored: StoredNetwork) -> bool:
    return has_shape(stored, "blocks.0.W_in", 2) and has_shape(stored, "embed.W_E", 2)


@LAYOUTS.add(
    "linearformer", title="a use_linear network of Zhong et al. 2023's released code", detect=_is_linearformer
)
def _from_linearformer(stored: StoredNetwork) -> Converted:
    """The option use_linear of Zhong et al. 2023: concatenated embeddings, then square hidden layers."""
    tensors = stored.tensors
    d_embed, d_vocab = tensors["embed.W_E"].shape
    d_mlp = tensors["blocks.0.W_in"].shape[0]
    if d_mlp // 2 != d_embed:
        raise RefusedError(f"it puts {d_mlp // d_embed} tokens side by side; only two can be represented")
    state = {"embed.W_E": tensors["embed.W_E"].mT, "unembed.W_U": tensors["unembed.W_U"]}
    layers = sorted(int(name.split(".")[1]) for name in tensors if name.endswith(".W_in"))
    for i in layers:
        matrix = tensors[f"blocks.{i}.W_in"].mT
        # An odd width leaves one input over, which their code fills with zero.
        state[f"blocks.{i}.mlp.W_in"] = matrix if i else matrix[: 2 * d_embed]
        state[f"blocks.{i}.mlp.b_in"] = tensors[f"blocks.{i}.b_in"]
    facts = Facts(stored, "MLPConfig")
    config = MLPConfig(
        d_vocab=d_vocab,
        d_vocab_out=tensors["unembed.W_U"].shape[1],
        combine="concat",
        d_embed=d_embed,
        d_mlp=d_mlp,
        n_layers=len(layers),
        act_fn=facts.find("act_fn", granted="relu", why="the released code's default"),
    )
    return Converted(config, state, task_of(stored, d_vocab), notes=(*facts.notes, SIDE_BY_SIDE))


PIZZA_LINEAR = re.compile(r"(embed[12]?|unembed)\.weight|l[12]\.(weight|bias)")
SIDE_BY_SIDE = "the operands stand side by side"
SUMMED_ONCE, SUMMED_TWICE = "B", "C"


def _is_pizza_linear(stored: StoredNetwork) -> bool:
    needed = "l1.weight" in stored.tensors and "unembed.weight" in stored.tensors
    return needed and all(PIZZA_LINEAR.fullmatch(name) for name in stored.tensors)


@LAYOUTS.add(
    "pizza_linear", title="a linear model of Zhong et al. 2023's released code", detect=_is_pizza_linear
)
def _from_pizza_linear(stored: StoredNetwork) -> Converted:
    """The linear models A (alpha), B (beta), C (gamma), D (delta), X (alpha') of Zhong et al. 2023."""
    letter = stored.settings.get("model_type")
    undecided = "l2.weight" in stored.tensors and "bias_per_operand" not in stored.known
    if undecided and letter not in (SUMMED_ONCE, SUMMED_TWICE):
        raise RefusedError(
            "the tensors of the models B (beta) and C (gamma) are alike, though C adds the first bias twice: "
            "put the author's config_<id>.json beside the file, or say "
            "config=MLPConfig(bias_per_operand=...), False for B and True for C"
        )
    fixed = {**stored.fixed, "act_fn": "relu"}
    converted = _from_torch(replace(stored, fixed=fixed, author="the released code"))
    config = converted.config.replace(bias_per_operand=letter == SUMMED_TWICE)
    notes = converted.notes
    if "l2.weight" in stored.tensors:
        twice = stored.known.get("bias_per_operand", letter == SUMMED_TWICE)
        origin = "config=" if "bias_per_operand" in stored.known else "the author's model_type"
        notes = (*notes, f"bias_per_operand={twice!r} ({origin})")
    return replace(converted, config=config, task=task_of(stored, config.d_vocab), notes=notes)


def _is_torch(stored: StoredNetwork) -> bool:
    try:
        modules, left = modules_of(stored.tensors)
    except RefusedError:
        return False
    linear = [m for m in modules if not _is_embedding(m)]
    return len(linear) > 1 and not left and all(m.weight.ndim == 2 and m.kind == "linear" for m in modules)


@LAYOUTS.add("torch_mlp", title="a feed-forward network of torch modules", detect=_is_torch, fallback=True)
def _from_torch(stored: StoredNetwork) -> Converted:
    """torch embeddings and linear layers, under any names; one-hot inputs without embeddings."""
    facts = Facts(stored, "MLPConfig")
    act_fn = facts.find("act_fn")
    facts.refuse_if_missing()
    modules, _ = modules_of(stored.tensors)
    embeddings = [m for m in modules if _is_embedding(m)]
    linear = _ordered([m for m in modules if not _is_embedding(m)], embeddings)
    if len(embeddings) > 2:
        names = [m.name for m in embeddings]
        raise RefusedError(f"it has the embeddings {names}; only one for each of two operands can be")
    widths = {m.weight.shape[0] for m in linear[:-1]}
    if len(widths) > 1:
        raise RefusedError(f"its hidden layers differ in width: {sorted(widths)}")
    config, state = _entrance(embeddings, linear)
    for i, module in enumerate(linear[:-1]):
        if i or embeddings:
            state[f"blocks.{i}.mlp.W_in"] = module.weight.mT
        if module.bias is not None:
            state[f"blocks.{i}.mlp.b_in"] = module.bias
    state["unembed.W_U"] = linear[-1].weight.mT
    if linear[-1].bias is not None:
        state["unembed.b_U"] = linear[-1].bias
    config = config.replace(
        act_fn=act_fn,
        d_vocab_out=linear[-1].weight.shape[0],
        d_mlp=widths.pop(),
        n_layers=len(linear) - 1,
        mlp_bias="blocks.0.mlp.b_in" in state,
        unembed_bias="unembed.b_U" in state,
    )
    together = "the operands are added" if config.combine == "sum" else SIDE_BY_SIDE
    return Converted(config, state, notes=(*facts.notes, together))


def _ordered(linear: list[Module], embeddings: list[Module]) -> list[Module]:
    """Linear layers from the input to the output.

    Layers that differ in a number are ordered by it; names that suggest the output come last; then shapes have to fit.
    If several orders fit, the file's order is used, unless its names are sorted, which safetensors does by itself.

    Raises:
        RefusedError: no order fits, or several do and nothing decides.
    """
    groups: dict[str, list[Module]] = {}
    for module in sorted(linear, key=lambda m: [int(n) for n in re.findall(r"\d+", m.name)]):
        groups.setdefault(re.sub(r"\d+", "#", module.name), []).append(module)
    d_embed = embeddings[0].weight.shape[1] if embeddings else None
    orders = [[m for group in order for m in group] for order in permutations(groups.values())]
    orders = [order for order in orders if _fits(order, d_embed)]
    last = [order for order in orders if OUTPUT.search(order[-1].name.lower())]
    orders = last or orders
    if len(orders) == 1:
        return orders[0]
    if not orders:
        return linear  # a misfit is reported where the layer is used
    if linear in orders and [m.name for m in linear] != sorted(m.name for m in linear):
        return linear
    readings = " or ".join(", ".join(m.name for m in order) for order in orders[:2])
    raise RefusedError(f"nothing tells the order of its layers: {readings}; number them with rename={{...}}")


def _fits(order: list[Module], d_embed: int | None) -> bool:
    first = d_embed is None or order[0].weight.shape[1] in (d_embed, 2 * d_embed)
    return first and all(a.weight.shape[0] == b.weight.shape[1] for a, b in pairwise(order))


def _entrance(embeddings: list[Module], linear: list[Module]) -> tuple[MLPConfig, dict[str, Tensor]]:
    """From the tokens to the first hidden layer."""
    first = linear[0].weight
    if not embeddings:
        return _one_hot_entrance(first, linear[-1].weight.shape[0])
    d_vocab, d_embed = embeddings[0].weight.shape
    if first.shape[1] not in (d_embed, 2 * d_embed):
        raise RefusedError(
            f"its first layer takes {first.shape[1]} inputs, which are neither one embedding of width {d_embed} "
            "nor two side by side"
        )
    separate = len(embeddings) == 2
    config = MLPConfig(
        d_vocab=d_vocab,
        embeddings="separate" if separate else "shared",
        combine="sum" if first.shape[1] == d_embed else "concat",
        d_embed=d_embed,
    )
    names = ("embed.W_E", "embed_b.W_E")
    ordered = list(_operands(embeddings)) if separate else embeddings
    return config, {names[i]: module.weight for i, module in enumerate(ordered)}


def _operands(embeddings: list[Module]) -> Iterator[Module]:
    """The embedding of the first operand, then of the second."""
    ends = [
        re.split(r"[._]", name.removesuffix(".weight").lower())[-1] for name in (m.name for m in embeddings)
    ]
    for pair in (("a", "b"), ("x", "y"), ("left", "right"), ("first", "second")):
        for order in ((0, 1), (1, 0)):
            if tuple(ends[i] for i in order) == pair:
                return iter([embeddings[i] for i in order])
    if any(shorter == longer.removesuffix(end) for shorter, longer, end in _suffixed(embeddings)):
        return iter(sorted(embeddings, key=lambda m: len(m.name)))
    return in_order(embeddings, "the operands")


def _suffixed(embeddings: list[Module]) -> list[tuple[str, str, str]]:
    """The pair of names, the shorter first, with the marker of the second operand: embedding and embedding_b."""
    shorter, longer = sorted((m.name.removesuffix(".weight") for m in embeddings), key=len)
    return [(shorter, longer, end) for end in ("_b", "2", "_2", "_y", "_second")]


def _one_hot_entrance(first: Tensor, n_classes: int) -> tuple[MLPConfig, dict[str, Tensor]]:
    """The first layer on one-hot vectors is an embedding; on concatenated ones it is one embedding per operand."""
    if first.shape[1] == 2 * n_classes:
        config = MLPConfig(d_vocab=n_classes, inputs="one_hot", embeddings="separate")
        return config, {"embed.W_E": first.mT[:n_classes], "embed_b.W_E": first.mT[n_classes:]}
    if first.shape[1] == n_classes:
        return MLPConfig(d_vocab=n_classes, inputs="one_hot"), {"embed.W_E": first.mT}
    raise RefusedError(
        f"it has no embedding, and its first layer takes {first.shape[1]} inputs, which are neither the "
        f"{n_classes} symbols nor twice as many"
    )


OUTPUT = re.compile(r"unemb|out|head|logit|final|decoder|classif|readout")


def _is_embedding(module: Module) -> bool:
    return "emb" in module.name.lower() and "unemb" not in module.name.lower()
