"""One block of a transformer of torch modules, with its weights under TransformerLens's names and in its shapes."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from mechgrok.models.layouts.modules import Module, bare, fused_order, in_order, letter_of
from mechgrok.models.layouts.refusals import RefusedError

State = dict[str, Tensor]
FIRST_NORM = re.compile(
    r"(ln|norm|layernorm|layer_norm|rmsnorm)_?(1|a|attn|attention|sa|one)$|^(input|pre|self)?_?(self_)?(attn|attention|sa|mha|msa|input)_?"
    r"(layer_?norm|rms_?norm|ln|norm)|^(input|pre_attn|pre_attention)_(layer_?norm|norm|ln)|^(norm|ln)_(attn|attention|sa|mha)$"
)
SECOND_NORM = re.compile(
    r"(ln|norm|layernorm|layer_norm|rmsnorm)_?(2|b|mlp|ffn?|two)$|^(pre_)?(mlp|ffn?|feed_?forward|final|post_attention)_?"
    r"(layer_?norm|rms_?norm|ln|norm)|^(norm|ln)_(mlp|ffn?)$"
)
GATE = {"gate", "w_gate", "gate_proj", "wg", "fc_gate", "linear_gate", "gate_fc"}
UP = {
    "up",
    "up_proj",
    "w_up",
    "fc_up",
    "in",
    "w_in",
    "fc_in",
    "c_fc",
    "fc",
    "fc1",
    "fc_1",
    "w1",
    "w_1",
    "l1",
    "lin1",
    "lin_1",
    "linear1",
    "linear_1",
    "dense1",
    "dense_1",
    "dense_h_to_4h",
    "wi",
    "proj_in",
    "in_proj",
    "expand",
    "intermediate",
    "input",
    "layer1",
    "layer_1",
    "proj1",
    "proj_1",
    "lin_in",
    "linear_in",
    "hidden",
    "conv1",
    "mlp_in",
    "mlp1",
    "ff1",
    "ffn1",
    "ff_1",
    "project_in",
    "to_hidden",
    "fc_expand",
}
DOWN = {
    "down",
    "down_proj",
    "w_down",
    "fc_down",
    "out",
    "w_out",
    "fc_out",
    "c_proj",
    "fc2",
    "fc_2",
    "w2",
    "w_2",
    "l2",
    "lin2",
    "lin_2",
    "linear2",
    "linear_2",
    "dense2",
    "dense_2",
    "dense_4h_to_h",
    "wo",
    "proj_out",
    "out_proj",
    "contract",
    "output",
    "layer2",
    "layer_2",
    "proj2",
    "proj_2",
    "lin_out",
    "linear_out",
    "conv2",
    "mlp_out",
    "mlp2",
    "ff2",
    "ffn2",
    "ff_2",
    "project_out",
    "from_hidden",
    "fc_contract",
    "proj",
}


class StoredBlock:
    """The modules of one block, read for a width of d_model and a number of heads.

    Args:
        conv: whether matrices are stored [inputs, outputs] throughout, as in GPT-2.
        granted: receives what was taken for granted.
    """

    def __init__(
        self, modules: Sequence[Module], d_model: int, n_heads: int, *, conv: bool, granted: set[str]
    ) -> None:
        self.d_model, self.n_heads, self.conv, self.granted = d_model, n_heads, conv, granted
        self.norms = [m for m in modules if m.is_norm]
        attention = [m for m in modules if not m.is_norm and is_attention(m)]
        self.mlp = [m for m in modules if not m.is_norm and not is_attention(m)]
        self.attention = attention

    def state(self) -> State:
        """All weights of the block.

        Raises:
            RefusedError: something fits in no way, or in two.
        """
        return self._attention() | self._norms() | self._mlp()

    def matrix(self, module: Module, d_in: int, d_out: int) -> Tensor:
        """A matrix as ours, [inputs, outputs]."""
        w, shape = module.weight, tuple(module.weight.shape)
        if module.exact or module.kind == "kernel" or (self.conv and module.kind == "linear"):
            fits, turned = shape == (d_in, d_out), False
        elif module.kind == "linear":
            fits, turned = shape == (d_out, d_in), True
        elif d_in == d_out and shape == (d_in, d_out):
            raise RefusedError(
                f"{module.name} {shape} is square and no torch module's weight: x @ W and x @ W.T both fit. "
                f"Say it with rename={{{module.name!r}: ...}}: a name of TransformerLens, as 'blocks.0.mlp.W_in', is "
                "[inputs, outputs], and one that ends in '.weight' is [outputs, inputs]"
            )
        else:
            fits, turned = shape in ((d_in, d_out), (d_out, d_in)), shape == (d_out, d_in)
        if not fits:
            raise RefusedError(
                f"{module.name} {shape} does not lead from {d_in} to {d_out} values, as its name or its place say; say "
                "what it is with rename={...}"
            )
        return w.mT if turned else w

    def _attention(self) -> State:
        fused = [m for m in self.attention if fused_order(m)]
        if len(fused) > 1:
            raise RefusedError(
                f"{' and '.join(m.name for m in fused)} both look like fused queries, keys and values"
            )
        out = self._fused(fused[0]) if fused else self._separate()
        rest = [m for m in self.attention if m not in fused and letter_of(m) not in ("Q", "K", "V")]
        if len(rest) != 1:
            names = ", ".join(m.name for m in rest) or "none"
            raise RefusedError(
                f"one output projection of attention is expected, found {names}; say it with rename={{...}}"
            )
        width = out["attn.W_Q"].shape[2] * out["attn.W_Q"].shape[0]
        return out | self._output(rest[0], width)

    def _fused(self, module: Module) -> State:
        width = module.weight.numel() // self.d_model // 3
        self._check_heads(width)
        if module.part == "query_key_value" or (module.part == "qkv_proj" and self.n_heads > 1):
            raise RefusedError(
                f"{module.name} may hold all queries, then all keys, then all values, or these three for each head in "
                "turn: code that uses this name does either. For the first say "
                f"rename={{{module.name!r}: '....qkv.weight'}}; for the second, take it apart"
            )
        matrix = self.matrix(module, self.d_model, 3 * width)
        order = fused_order(module) or ""
        if self.n_heads > 1 and module.part != "in_proj":
            self.granted.add(f"{module.part} holds all {', then all '.join(order)}")
        out = {f"attn.W_{x}": self._heads(w) for x, w in zip(order, matrix.chunk(3, dim=-1), strict=True)}
        if module.bias is not None:
            for letter, bias in zip(order, module.bias.chunk(3), strict=True):
                out[f"attn.b_{letter}"] = bias.reshape(self.n_heads, -1)
        return out

    def _separate(self) -> State:
        out: State = {}
        for letter in "QKV":
            found = [m for m in self.attention if letter_of(m) == letter]
            if not found:
                raise RefusedError(
                    f"no tensor looks like the W_{letter} of its attention; say which with rename={{...}}"
                )
            weight, bias = self._one_head_each(found) if "heads" in found[0].path else self._one(found)
            out[f"attn.W_{letter}"] = weight
            if bias is not None:
                out[f"attn.b_{letter}"] = bias
        return out

    def _one(self, found: list[Module]) -> tuple[Tensor, Tensor | None]:
        if len(found) > 1:
            raise RefusedError(
                f"{' and '.join(m.name for m in found)} both look like the same part of attention"
            )
        module = found[0]
        bias = None if module.bias is None else module.bias.reshape(self.n_heads, -1)
        if module.weight.ndim == 3:
            return self._three_axes(module), bias
        width = module.weight.numel() // self.d_model
        self._check_heads(width)
        return self._heads(self.matrix(module, self.d_model, width)), bias

    def _one_head_each(self, found: list[Module]) -> tuple[Tensor, Tensor | None]:
        """A module for each head, in a list."""
        ordered = list(in_order(found, "the heads"))
        per_head = [self.matrix(m, self.d_model, m.weight.numel() // self.d_model) for m in ordered]
        biases = [m.bias for m in ordered if m.bias is not None]
        return torch.stack(per_head), torch.stack(biases) if biases else None

    def _three_axes(self, module: Module) -> Tensor:
        """Heads apart: [head, d_model, d_head], or [head, d_head, d_model]."""
        heads, first, second = module.weight.shape
        if module.exact or (first == self.d_model and second != self.d_model):
            return module.weight
        if second == self.d_model and first != self.d_model:
            return module.weight.mT
        raise RefusedError(
            f"{module.name} {(heads, first, second)} has heads of which neither or each side is as wide as the "
            f"residual stream, {self.d_model}; say rename={{{module.name!r}: 'blocks.0.attn.W_Q'}}, or what it is, for "
            "[head, d_model, d_head]"
        )

    def _output(self, module: Module, width: int) -> State:
        w = module.weight
        if w.ndim == 3:
            d_head = width // w.shape[0]
            if w.shape[1:] != (d_head, self.d_model) or (d_head == self.d_model and not module.exact):
                raise RefusedError(f"{module.name} {tuple(w.shape)} is not [head, d_head, d_model]")
            heads = w
        else:
            heads = self.matrix(module, width, self.d_model).reshape(self.n_heads, -1, self.d_model)
        bias = {} if module.bias is None else {"attn.b_O": module.bias}
        return {"attn.W_O": heads} | bias

    def _check_heads(self, width: int) -> None:
        if width % self.n_heads:
            raise RefusedError(f"{self.n_heads} heads do not divide a width of {width}")

    def _heads(self, matrix: Tensor) -> Tensor:
        """[d_model, heads * d_head] as [head, d_model, d_head]."""
        return matrix.reshape(self.d_model, self.n_heads, -1).permute(1, 0, 2)

    def _norms(self) -> State:
        wanted = 2 if self.mlp else 1
        if not self.norms:
            return {}
        if len(self.norms) != wanted:
            names = ", ".join(m.name for m in self.norms)
            raise RefusedError(
                f"a block has {len(self.norms)} norms with weights ({names}); only {wanted}, one for each sublayer, "
                "can be represented"
            )
        out: State = {}
        for i, module in enumerate(self._norms_in_order(), start=1):
            out[f"ln{i}.w"] = module.weight
            if module.bias is not None:
                out[f"ln{i}.b"] = module.bias
        return out

    def _norms_in_order(self) -> list[Module]:
        first = [m for m in self.norms if self._is_first(m)]
        second = [m for m in self.norms if m not in first and self._is_second(m)]
        if len(first) == 1 and len(second) == len(self.norms) - 1:
            return [*first, *second]
        if len(self.norms) == 1:
            return self.norms
        if len(first) == 1 or len(second) == 1:
            rest = [m for m in self.norms if m not in (first or second)]
            return [*first, *rest] if first else [*rest, *second]
        return list(in_order(self.norms, "the norms"))

    def _is_first(self, module: Module) -> bool:
        return any(FIRST_NORM.search(part) for part in module.path) or (
            module.in_attention and not self._is_second(module)
        )

    def _is_second(self, module: Module) -> bool:
        within = any(re.match(r"mlp|ff|feed", part) for part in module.path[:-1])
        return within or any(SECOND_NORM.search(part) for part in module.path)

    def _mlp(self) -> State:
        if not self.mlp:
            return {}
        gate, up, down = self._mlp_parts()
        d_mlp = down.weight.numel() // self.d_model
        out = {
            "mlp.W_in": self.matrix(up, self.d_model, d_mlp),
            "mlp.W_out": self.matrix(down, d_mlp, self.d_model),
        }
        if gate is not None:
            out["mlp.W_gate"] = self.matrix(gate, self.d_model, d_mlp)
            for module in (gate, up):
                if module.bias is not None and bool(module.bias.any()):
                    raise RefusedError(
                        f"{module.bias_name} is a bias before the gate, which cannot be represented"
                    )
        elif up.bias is not None:
            out["mlp.b_in"] = up.bias
        if down.bias is not None:
            out["mlp.b_out"] = down.bias
        return out

    def _mlp_parts(self) -> tuple[Module | None, Module, Module]:
        names = [m.name for m in self.mlp]
        if any(m.weight.ndim != 2 for m in self.mlp) or len(self.mlp) not in (2, 3):
            raise RefusedError(
                f"a block has the linear layers {', '.join(names)}; only one hidden layer, with a gate or "
                "without, can be represented"
            )
        return self._gated() if len(self.mlp) == 3 else (None, *self._plain())

    def _gated(self) -> tuple[Module, Module, Module]:
        by_part = {m.part: m for m in self.mlp}
        gates = [m for m in self.mlp if m.part in GATE]
        if {"w1", "w2", "w3"} == by_part.keys():
            # As LLaMA calls them; where the third is the way back, the gate may be either of the others.
            gates = (
                [by_part["w1"]]
                if self._leads_back(by_part["w2"]) and not self._leads_back(by_part["w3"])
                else []
            )
        rest = [m for m in self.mlp if m not in gates]
        ups = [m for m in rest if m.part in UP - {"w1", "w2"} or m.part == "w3"]
        downs = [m for m in rest if m not in ups and (m.part in DOWN or self._leads_back(m))]
        if len(gates) != 1 or len(ups) != 1 or len(downs) != 1:
            names = ", ".join(m.name for m in self.mlp)
            raise RefusedError(
                f"{names} may be a gated MLP or two hidden layers, and which is the gate is not told; say it with "
                "rename={...} and the names mlp.gate.weight, mlp.up.weight, mlp.down.weight in the block"
            )
        return gates[0], ups[0], downs[0]

    def _leads_back(self, module: Module) -> bool:
        inputs = module.weight.shape[0] if self.conv or module.kind == "kernel" else module.weight.shape[1]
        return inputs != self.d_model

    def _plain(self) -> tuple[Module, Module]:
        a, b = self.mlp
        for first, second in ((a, b), (b, a)):
            if first.part in UP and second.part in DOWN and not (first.part in DOWN and second.part in UP):
                return first, second
        if a.kind == b.kind == "linear" and a.weight.shape != b.weight.shape:
            return (b, a) if self._leads_back(a) else (a, b)
        if a.part in UP or b.part in DOWN:
            return a, b
        if b.part in UP or a.part in DOWN:
            return b, a
        first, second = in_order([a, b], "the linear layers of the MLP")
        return first, second


def is_attention(module: Module) -> bool:
    """Whether a module belongs to attention, by the names in its path or by its own."""
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
