"""Changes of a network that must not change a measure, because they leave alone what the measure is about.

Each is a function from a `Snapshot` to the snapshot of the changed network. The keys of the two are in the same
order, so that values of a measure per key can be compared position by position.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from math import gcd
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mechgrok.errors import UndefinedMetricError
from mechgrok.measures.snapshot import Snapshot
from mechgrok.models.protocol import HookedModel
from mechgrok.registry import Registry
from mechgrok.tasks import as_operation

INVARIANCES: Registry[Callable[[Snapshot], Snapshot]] = Registry("invariance")
"""Changes of a network, by name, that some measures ignore. A change raises `UndefinedMetricError` for a network or a
task that cannot be changed in this way."""

RESIDUAL: dict[str, int] = {
    **dict.fromkeys(("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out"), -1),
    **dict.fromkeys(("W_Q", "W_K", "W_V", "W_in", "W_gate", "W_U"), -2),
}
"""The axis of each parameter of a transformer that lies in the residual stream."""
HEADS = ("W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V", "W_O")
"""The parameters whose first axis runs over the heads."""
SCALES = torch.tensor([0.25, 0.5, 2.0, 4.0], dtype=torch.float64)
"""Powers of 2, so that nothing is rounded."""


def all_but(*names: str) -> tuple[str, ...]:
    """All of mechgrok's invariances except the given ones.

    >>> all_but("order of neurons", "scale of neurons", "rotation of the residual stream")
    ('shift of logits', 'scale of logits', 'relabelled frequencies', 'shifted operands')
    """
    return tuple(name for name in INVARIANCES if INVARIANCES.is_ours(name) and name not in names)


@INVARIANCES.add("shift of logits")
def shift_logits(snapshot: Snapshot) -> Snapshot:
    """A number is added to all logits of an input, a different one for each input."""
    weights = _untied(snapshot)
    added = _random(weights["unembed.W_U"][:, :1])
    return _changed(snapshot, {"unembed.W_U": weights["unembed.W_U"] + added})


@INVARIANCES.add("scale of logits")
def scale_logits(snapshot: Snapshot) -> Snapshot:
    """All logits are multiplied by 4."""
    weights = _untied(snapshot)
    return _changed(snapshot, {n: 4 * w for n, w in weights.items() if n in ("unembed.W_U", "unembed.b_U")})


@INVARIANCES.add("order of neurons")
def reorder_neurons(snapshot: Snapshot) -> Snapshot:
    """The neurons and heads of each layer are permuted."""
    weights = _weights(snapshot)
    changed: dict[str, Tensor] = {}
    for axes in _neuron_axes(snapshot.model, weights):
        for name, axis in axes.items():
            changed[name] = changed.get(name, weights[name]).flip(axis)
    for name, weight in weights.items():
        if _role(name) in HEADS and ".attn." in name:
            changed[name] = weight.flip(0)
    if not changed:
        raise UndefinedMetricError("the network has neither neurons nor heads")
    return _changed(snapshot, changed)


@INVARIANCES.add("scale of neurons")
def scale_neurons(snapshot: Snapshot) -> Snapshot:
    """Each ReLU neuron is multiplied by a positive number, and its output weights are divided by it."""
    weights, cfg = _weights(snapshot), snapshot.model.cfg
    layers = _neuron_axes(snapshot.model, weights)
    if not layers or cfg.act_fn != "relu" or getattr(cfg, "gated_mlp", False):
        raise UndefinedMetricError("only neurons with ReLU and without a gate can be scaled")
    if any(_role(name) == "W_E" for axes in layers for name in axes):
        raise UndefinedMetricError(
            "the embedding writes to the neurons itself, and would be scaled with them"
        )
    changed: dict[str, Tensor] = {}
    for axes in layers:
        for name, axis in axes.items():
            weight = changed.get(name, weights[name])
            scales = SCALES.repeat(weight.shape[axis])[: weight.shape[axis]].to(weight)
            scales = scales if axis == -1 else 1 / scales[:, None]
            changed[name] = weight * scales
    return _changed(snapshot, changed)


@INVARIANCES.add("rotation of the residual stream")
def rotate_residual(snapshot: Snapshot) -> Snapshot:
    """The residual stream of a transformer without norms is rotated by an orthogonal matrix."""
    weights, cfg = _weights(snapshot), snapshot.model.cfg
    if not _attends(weights) or cfg.normalization is not None:
        raise UndefinedMetricError("only the residual stream of a transformer without norms can be rotated")
    turned = torch.linalg.qr(_random(torch.empty(cfg.d_model, cfg.d_model, dtype=torch.float64))).Q
    axes = {name: RESIDUAL[_role(name)] for name in weights if _role(name) in RESIDUAL}
    rotated = {name: _along(weights[name], axis, turned.to(weights[name])) for name, axis in axes.items()}
    return _changed(snapshot, rotated)


@INVARIANCES.add("relabelled frequencies")
def relabel_frequencies(snapshot: Snapshot) -> Snapshot:
    """In a cyclic group, element ux takes the place of x, for a unit u, so that a key k becomes uk."""
    n = _order_of_cycle(snapshot)
    u = next((u for u in range(2, n - 1) if gcd(u, n) == 1), n - 1)
    labels = snapshot.frame.basis.labels
    at = [u * (1 + labels.index(key)) for key in snapshot.found or ()]
    new = None if snapshot.found is None else tuple(labels[min(k % n, -k % n) - 1] for k in at)
    elements = torch.arange(n)
    return replace(_renamed(snapshot, u * elements % n, u * elements % n), found=new)


@INVARIANCES.add("shifted operands")
def shift_operands(snapshot: Snapshot) -> Snapshot:
    """In a cyclic group, operand x+1 takes the place of x, and answers shift accordingly."""
    n = _order_of_cycle(snapshot)
    elements, results = torch.arange(n), snapshot.frame.results
    moved = int(results[1 % n, 1 % n] - results[0, 0])
    return _renamed(snapshot, (elements + 1) % n, (elements + moved) % n)


def _renamed(snapshot: Snapshot, operands: Int[Tensor, " order"], answers: Int[Tensor, " order"]) -> Snapshot:
    """The network in which element x acts as operands[x] did, and answer z is given where answers[z] was."""
    task, frame, weights = as_operation(snapshot.task), snapshot.frame, _untied(snapshot)
    if any(slot.endswith("'") for slot in task.slots):
        raise UndefinedMetricError("the second operand has tokens of its own")
    if "embed.W_E" not in weights:
        raise UndefinedMetricError("tokens are not embedded by a matrix that could be reordered")
    tokens, classes = torch.arange(task.n_symbols), torch.arange(task.n_classes)
    tokens[frame.tokens] = frame.tokens[operands]
    classes[frame.classes] = frame.classes[answers]
    a, b = tokens[task.operands].T
    row = torch.full((task.n_symbols, task.n_symbols), -1)
    row[tuple(task.operands.T)] = torch.arange(task.n_inputs)
    rows = row[a, b]
    if not torch.equal(task.labels[rows], classes[task.labels]):
        raise UndefinedMetricError(f"{task.name} is another operation after its elements are renamed")
    changed = {
        name: weight[_extended(tokens, len(weight))]
        for name, weight in weights.items()
        if _role(name) == "W_E"
    }
    for name in ("unembed.W_U", "unembed.b_U"):
        if name in weights:
            changed[name] = weights[name][..., _extended(classes, weights[name].shape[-1])]
    split = snapshot.split and replace(snapshot.split, train=snapshot.split.train[rows])
    return replace(_changed(snapshot, changed), split=split)


def _extended(numbers: Tensor, n: int) -> Tensor:
    """A permutation of the first numbers, with those after them left in place."""
    return torch.cat([numbers, torch.arange(len(numbers), n)])


def _order_of_cycle(snapshot: Snapshot) -> int:
    frame = snapshot.frame
    if frame.basis.what != "frequency" or not frame.is_operation:
        raise UndefinedMetricError("only operations in a cyclic group have frequencies and shifts")
    return frame.order


def _weights(snapshot: Snapshot) -> dict[str, Tensor]:
    """The parameters by name of one of mechgrok's own networks: for others it is unknown what each parameter does.

    Raises:
        UndefinedMetricError: it is some other network.
    """
    if getattr(snapshot.model.cfg, "kind", None) not in ("transformer", "mlp", "dense"):
        raise UndefinedMetricError("only networks of mechgrok's own classes can be changed")
    return {name: weight.detach() for name, weight in snapshot.model.named_parameters()}


def _untied(snapshot: Snapshot) -> dict[str, Tensor]:
    weights = _weights(snapshot)
    if "unembed.W_U" not in weights:
        raise UndefinedMetricError("the embedding is the read-out too, and cannot be changed apart from it")
    return weights


def _changed(snapshot: Snapshot, weights: Mapping[str, Tensor]) -> Snapshot:
    """The snapshot of a network with some other weights."""
    model: Any = deepcopy(snapshot.model)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, weight in weights.items():
            parameters[name].copy_(weight)
    return replace(snapshot, model=model, _known={})


def _neuron_axes(model: HookedModel, weights: Mapping[str, Tensor]) -> list[dict[str, int]]:
    """The axis over the neurons of each layer: -1 in their input weights, -2 in their output weights."""
    blocks = [f"blocks.{i}.mlp." for i in range(getattr(model.cfg, "n_layers", 1))]
    attends = _attends(weights)
    if attends:
        fed, written = ("W_in", "W_gate", "b_in"), [(f"{block}W_out",) for block in blocks]
    else:
        fed = ("W_in", "b_in")
        last = ("unembed.W_out",) if "unembed.W_out" in weights else ("unembed.W_U",)
        written = [*((f"{block}W_in",) for block in blocks[1:]), last]
    found = [
        {f"{block}{name}": -1 for name in fed} | dict.fromkeys(out, -2)
        for block, out in zip(blocks, written, strict=True)
    ]
    if not attends and "blocks.0.mlp.W_in" not in weights:
        found[0] |= {"embed.W_E": -1, "embed_b.W_E": -1}
    kept = [{name: axis for name, axis in axes.items() if name in weights} for axes in found]
    return [axes for axes in kept if axes]


def _attends(weights: Mapping[str, Tensor]) -> bool:
    """Whether they are those of a transformer."""
    return any(".attn." in name for name in weights)


def _role(name: str) -> str:
    return name.rpartition(".")[2]


def _along(weight: Tensor, axis: int, matrix: Tensor) -> Tensor:
    return (weight.movedim(axis, -1) @ matrix).movedim(-1, axis)


def _random(like: Tensor) -> Tensor:
    """Normal numbers, the same ones at each call."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)


CONFIDENCE = all_but("scale of logits")
"""Invariances of a loss or a margin."""
