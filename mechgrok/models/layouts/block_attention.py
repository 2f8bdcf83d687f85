"""The attention of one block of torch modules: queries, keys and values, and their heads, fused or separate."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mechgrok.models.layouts.modules import Module, fused_order, in_order, letter_of
from mechgrok.models.layouts.refusals import RefusedError
from mechgrok.models.layouts.sides import Sides, State


class AttentionPart:
    """The attention modules of a block.

    Args:
        granted: receives the assumptions made.
    """

    def __init__(self, modules: Sequence[Module], sides: Sides, granted: set[str]) -> None:
        self.modules, self.sides, self.granted = modules, sides, granted

    def state(self) -> State:
        """Its weights, with separate heads.

        Raises:
            RefusedError: something fits in no way, or in two ways.
        """
        fused = [m for m in self.modules if fused_order(m)]
        if len(fused) > 1:
            raise RefusedError(
                f"{' and '.join(m.name for m in fused)} both look like fused queries, keys and values"
            )
        out = self._fused(fused[0]) if fused else self._separate()
        rest = [m for m in self.modules if m not in fused and letter_of(m) not in ("Q", "K", "V")]
        if len(rest) != 1:
            names = ", ".join(m.name for m in rest) or "none"
            raise RefusedError(
                f"one output projection of attention is expected, found {names}; say it with rename={{...}}"
            )
        width = out["attn.W_Q"].shape[2] * out["attn.W_Q"].shape[0]
        return out | self._output(rest[0], width)

    def _fused(self, module: Module) -> State:
        width = module.weight.numel() // self.sides.d_model // 3
        self._check_heads(width)
        if module.part == "qkv_proj" and self.sides.n_heads > 1:
            raise RefusedError(
                f"{module.name} may hold all queries, then all keys, then all values, or these three for each head in "
                "turn: code that uses this name does either. For the first say "
                f"rename={{{module.name!r}: '....qkv.weight'}}; for the second, take it apart"
            )
        matrix = self.sides.matrix(module, self.sides.d_model, 3 * width)
        order = fused_order(module) or ""
        if self.sides.n_heads > 1 and module.part != "in_proj":
            self.granted.add(f"{module.part} holds all {', then all '.join(order)}")
        out = {f"attn.W_{x}": self._heads(w) for x, w in zip(order, matrix.chunk(3, dim=-1), strict=True)}
        if module.bias is not None:
            for letter, bias in zip(order, module.bias.chunk(3), strict=True):
                out[f"attn.b_{letter}"] = bias.reshape(self.sides.n_heads, -1)
        return out

    def _separate(self) -> State:
        out: State = {}
        for letter in "QKV":
            found = [m for m in self.modules if letter_of(m) == letter]
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
        bias = None if module.bias is None else module.bias.reshape(self.sides.n_heads, -1)
        if module.weight.ndim == 3:
            return self._three_axes(module), bias
        width = module.weight.numel() // self.sides.d_model
        self._check_heads(width)
        return self._heads(self.sides.matrix(module, self.sides.d_model, width)), bias

    def _one_head_each(self, found: list[Module]) -> tuple[Tensor, Tensor | None]:
        """One module per head, in a list."""
        ordered = list(in_order(found, "the heads"))
        per_head = [
            self.sides.matrix(m, self.sides.d_model, m.weight.numel() // self.sides.d_model) for m in ordered
        ]
        biases = [m.bias for m in ordered if m.bias is not None]
        return torch.stack(per_head), torch.stack(biases) if biases else None

    def _three_axes(self, module: Module) -> Tensor:
        """Separate heads: [head, d_model, d_head], or [head, d_head, d_model]."""
        heads, first, second = module.weight.shape
        if module.exact or (first == self.sides.d_model and second != self.sides.d_model):
            return module.weight
        if second == self.sides.d_model and first != self.sides.d_model:
            return module.weight.mT
        raise RefusedError(
            f"{module.name} {(heads, first, second)} has heads of which neither or each side is as wide as the "
            f"residual stream, {self.sides.d_model}; say rename={{{module.name!r}: 'blocks.0.attn.W_Q'}}, or what it "
            "is, for [head, d_model, d_head]"
        )

    def _output(self, module: Module, width: int) -> State:
        w = module.weight
        if w.ndim == 3:
            d_head = width // w.shape[0]
            if w.shape[1:] != (d_head, self.sides.d_model) or (
                d_head == self.sides.d_model and not module.exact
            ):
                raise RefusedError(f"{module.name} {tuple(w.shape)} is not [head, d_head, d_model]")
            heads = w
        else:
            heads = self.sides.matrix(module, width, self.sides.d_model).reshape(
                self.sides.n_heads, -1, self.sides.d_model
            )
        bias = {} if module.bias is None else {"attn.b_O": module.bias}
        return {"attn.W_O": heads} | bias

    def _check_heads(self, width: int) -> None:
        if width % self.sides.n_heads:
            raise RefusedError(f"{self.sides.n_heads} heads do not divide a width of {width}")

    def _heads(self, matrix: Tensor) -> Tensor:
        """[d_model, heads * d_head] as [head, d_model, d_head]."""
        return matrix.reshape(self.sides.d_model, self.sides.n_heads, -1).permute(1, 0, 2)
