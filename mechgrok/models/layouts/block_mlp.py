"""The MLP of one block of torch modules, plain or gated: identify its linear layers."""

from collections.abc import Sequence

from mechgrok.models.layouts.modules import Module, in_order
from mechgrok.models.layouts.part_names import DOWN, GATE, UP
from mechgrok.models.layouts.refusals import RefusedError
from mechgrok.models.layouts.sides import Sides, State


class MLPPart:
    """The modules of an MLP."""

    def __init__(self, modules: Sequence[Module], sides: Sides) -> None:
        self.modules, self.sides = modules, sides

    def state(self) -> State:
        """Its weights.

        Raises:
            RefusedError: the layers cannot be identified; there are several hidden layers.
        """
        gate, up, down = self._parts()
        d_mlp = down.weight.numel() // self.sides.d_model
        out = {
            "mlp.W_in": self.sides.matrix(up, self.sides.d_model, d_mlp),
            "mlp.W_out": self.sides.matrix(down, d_mlp, self.sides.d_model),
        }
        if gate is not None:
            out["mlp.W_gate"] = self.sides.matrix(gate, self.sides.d_model, d_mlp)
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

    def _parts(self) -> tuple[Module | None, Module, Module]:
        names = [m.name for m in self.modules]
        if any(m.weight.ndim != 2 for m in self.modules) or len(self.modules) not in (2, 3):
            raise RefusedError(
                f"a block has the linear layers {', '.join(names)}; only one hidden layer, with a gate or "
                "without, can be represented"
            )
        return self._gated() if len(self.modules) == 3 else (None, *self._plain())

    def _gated(self) -> tuple[Module, Module, Module]:
        by_part = {m.part: m for m in self.modules}
        gates = [m for m in self.modules if m.part in GATE]
        if {"w1", "w2", "w3"} == by_part.keys():
            # LLaMA's names; if the third leads back to the stream, the gate may be either of the others.
            gates = (
                [by_part["w1"]]
                if self.sides.leads_back(by_part["w2"]) and not self.sides.leads_back(by_part["w3"])
                else []
            )
        rest = [m for m in self.modules if m not in gates]
        ups = [m for m in rest if m.part in UP - {"w1", "w2"} or m.part == "w3"]
        downs = [m for m in rest if m not in ups and (m.part in DOWN or self.sides.leads_back(m))]
        if len(gates) != 1 or len(ups) != 1 or len(downs) != 1:
            names = ", ".join(m.name for m in self.modules)
            raise RefusedError(
                f"{names} may be a gated MLP or two hidden layers, and which is the gate is not told; say it with "
                "rename={...} and the names mlp.gate.weight, mlp.up.weight, mlp.down.weight in the block"
            )
        return gates[0], ups[0], downs[0]

    def _plain(self) -> tuple[Module, Module]:
        a, b = self.modules
        for first, second in ((a, b), (b, a)):
            if first.part in UP and second.part in DOWN and not (first.part in DOWN and second.part in UP):
                return first, second
        if a.kind == b.kind == "linear" and a.weight.shape != b.weight.shape:
            return (b, a) if self.sides.leads_back(a) else (a, b)
        if a.part in UP or b.part in DOWN:
            return a, b
        if b.part in UP or a.part in DOWN:
            return b, a
        first, second = in_order([a, b], "the linear layers of the MLP")
        return first, second
