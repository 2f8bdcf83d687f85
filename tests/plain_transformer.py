"""A transformer in plain torch functions, with drawn weights: the reference for files of any layout."""

import random
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

P = 5
TOKENS = torch.cartesian_prod(torch.arange(P), torch.arange(P), torch.tensor([P]))
ACTIVATIONS = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_new": lambda x: 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "silu": lambda x: x * torch.sigmoid(x),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "square": lambda x: x * x,
    "mish": functional.mish,
}


@dataclass
class Plain:
    """An architecture and its weights: matrices as [inputs, outputs], heads side by side.

    Attributes:
        act_fn: a key of ACTIVATIONS; "mish" is one that our networks do not have.
        norm: None, "LN", "LNPre", "RMS" or "RMSPre".
        w: weights by short names, those of layer i as "i.q".
    """

    d: int
    heads: int
    layers: int
    hidden: int
    act_fn: str
    causal: bool
    norm: str | None
    post: bool
    final: bool
    eps: float
    gated: bool
    attn_bias: bool
    mlp_bias: bool
    read_bias: bool
    attn_only: bool
    w: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @staticmethod
    def draw(rng: random.Random) -> "Plain":
        """Any architecture, with random weights throughout."""
        norm = rng.choice([None, None, "LN", "LN", "LN", "RMS", "LNPre", "RMSPre"])
        d = rng.choice([8, 12])
        attn_only = rng.random() < 0.1
        plain = Plain(
            d=d, heads=rng.choice([1, 2, 4]), layers=rng.choice([1, 1, 2]), hidden=rng.choice([d, 2 * d, 20]),
            act_fn=rng.choice([*ACTIVATIONS, "relu", "gelu"]), causal=rng.random() < 0.5, norm=norm,
            post=norm is not None and rng.random() < 0.3, final=norm is not None and rng.random() < 0.7,
            eps=rng.choice([1e-5, 1e-5, 1e-3]) if norm else 1e-5, gated=not attn_only and rng.random() < 0.2,
            attn_bias=rng.random() < 0.5, mlp_bias=rng.random() < 0.5, read_bias=rng.random() < 0.3,
            attn_only=attn_only,
        )  # fmt: skip
        generator = torch.Generator().manual_seed(rng.randrange(2**31))
        for name, shape in plain.shapes().items():
            plain.w[name] = 0.6 * torch.randn(shape, generator=generator)
        return plain

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all weights, by their short names."""
        d, m = self.d, self.hidden
        shapes: dict[str, tuple[int, ...]] = {"E": (P + 1, d), "pos": (3, d), "U": (d, P)}
        norms = (["final"] if self.final else []) if self.norm in ("LN", "RMS") else []
        if self.read_bias:
            shapes["U.b"] = (P,)
        for i in range(self.layers):
            linear = dict.fromkeys("qkvo", (d, d))
            if not self.attn_only:
                linear |= {"up": (d, m), "down": (m, d)} | ({"gate": (d, m)} if self.gated else {})
            for name, shape in linear.items():
                shapes[f"{i}.{name}"] = shape
                biased = self.attn_bias if name in "qkvo" else self.mlp_bias and not self.gated
                if biased:
                    shapes[f"{i}.{name}.b"] = shape[1:]
            if self.norm in ("LN", "RMS"):
                norms += [f"{i}.ln1"] if self.attn_only else [f"{i}.ln1", f"{i}.ln2"]
        for name in norms:
            shapes[name] = (d,)
            if self.norm == "LN":
                shapes[f"{name}.b"] = (d,)
        return shapes

    def logits(self) -> Tensor:
        """At the last position, for all inputs."""
        x = self.w["E"][TOKENS] + self.w["pos"]
        for i in range(self.layers):
            parts = [(f"{i}.ln1", self.attend)] + ([] if self.attn_only else [(f"{i}.ln2", self.feed)])
            for name, part in parts:
                x = self.normed(x + part(x, i), name) if self.post else x + part(self.normed(x, name), i)
        x = self.normed(x, "final") if self.final else x
        return self.linear(x, "U")[:, -1]

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.w[name] + self.w.get(f"{name}.b", torch.zeros(()))

    def attend(self, x: Tensor, i: int) -> Tensor:
        q, k, v = (self.linear(x, f"{i}.{n}").unflatten(-1, (self.heads, -1)).transpose(1, 2) for n in "qkv")
        z = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.linear(z.transpose(1, 2).flatten(2), f"{i}.o")

    def feed(self, x: Tensor, i: int) -> Tensor:
        act = ACTIVATIONS[self.act_fn]
        if self.gated:
            return self.linear(act(self.linear(x, f"{i}.gate")) * self.linear(x, f"{i}.up"), f"{i}.down")
        return self.linear(act(self.linear(x, f"{i}.up")), f"{i}.down")

    def normed(self, x: Tensor, name: str) -> Tensor:
        if self.norm is None:
            return x
        if self.norm.startswith("LN"):
            x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt()
        return x * self.w.get(name, torch.ones(())) + self.w.get(f"{name}.b", torch.zeros(()))
