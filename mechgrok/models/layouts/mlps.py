"""Feed-forward networks on two operands: those of three papers, and plain torch modules."""

import re
from collections.abc import Mapping

from torch import Tensor

from mechgrok.config import MLPConfig
from mechgrok.models.layouts.source import Converted, Layout, RefusedError, Source, has_shape
from mechgrok.models.layouts.zhong import activation_of, task_of


def _is_chughtai(source: Source) -> bool:
    return {"W_x", "W_y", "W_U"} <= source.tensors.keys()


def _from_chughtai(source: Source) -> Converted:
    """Released code of Chughtai et al. 2023: relu([W_x[x], W_y[y]] @ W) @ W_U, no biases."""
    tensors = dict(source.tensors)
    if "W" not in tensors:
        raise RefusedError(
            "it is their bilinear network, which multiplies the embeddings; that cannot be represented"
        )
    config = MLPConfig(
        d_vocab=tensors["W_x"].shape[0],
        d_vocab_out=tensors["W_U"].shape[1],
        embeddings="separate",
        combine="concat",
        d_embed=tensors["W_x"].shape[1],
        d_mlp=tensors["W"].shape[1],
        mlp_bias=False,
        init="fan_in",
    )
    names = {"W_x": "embed.W_E", "W_y": "embed_b.W_E", "W": "blocks.0.mlp.W_in", "W_U": "unembed.W_U"}
    return Converted(config, {names.get(name, name): tensor for name, tensor in tensors.items()})


def _is_linearformer(source: Source) -> bool:
    return has_shape(source, "blocks.0.W_in", 2) and has_shape(source, "embed.W_E", 2)


def _from_linearformer(source: Source) -> Converted:
    """The option use_linear of Zhong et al. 2023: embeddings side by side, then square hidden layers."""
    tensors = source.tensors
    d_embed, d_vocab = tensors["embed.W_E"].shape
    d_mlp = tensors["blocks.0.W_in"].shape[0]
    if d_mlp // 2 != d_embed:
        raise RefusedError(f"it puts {d_mlp // d_embed} tokens side by side; only two can be represented")
    state = {"embed.W_E": tensors["embed.W_E"].mT, "unembed.W_U": tensors["unembed.W_U"]}
    layers = sorted(int(name.split(".")[1]) for name in tensors if name.endswith(".W_in"))
    for i in layers:
        matrix = tensors[f"blocks.{i}.W_in"].mT
        # An odd width leaves one input, which their code fills with zero.
        state[f"blocks.{i}.mlp.W_in"] = matrix if i else matrix[: 2 * d_embed]
        state[f"blocks.{i}.mlp.b_in"] = tensors[f"blocks.{i}.b_in"]
    config = MLPConfig(
        d_vocab=d_vocab,
        d_vocab_out=tensors["unembed.W_U"].shape[1],
        combine="concat",
        d_embed=d_embed,
        d_mlp=d_mlp,
        n_layers=len(layers),
        act_fn=activation_of(source),
    )
    return Converted(config, state, task_of(source, d_vocab))


PIZZA_LINEAR = re.compile(r"(embed[12]?|unembed)\.weight|l[12]\.(weight|bias)")
SUMMED_ONCE, SUMMED_TWICE = "B", "C"


def _is_pizza_linear(source: Source) -> bool:
    needed = "l1.weight" in source.tensors and "unembed.weight" in source.tensors
    return needed and all(PIZZA_LINEAR.fullmatch(name) for name in source.tensors)


def _from_pizza_linear(source: Source) -> Converted:
    """The linear models A (alpha), B (beta), C (gamma), D (delta), X (alpha') of Zhong et al. 2023."""
    letter = source.settings.get("model_type")
    undecided = "l2.weight" in source.tensors and "bias_per_operand" not in source.known
    if undecided and letter not in (SUMMED_ONCE, SUMMED_TWICE):
        raise RefusedError(
            "the tensors of the models B (beta) and C (gamma) are alike, though C adds the first bias twice: "
            "put the author's config_<id>.json beside the file, or say "
            "config=MLPConfig(bias_per_operand=...), False for B and True for C"
        )
    converted = _from_torch(source)
    config = converted.config.replace(bias_per_operand=letter == SUMMED_TWICE)
    return Converted(config, converted.state, task_of(source, config.d_vocab))


