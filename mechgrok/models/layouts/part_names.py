"""Usual meanings of the names of modules in a block."""

import re

from mechgrok.models.layouts.modules import Module, bare, fused_order

FIRST_NORM = re.compile(
    r"(ln|norm|layernorm|layer_norm|rmsnorm)_?(1|a|attn|attention|sa|one)$|^(input|pre|self)?_?(self_)?(attn|attention|sa|mha|msa|input)_?"
    r"(layer_?norm|rms_?norm|ln|norm)|^(input|pre_attn|pre_attention)_(layer_?norm|norm|ln)|^(norm|ln)_(attn|attention|sa|mha)$"
)
"""Names of the norm of attention."""
SECOND_NORM = re.compile(
    r"(ln|norm|layernorm|layer_norm|rmsnorm)_?(2|b|mlp|ffn?|two)$|^(pre_)?(mlp|ffn?|feed_?forward|final|post_attention)_?"
    r"(layer_?norm|rms_?norm|ln|norm)|^(norm|ln)_(mlp|ffn?)$"
)
"""Names of the norm of the MLP."""
GATE = frozenset(("gate", "w_gate", "gate_proj", "wg", "fc_gate", "linear_gate", "gate_fc"))
UP = frozenset({
    "up", "up_proj", "w_up", "fc_up", "in", "w_in", "fc_in", "c_fc", "fc", "fc1", "fc_1", "w1", "w_1", "l1",
    "lin1", "lin_1", "linear1", "linear_1", "dense1", "dense_1", "dense_h_to_4h", "wi", "proj_in", "in_proj",
    "expand", "intermediate", "input", "layer1", "layer_1", "proj1", "proj_1", "lin_in", "linear_in",
    "hidden", "conv1", "mlp_in", "mlp1", "ff1", "ffn1", "ff_1", "project_in", "to_hidden", "fc_expand",
})  # fmt: skip
DOWN = frozenset({
    "down", "down_proj", "w_down", "fc_down", "out", "w_out", "fc_out", "c_proj", "fc2", "fc_2", "w2", "w_2",
    "l2", "lin2", "lin_2", "linear2", "linear_2", "dense2", "dense_2", "dense_4h_to_h", "wo", "proj_out",
    "out_proj", "contract", "output", "layer2", "layer_2", "proj2", "proj_2", "lin_out", "linear_out",
    "conv2", "mlp_out", "mlp2", "ff2", "ffn2", "ff_2", "project_out", "from_hidden", "fc_contract", "proj",
})  # fmt: skip
"""The three linear layers of an MLP: the one with the activation function (the gate), into the MLP, out of it."""


def is_attention(module: Module) -> bool:
    """Whether a module belongs to attention, by the names in its path or its own name."""
    if fused_order(module) and module.part != "in_proj":
        return True
    telling = [part for part in module.path if not part.isdigit()]
    nested = any(re.match(r"mlp|ffn?$|feed_?forward", part) for part in telling)
    if nested:
        return False
    return (
        module.in_attention
        or bare(module.part) in ("q", "k", "v", "o", "query", "key", "value")
        or fused_order(module) is not None
    )