def _is_torch(source: Source) -> bool:
    linear = [name for name in _matrices(source) if not _is_embedding(name)]
    return len(linear) > 1 and all(_is_part_of_linear(name, source) for name in source.tensors)


def _from_torch(source: Source) -> Converted:
    """Embeddings and linear layers of torch, whatever they are called; one-hot inputs without embeddings.

    The order of the layers follows from their names and must fit their shapes. The activation function, which
    no tensor tells, is taken to be the ReLU.
    """
    weights = _matrices(source)
    embeddings = [name for name in weights if _is_embedding(name)]
    linear = sorted(set(weights) - set(embeddings), key=_place)
    if len(embeddings) > 2:
        raise RefusedError(f"it has the embeddings {embeddings}; only one for each of two operands can be")
    widths = {weights[name].shape[0] for name in linear[:-1]}
    if len(widths) > 1:
        raise RefusedError(f"its hidden layers differ in width: {sorted(widths)}")
    config, state = _entrance(weights, embeddings, linear, source)
    for i, name in enumerate(linear[:-1]):
        if i or embeddings:
            state[f"blocks.{i}.mlp.W_in"] = weights[name].mT
        if bias := _bias(name, source):
            state[f"blocks.{i}.mlp.b_in"] = source.tensors[bias]
    state["unembed.W_U"] = weights[linear[-1]].mT
    if bias := _bias(linear[-1], source):
        state["unembed.b_U"] = source.tensors[bias]
    config = config.replace(
        d_vocab_out=weights[linear[-1]].shape[0],
        d_mlp=widths.pop(),
        n_layers=len(linear) - 1,
        mlp_bias="blocks.0.mlp.b_in" in state,
        unembed_bias="unembed.b_U" in state,
    )
    return Converted(config, state)


def _entrance(
    weights: Mapping[str, Tensor], embeddings: list[str], linear: list[str], source: Source
) -> tuple[MLPConfig, dict[str, Tensor]]:
    """From the tokens to the first hidden layer."""
    first = weights[linear[0]]
    if not embeddings:
        return _one_hot_entrance(first, weights[linear[-1]].shape[0])
    d_vocab, d_embed = weights[embeddings[0]].shape
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
    return config, {names[i]: weights[name] for i, name in enumerate(sorted(embeddings))}


def _one_hot_entrance(first: Tensor, n_classes: int) -> tuple[MLPConfig, dict[str, Tensor]]:
    """The first layer on one-hot vectors is an embedding; side by side it is one for each operand."""
    if first.shape[1] == 2 * n_classes:
        config = MLPConfig(d_vocab=n_classes, inputs="one_hot", embeddings="separate")
        return config, {"embed.W_E": first.mT[:n_classes], "embed_b.W_E": first.mT[n_classes:]}
    if first.shape[1] == n_classes:
        return MLPConfig(d_vocab=n_classes, inputs="one_hot"), {"embed.W_E": first.mT}
    raise RefusedError(
        f"it has no embedding, and its first layer takes {first.shape[1]} inputs, which are neither the "
        f"{n_classes} symbols nor twice as many"
    )


def _matrices(source: Source) -> dict[str, Tensor]:
    return {name: t for name, t in source.tensors.items() if name.endswith("weight") and t.ndim == 2}


def _is_part_of_linear(name: str, source: Source) -> bool:
    owner = re.sub(r"bias$", "weight", name)
    return owner in source.tensors and source.tensors[owner].ndim == 2


def _bias(weight: str, source: Source) -> str | None:
    name = re.sub(r"weight$", "bias", weight)
    return name if name in source.tensors else None


def _is_embedding(name: str) -> bool:
    return "emb" in name.lower() and "unemb" not in name.lower()


def _place(name: str) -> tuple[bool, list[str | int]]:
    """Sorts layers by the numbers in their names, and what speaks of the output to the end."""
    last = re.search(r"unemb|out|head|logit|final", name.lower()) is not None
    return last, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


MLPS = (
    Layout("chughtai", "an MLP of Chughtai et al. 2023's released code", _is_chughtai, _from_chughtai),
    Layout(
        "linearformer",
        "a use_linear network of Zhong et al. 2023's released code",
        _is_linearformer,
        _from_linearformer,
    ),
    Layout(
        "pizza_linear",
        "a linear model of Zhong et al. 2023's released code",
        _is_pizza_linear,
        _from_pizza_linear,
    ),
    Layout("torch_mlp", "a feed-forward network of torch modules", _is_torch, _from_torch),
)
